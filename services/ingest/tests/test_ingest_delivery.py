"""Failover rules in virtual time."""

import random

import pytest

from fieldcoach.common.audio import Flag, unpack_chunk
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import WorkerHeartbeat
from fieldcoach.ingest.delivery import RING_CHUNKS, RING_SAMPLES, Claim, Delivery
from fieldcoach.ingest.timeline import Chunk
from fieldcoach.ingest.workers import FORGET_S, WorkerTable

SESSION, A, B = new_id(), new_id(), new_id()
PCM = bytes(1_920)


class Scene:
    """One session, two workers, a clock."""

    def __init__(self, *workers: str) -> None:
        self.now = 100.0
        self.alive = set(workers or (A, B))
        self.connected = True
        self.table = WorkerTable(draw=random.Random(1))
        self.delivery = Delivery(SESSION)
        self.made = 0
        self.beat()

    def beat(self, **fields: object) -> None:
        for worker in self.alive:
            self.table.heard(heartbeat(worker, **fields), self.now)

    def poll(self) -> Claim | None:
        return self.delivery.poll(self.now, self.connected, self.table)

    def audio(self, count: int = 1, flags: Flag = Flag.OK) -> None:
        for _ in range(count):
            chunk = Chunk(self.made * 960, 960, flags, PCM) if flags is Flag.OK else Chunk(0, 0, flags, b"")
            self.delivery.append(chunk, self.now)
            self.made += 1

    def send(self) -> list[int]:
        """Send what there is; the numbers sent."""
        seqs = []
        while (item := self.delivery.peek()) is not None:
            chunk = unpack_chunk(item[2])
            assert chunk.epoch == self.delivery.epoch
            seqs.append(chunk.seq)
            self.delivery.sent(self.now)
        return seqs

    def take(self) -> str:
        """Poll, and let the chosen worker accept."""
        claim = self.poll()
        assert claim is not None
        self.delivery.claimed(claim, self.now)
        return claim.worker

    def run(self, seconds: float, ack: bool = True, hold: int | None = None) -> list[Claim]:
        """Real-time audio; the present worker acks everything (or stands at `hold`) at 4 Hz."""
        claims = []
        for step in range(int(seconds / 0.05)):
            self.now += 0.05
            self.beat()
            self.audio()
            self.send()
            if ack and step % 5 == 0 and self.delivery.worker in self.alive:
                self.delivery.acked(
                    self.delivery.worker,
                    self.delivery.epoch,
                    self.delivery.cur if hold is None else hold,
                    self.now,
                )
            claim = self.poll()
            if claim is not None:
                claims.append(claim)
                self.delivery.claimed(claim, self.now)
        return claims


def heartbeat(worker: str, **fields: object) -> WorkerHeartbeat:
    values: dict[str, object] = {
        "worker": worker,
        "slots": 4,
        "used": 0,
        "real_time_factor": 0.1,
        "lag_ms": 0,
        "engine": "e",
        "model": "m",
    }
    return WorkerHeartbeat.model_validate(values | fields)


def test_a_session_is_claimed_with_its_first_audio_and_sent_in_order() -> None:
    scene = Scene()
    assert scene.poll() is None
    scene.audio(3)
    claim = scene.poll()
    assert claim == Claim(claim.worker if claim else "", 1, 0)
    assert scene.poll() is None  # one claim at a time
    assert scene.delivery.peek() is None
    assert claim is not None
    scene.delivery.claimed(claim, scene.now)
    assert scene.send() == [0, 1, 2]
    scene.audio()
    assert scene.send() == [3]


def test_all_is_well_while_acks_come_however_long_the_utterance() -> None:
    scene = Scene()
    scene.audio()
    scene.take()
    assert scene.run(3) == []
    held = scene.delivery.ack
    assert scene.run(15, hold=held) == []
    assert scene.delivery.failovers == {}
    assert scene.run(3) == []
    assert scene.delivery.held < 30


