"""One session in virtual time, with packets from a pretended peer."""

from typing import cast

import pytest

from fieldcoach.common.audio import SAMPLE_RATE, Flag, PcmChunk, unpack_chunk
from fieldcoach.common.backfill import Record
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    Ack,
    Gap,
    MediaProfile,
    SessionEnding,
    SessionState,
    WorkerHeartbeat,
)
from fieldcoach.ingest.jitter import AudioPacket
from fieldcoach.ingest.missing import RETRY_S
from fieldcoach.ingest.peer import Peer
from fieldcoach.ingest.session import LINGER_S, Session
from fieldcoach.ingest.telemetry import IngestTelemetry
from fieldcoach.ingest.whip_resource import WhipResource
from fieldcoach.ingest.workers import WorkerTable

VOICE = bytes([9 << 3, 1, 2, 3, 4, 5])
MARKER = bytes([9 << 3])
WORKER = new_id()


class Phone:
    """Stands for a peer; its packets are 20 ms."""

    has_nack = False
    rtt_s: float | None = None

    def __init__(self) -> None:
        self.number = 0
        name = new_id()
        self.resource = WhipResource(name, name, "ufrag", "p" * 24)


class Scene:
    """A session, its clock, and what went out."""

    def __init__(self, has_worker: bool = True) -> None:
        self.now = 1_000.0
        self.telemetry = IngestTelemetry()
        self.workers = WorkerTable()
        self.has_worker = has_worker
        self.wakes = 0
        self.sent: list[PcmChunk] = []
        self.session = Session(
            new_id(), ("en",), self.workers, self.telemetry, lambda: True, self._wake, self.now
        )
        self.phone = self.attach()

    def _wake(self, _session: Session) -> None:
        self.wakes += 1

    def attach(self) -> Phone:
        phone = Phone()
        self.session.attach(cast(Peer, phone), self.now)
        return phone

    def packet(self, phone: Phone | None = None, payload: bytes = VOICE, ssrc: int = 1) -> None:
        phone = phone or self.phone
        packet = AudioPacket(phone.number & 0xFFFF, phone.number * 960, payload, self.now)
        phone.number += 1
        self.session.on_packet(cast(Peer, phone), ssrc, packet)

    def pass_time(self, seconds: float, talking: bool = False, phone: Phone | None = None) -> None:
        """Ticks of 10 ms, with a packet every 20 ms if somebody talks."""
        for step in range(round(seconds * 100)):
            self.now += 0.01
            if self.has_worker and step % 10 == 0:
                self.workers.heard(
                    WorkerHeartbeat(
                        worker=WORKER,
                        slots=4,
                        used=0,
                        real_time_factor=0,
                        lag_ms=0,
                        engine="e",
                        model="m",
                    ),
                    self.now,
                )
            if talking and step % 2 == 0:
                self.packet(phone)
            if self.now >= self.session.due_at:
                self.session.tick(self.now)
            self._deliver()

    def _deliver(self) -> None:
        session = self.session
        while session.claims:
            session.claimed(session.claims.popleft(), self.now)
        while (item := session.delivery.peek()) is not None:
            self.sent.append(unpack_chunk(item[2]))
            session.delivery.sent(self.now)
        if session.delivery.worker is not None:
            ack = Ack(session=session.id, epoch=session.delivery.epoch, seq=session.delivery.cur)
            session.acked(WORKER, ack, self.now)

    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason) for e in self.session.outbox if isinstance(e, SessionState)]

    def gaps(self) -> list[Gap]:
        return [event for event in self.session.outbox if isinstance(event, Gap)]

    def assert_contiguous(self) -> None:
        for before, after in zip(self.sent, self.sent[1:], strict=False):  # pairs of one list
            assert after.sample_index == before.end_sample


def test_a_visit_from_the_offer_to_the_end() -> None:
    scene = Scene()
    assert isinstance(scene.session.outbox[0], MediaProfile)
    scene.pass_time(2, talking=True)
    scene.session.end("user", scene.now, announce=False)
    scene.session.end("user", scene.now, announce=False)
    scene.pass_time(0.1)
    scene.packet()
    assert scene.telemetry.packets["after-end"] == 1
    assert scene.states() == [("connecting", ""), ("live", ""), ("ended", "user")]
    assert scene.sent[-1].flags == Flag.END
    assert scene.sent[-1].end_sample == pytest.approx(2 * SAMPLE_RATE, abs=320)
    scene.assert_contiguous()
    assert len(scene.session.retired) == 1
    assert not scene.session.is_gone(scene.now + LINGER_S + 1)  # its events wait
    scene.session.outbox.clear()
    assert not scene.session.is_gone(scene.now)
    scene.session.transcript_complete(scene.now)
    assert scene.session.is_gone(scene.now)


def test_the_transcript_of_a_running_session_is_never_complete() -> None:
    scene = Scene()
    scene.session.transcript_complete(scene.now)
    scene.session.outbox.clear()
    assert not scene.session.is_gone(scene.now)


def test_silence_is_sent_in_real_time_while_no_packet_comes() -> None:
    scene = Scene()
    scene.pass_time(1, talking=True)
    scene.packet(payload=MARKER)
    before = scene.sent[-1].end_sample
    scene.pass_time(0.4)
    quiet = [chunk for chunk in scene.sent if chunk.sample_index >= before and chunk.flags & Flag.DTX]
    assert sum(chunk.n_samples for chunk in quiet) >= 0.28 * SAMPLE_RATE
    assert scene.states()[-1] == ("live", "")


def test_a_silent_phone_is_suspended_and_the_recogniser_told() -> None:
    scene = Scene()
    scene.pass_time(1, talking=True)
    scene.pass_time(3.2)
    assert scene.states()[-1] == ("suspended", "no-packets")
    assert scene.sent[-1].flags == Flag.GAP
    scene.phone.number += 500  # what was lost on the way
    scene.pass_time(1, talking=True)
    assert scene.states()[-1] == ("live", "")
    scene.assert_contiguous()
    assert {gap.reason for gap in scene.gaps()} == {"suspended"}
    missing = sum(chunk.n_samples for chunk in scene.sent if chunk.flags == Flag.GAP)
    assert missing == pytest.approx(3.2 * SAMPLE_RATE, abs=1_600)
    assert scene.sent[-1].end_sample == pytest.approx(5.2 * SAMPLE_RATE, abs=1_600)


def test_a_vanished_phone_is_freed_and_the_visit_ended_for_all() -> None:
    scene = Scene()
    scene.pass_time(1, talking=True)
    scene.pass_time(61)
    assert len(scene.session.retired) == 1
    assert scene.session.peers == ()
    scene.has_worker = False
    scene.pass_time(545)
    assert scene.states()[-1] == ("ended", "suspended-too-long")
    assert [e.reason for e in scene.session.outbox if isinstance(e, SessionEnding)] == ["suspended-too-long"]
    assert scene.telemetry.ended["suspended-too-long"] == 1


def test_a_pause_discards_and_is_a_gap_of_its_length() -> None:
    scene = Scene()
    scene.pass_time(1, talking=True)
    scene.session.pause(scene.now)
    scene.session.pause(scene.now)
    scene.pass_time(10, talking=True)
    assert scene.telemetry.packets["paused"] == 500
    scene.session.resume(scene.now)
    scene.pass_time(1, talking=True)
    assert scene.states() == [("connecting", ""), ("live", ""), ("paused", "user"), ("live", "")]
    scene.assert_contiguous()
    assert sum(c.n_samples for c in scene.sent if c.flags == Flag.GAP) == pytest.approx(
        10 * SAMPLE_RATE, abs=1_600
    )
    assert {gap.reason for gap in scene.gaps()} == {"paused"}


def test_a_new_connection_takes_over_with_its_first_packet() -> None:
    scene = Scene()
    scene.pass_time(1, talking=True)
    second = scene.attach()
    third = scene.attach()
    assert len(scene.session.peers) == 2  # the second never brought a packet
    scene.pass_time(0.5, talking=True)
    scene.packet(second)
    assert scene.telemetry.packets["old-connection"] == 1
    scene.pass_time(0.5, talking=True, phone=third)
    scene.packet()
    assert scene.telemetry.packets["old-connection"] == 2
    assert list(scene.session.peers) == [cast(Peer, third)]
    scene.assert_contiguous()
    scene.session.on_lost(cast(Peer, second), "late", scene.now)
    assert scene.states()[-1] == ("live", "")


def test_a_lost_connection_suspends_and_a_given_back_one_too() -> None:
    for reason in ("disconnected", "closed"):
        scene = Scene()
        scene.pass_time(1, talking=True)
        if reason == "closed":
            scene.session.on_lost(cast(Peer, scene.phone), "closed", scene.now)
        else:
            scene.session.on_lost(cast(Peer, scene.phone), reason, scene.now)
        assert scene.states()[-1] == ("suspended", reason)
        scene.pass_time(1.2)
        assert scene.sent[-1].flags == Flag.GAP
        again = scene.attach()
        scene.pass_time(0.5, talking=True, phone=again)
        assert scene.states()[-1] == ("live", "")
        scene.assert_contiguous()


def test_another_microphone_is_another_stream_on_the_same_timeline() -> None:
    scene = Scene()
    scene.pass_time(1, talking=True)
    scene.phone.number = 0
    for _ in range(20):
        scene.pass_time(0.02)
        scene.packet(ssrc=2)
    scene.assert_contiguous()
    assert scene.gaps() == []


def test_without_a_worker_it_is_said_and_what_is_lost_is_declared() -> None:
    scene = Scene(has_worker=False)
    scene.pass_time(42, talking=True)
    degraded = [e.degraded for e in scene.session.outbox if isinstance(e, SessionState)]
    assert degraded == [None, None, "no-asr"]
    assert [gap.n_samples for gap in scene.gaps()] == [5 * SAMPLE_RATE + 640] * 2
    scene.has_worker = True
    scene.pass_time(1, talking=True)
    assert scene.states()[-1] == ("live", "asr-back")
    gaps = scene.gaps()
    assert {gap.reason for gap in gaps} == {"no-asr"}
    assert gaps[0].first_sample == 0
    assert gaps[-1].first_sample + gaps[-1].n_samples == scene.sent[0].sample_index
    scene.assert_contiguous()


def test_a_range_that_its_worker_disowns_goes_to_whoever_is_claimed_next() -> None:
    scene = Scene()
    scene.pass_time(1, talking=True)
    scene.phone.number += 50  # a second of packets that never come
    scene.pass_time(3, talking=True)
    session = scene.session
    (asked,) = session.missing.ranges
    session.missing.receive(Record(asked.number, asked.first_timestamp, VOICE))
    session.missing.receive(Record(asked.number, asked.last_timestamp, b""))
    assert session.delivery.worker == WORKER
    late = session.missing.take_ready(scene.now)
    assert late is asked
    epoch = session.delivery.epoch
    session.unfilled(late, WORKER, "refused-unclaimed", scene.now)
    scene.pass_time(0.5)
    assert session.delivery.worker == WORKER
    assert session.delivery.epoch == epoch + 1
    assert session.missing.take_ready(scene.now + RETRY_S) is late