def test_without_acks_the_other_worker_takes_over_after_a_second() -> None:
    scene = Scene()
    scene.audio()
    first = scene.take()
    scene.run(2)
    acked = scene.delivery.ack
    before = scene.now
    claims = scene.run(1.5, ack=False)
    assert len(claims) == 1
    assert claims[0] == Claim(({A, B} - {first}).pop(), 2, acked)
    assert scene.delivery.failovers == {"no-ack": 1}
    assert scene.now - before < 1.6


def test_the_only_worker_is_claimed_again_if_it_is_alive() -> None:
    scene = Scene(A)
    scene.audio()
    scene.take()
    scene.run(1)
    claims = scene.run(1.5, ack=False)
    assert [claim.worker for claim in claims] == [A]
    assert scene.delivery.epoch == 2


def test_bye_moves_at_once_and_replays_from_the_ack() -> None:
    scene = Scene()
    scene.audio(10)
    first = scene.take()
    scene.send()
    scene.delivery.acked(first, 1, 4, scene.now)
    scene.table.heard(heartbeat(first, bye=True), scene.now)
    claim = scene.poll()
    assert claim is not None
    assert (claim.worker != first, claim.epoch, claim.from_seq) == (True, 2, 4)
    scene.delivery.claimed(claim, scene.now)
    assert scene.send() == [4, 5, 6, 7, 8, 9]
    assert scene.delivery.failovers == {"bye": 1}


def test_a_stale_heartbeat_moves() -> None:
    scene = Scene()
    scene.audio()
    first = scene.take()
    scene.send()
    scene.alive.discard(first)
    scene.now += 0.9
    scene.beat()
    claim = scene.poll()
    assert claim is not None
    assert claim.worker != first
    assert scene.delivery.failovers == {"stale": 1}


def test_acks_of_another_time_or_worker_count_for_nothing() -> None:
    scene = Scene()
    scene.audio(5)
    worker = scene.take()
    scene.send()
    assert scene.delivery.acked(worker, 7, 3, scene.now) == "old"
    assert scene.delivery.acked(new_id(), 1, 3, scene.now) == "old"
    assert scene.delivery.acked(worker, 1, 99, scene.now) == "taken"  # of chunks that were never made
    assert scene.delivery.ack == 0
    assert scene.delivery.acked(worker, 1, 3, scene.now) == "taken"
    assert (scene.delivery.ack, scene.delivery.held) == (3, 2)


def test_the_same_ack_for_three_seconds_goes_back() -> None:
    scene = Scene()
    scene.audio(5)
    worker = scene.take()
    scene.send()
    scene.now += 2.9
    assert scene.delivery.acked(worker, 1, 0, scene.now) == "taken"
    scene.now += 0.2
    assert scene.delivery.acked(worker, 1, 0, scene.now) == "went-back"
    assert scene.send() == [0, 1, 2, 3, 4]
    scene.now += 1
    assert scene.delivery.acked(worker, 1, 0, scene.now) == "taken"
    scene.now += 2
    assert scene.delivery.acked(worker, 1, 0, scene.now) == "went-back"
    assert scene.delivery.acked(worker, 1, 5, scene.now) == "taken"
    assert scene.delivery.cur == 5


def test_a_worker_whose_acks_never_rise_is_left_in_the_end() -> None:
    scene = Scene()
    scene.audio()
    scene.take()
    scene.run(25, hold=0)
    assert scene.delivery.failovers == {"stuck": 1}


def test_refusals_and_no_slots_go_round_and_come_again() -> None:
    scene = Scene()
    scene.audio()
    refused = set()
    for _ in range(2):
        claim = scene.poll()
        assert claim is not None
        refused.add(claim.worker)
        scene.delivery.refused(claim)
        scene.delivery.refused(claim)  # an answer that comes twice
        scene.delivery.claimed(claim, scene.now)
    assert refused == {A, B}
    assert scene.poll() is None
    assert scene.poll() is None
    scene.now += 0.3
    assert scene.poll() is not None


def test_nobody_there_is_told_after_a_second() -> None:
    scene = Scene()
    scene.alive.clear()
    scene.now += 5
    scene.audio()
    assert scene.poll() is None
    assert not scene.delivery.is_degraded(scene.now)
    scene.now += 1.1
    assert scene.delivery.is_degraded(scene.now)
    scene.alive.add(A)
    scene.beat()
    scene.take()
    assert not scene.delivery.is_degraded(scene.now)
    assert scene.send() == [0]


def test_overflow_of_the_ring_is_declared_and_the_worker_claimed_anew() -> None:
    scene = Scene()
    scene.audio()
    scene.take()
    assert scene.send() == [0]
    lost = []
    for number in range(RING_SAMPLES // 960 + 20):
        overflow = scene.delivery.append(Chunk(960 * (number + 1), 960, Flag.OK, PCM), scene.now)
        if overflow:
            lost.append(overflow)
    assert sum(overflow.n_samples for overflow in lost) == 20 * 960
    assert lost[0].first_sample == 960
    claim = scene.poll()
    assert claim is not None
    assert (claim.epoch, claim.from_seq) == (2, 21)
    scene.delivery.append(Chunk(10**6, 960, Flag.OK, PCM), scene.now)
    scene.delivery.claimed(claim, scene.now)  # meanwhile its first chunk has gone
    assert scene.delivery.worker is None
    again = scene.poll()
    assert again is not None
    assert again.from_seq == 22


def test_chunks_without_weight_are_bounded_too() -> None:
    delivery = Delivery(SESSION)
    for number in range(RING_CHUNKS + 5):
        delivery.append(Chunk(number, 1, Flag.GAP, b""), 0.0)
    assert delivery.held == RING_CHUNKS


def test_what_a_worker_has_may_fall_out_without_harm() -> None:
    scene = Scene()
    scene.audio(RING_SAMPLES // 960)
    scene.take()
    scene.send()
    assert scene.delivery.append(Chunk(0, 960, Flag.OK, PCM), scene.now) is None
    assert scene.delivery.worker is not None
    assert scene.delivery.ack == 1


def test_while_we_are_cut_off_nobody_is_to_blame() -> None:
    scene = Scene()
    scene.audio()
    worker = scene.take()
    scene.run(1)
    acked = scene.delivery.ack
    scene.connected = False
    for _ in range(60):
        scene.now += 0.05
        scene.audio()
        assert scene.poll() is None
    scene.connected = True
    assert scene.poll() is None  # a second of grace, though heartbeats are old
    assert scene.delivery.worker == worker
    assert scene.send()[0] == acked  # what was on its way may be lost
    scene.now += 0.6
    assert scene.delivery.acked(worker, 1, acked, scene.now) == "went-back"
    scene.now += 0.5
    scene.beat()
    assert scene.poll() is None
    assert scene.delivery.failovers == {}


def test_after_a_long_outage_the_session_is_claimed_anew() -> None:
    scene = Scene()
    scene.audio()
    scene.take()
    scene.send()
    scene.connected = False
    scene.poll()
    scene.now += 6
    scene.audio()
    scene.connected = True
    scene.beat()
    claim = scene.poll()
    assert claim is not None
    assert claim.epoch == 2
    assert scene.delivery.failovers == {}


def test_a_reconnect_before_the_first_audio_is_nothing() -> None:
    scene = Scene()
    scene.connected = False
    assert scene.poll() is None
    scene.connected = True
    assert scene.poll() is None


def test_after_a_pause_the_session_is_claimed_anew() -> None:
    scene = Scene(A)
    scene.audio()
    scene.take()
    scene.send()
    scene.delivery.acked(A, 1, 1, scene.now)
    scene.now += 5
    scene.beat()
    assert scene.poll() is None
    scene.audio()
    assert scene.delivery.peek() is None
    claim = scene.poll()
    assert claim is not None
    assert (claim.epoch, claim.from_seq) == (2, 1)


def test_after_the_end_missing_acks_are_no_failure_but_death_is() -> None:
    scene = Scene()
    scene.audio(3)
    first = scene.take()
    scene.send()
    assert not scene.delivery.has_sent_end
    scene.audio(1, Flag.END)
    scene.send()
    assert scene.delivery.has_sent_end
    for _ in range(20):
        scene.now += 0.5
        scene.beat()
        assert scene.poll() is None
    scene.alive.discard(first)
    scene.now += 1
    scene.beat()
    claim = scene.poll()
    assert claim is not None
    assert claim.from_seq == 0


def test_the_less_loaded_of_two_is_chosen() -> None:
    table = WorkerTable(draw=random.Random(1))
    table.heard(heartbeat(A, used=3), 0.0)
    table.heard(heartbeat(B, used=1), 0.0)
    assert {table.choose(0.1) for _ in range(20)} == {B}
    assert table.choose(0.1, avoid={B}) == A
    assert table.choose(2.0) is None
    assert table.slots_free(0.1) == 4
    table.heard(heartbeat(B, draining=True), 0.2)
    assert table.choose(0.3) == A
    assert table.slots_free(0.3) == 1
    table.heard(heartbeat(A, used=4), 0.4)
    assert table.choose(0.5) is None
    table.heard(heartbeat(A, bye=True), 0.5)
    assert table.said_bye(A)
    assert not table.said_bye(new_id())
    assert not table.is_fresh(A, 0.5)
    table.heard(heartbeat(B), FORGET_S + 10)
    assert not table.said_bye(A)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_workers_do_every_chunk_reaches_one_in_order(seed: int) -> None:
    """Workers die, refuse, fall silent and come back; the bus goes away: no chunk is skipped."""
    noise = random.Random(seed)
    scene = Scene()
    expected: dict[tuple[str, int], int] = {}
    committed = 0
    for _ in range(2_000):
        scene.now += 0.05
        if noise.random() < 0.01:
            scene.alive ^= {noise.choice((A, B))}
        if noise.random() < 0.01:
            scene.connected = not scene.connected
        if scene.connected:
            scene.beat()
        if scene.delivery.next - committed < 400:
            scene.audio()
        claim = scene.poll()
        if claim is not None:
            if claim.worker in scene.alive and noise.random() < 0.8:
                expected[claim.worker, claim.epoch] = claim.from_seq
                scene.delivery.claimed(claim, scene.now)
            else:
                scene.delivery.refused(claim)
        if not scene.connected:
            continue
        while (item := scene.delivery.peek()) is not None:
            chunk = unpack_chunk(item[2])
            key = (item[0], chunk.epoch)
            scene.delivery.sent(scene.now)
            if item[0] in scene.alive and noise.random() > 0.002 and chunk.seq == expected[key]:
                expected[key] += 1
        worker = scene.delivery.worker
        if worker in scene.alive and noise.random() < 0.3:
            seq = expected[worker, scene.delivery.epoch]
            scene.delivery.acked(worker, scene.delivery.epoch, seq, scene.now)
            assert committed <= scene.delivery.ack
            committed = scene.delivery.ack
    assert committed > 1_000


def test_a_worker_that_has_released_the_session_is_claimed_again_for_late_sound() -> None:
    scene = Scene(A)
    scene.audio()
    scene.take()
    scene.send()
    scene.delivery.acked(A, scene.delivery.epoch, 1, scene.now)
    scene.delivery.disowned(B, scene.now)
    assert scene.delivery.worker == A, "it is not B's word"
    scene.delivery.want()
    assert scene.poll() is None
    scene.delivery.disowned(A, scene.now)
    assert scene.delivery.worker is None
    claim = scene.poll()
    assert claim == Claim(A, 2, 1)
    scene.delivery.claimed(claim, scene.now)
    assert (scene.delivery.worker, scene.poll(), scene.send()) == (A, None, [])
    assert scene.delivery.failovers == {}


def test_without_a_worker_late_sound_claims_one() -> None:
    scene = Scene(A)
    assert scene.poll() is None
    scene.delivery.want()
    assert scene.poll() == Claim(A, 1, 0)


def test_after_the_end_no_refusal_claims_again() -> None:
    scene = Scene(A)
    scene.audio()
    scene.audio(flags=Flag.END)
    scene.take()
    scene.send()
    scene.delivery.acked(A, scene.delivery.epoch, 2, scene.now)
    scene.delivery.disowned(A, scene.now)
    assert scene.delivery.worker == A
    assert scene.poll() is None
