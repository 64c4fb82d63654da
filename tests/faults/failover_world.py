"""One session, two workers, a reader and a bus between them, in virtual time, all of which may fail.

The cores are the real ones: `Delivery` and `WorkerTable`, the worker's `Session`, recogniser, scheduler and
patience, the reader's `CommittedTranscript` and `Position`. What is written here stands for processes and for
NATS: who runs, who is connected, which message is lost, doubled or late.

Speech is a constant, silence is zero. The engine says one word for each 320 ms of the session's clock whose
middle it hears, `w17`, so a transcript tells exactly what was said once, twice or never. Without word times:
the harder case for the reader.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final

import numpy as np

from fieldcoach.asr.actions import Action, Complete, Withdraw
from fieldcoach.asr.endpoint import EndpointRules
from fieldcoach.asr.engines.base import Hypothesis, Pcm, Segment
from fieldcoach.asr.jobs import Decoded, Job
from fieldcoach.asr.patience import Patience
from fieldcoach.asr.recogniser import Rules, SessionRecogniser
from fieldcoach.asr.scheduler import Scheduler
from fieldcoach.asr.service import MOVED_S, SILENT_S, TICK_S
from fieldcoach.asr.session import Session
from fieldcoach.asr.utterance import FinalText
from fieldcoach.asr.voice import FRAME
from fieldcoach.common.audio import Flag, unpack_chunk
from fieldcoach.common.bus import RESEND_S
from fieldcoach.common.committed import CommittedTranscript
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    Ack,
    ClaimReply,
    ClaimRequest,
    FinalTranscript,
    Timing,
    WorkerHeartbeat,
)
from fieldcoach.common.numbering import EventNumbers
from fieldcoach.common.position import Position
from fieldcoach.ingest.delivery import Claim, Delivery
from fieldcoach.ingest.timeline import Chunk
from fieldcoach.ingest.workers import WorkerTable

SESSION, INGEST = "s" * 26, "i" * 26
CHUNK: Final = 960
STEP_S: Final = 0.03
CELL: Final = 5_120
"""Samples of one word."""
CLAIM_TIMEOUT_S: Final = 0.5
DRAIN_S: Final = 8.0
"""10 s less one to decode and one to leave, as in `AsrService.drain`."""
SLOW_CONSUMER_S: Final = 10.0
"""The server lets go of a client that reads nothing for so long."""
SPEECH, SILENCE = np.full(CHUNK, 16_000, "<i2").tobytes(), bytes(2 * CHUNK)
MS: Final = 16
RULES = Rules(
    EndpointRules(speculate=224 * MS, commit=448 * MS, longest=15_000 * MS),
    pre_roll=300 * MS,
    tail=224 * MS,
    promote_tail=96 * MS,
    first_partial=500 * MS,
)
TIMING = Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0)


class Loudness:
    """Half scale is speech, zero is none."""

    def __call__(self, pcm: Pcm) -> list[float]:
        return [min(1.0, 2 * float(frame.max())) for frame in pcm.reshape(-1, FRAME)]

    def reset(self) -> None:
        """It remembers nothing."""


def words_of(segment: Segment) -> str:
    """What the engine says: the cells whose middle is loud."""
    first, end = segment.first_sample, segment.first_sample + len(segment.pcm)
    middles = ((cell, cell * CELL + CELL // 2) for cell in range(first // CELL, end // CELL + 1))
    return " ".join(f"w{cell}" for cell, at in middles if first <= at < end and segment.pcm[at - first] > 0.1)


@dataclass
class Link:
    """A process's connection to the server."""

    is_up: bool = True


@dataclass
class Noise:
    """Of each message on the bus that carries no durable event."""

    drop: float = 0.0
    double: float = 0.0
    late: float = 0.0


class World:
    """The clock, the server, and everybody."""

    def __init__(self, seed: int) -> None:
        self.now = 1_000.0
        self.draw = random.Random(seed)
        self.noise = Noise()
        self.server_is_up = True
        self._flight: list[tuple[float, int, Callable[[], None]]] = []
        self._sent = 0
        self.stream: list[FinalTranscript] = []
        """What the server's event stream holds; it dies with the server."""
        self.takes_along: list[FinalTranscript] | None = None
        """Events that the server takes and does not pass on: it is about to die."""
        self.reader = Reader()
        self.ingest = Ingest(self)
        self.workers: list[Worker] = [Worker(self), Worker(self)]

    @property
    def links(self) -> list[Link]:
        return [self.reader.link, self.ingest.link, *(worker.link for worker in self.workers)]

    def run(self, seconds: float, is_speaking: bool | None = None) -> None:
        """Let time pass; somebody speaks, or is silent, or the microphone is off (None)."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += STEP_S
            while self._flight and self._flight[0][0] <= self.now:
                heapq.heappop(self._flight)[2]()
            for worker in list(self.workers):
                worker.step()
            self.ingest.step(is_speaking)

    # ── the server ───────────────────────────────────────────────────────────────────────────────────────

    def send(self, link: Link, deliver: Callable[[], None], *, is_event: bool = False) -> None:
        """One message through the server. Whoever thinks it is connected may send into the void."""
        assert link.is_up
        if not self.server_is_up or (not is_event and self.draw.random() < self.noise.drop):
            return
        for _ in range(1 if is_event or self.draw.random() >= self.noise.double else 2):
            late = not is_event and self.draw.random() < self.noise.late
            delay = 0.005 + (self.draw.uniform(0, 0.4) if late else 0)
            self.after(delay, deliver)

    def after(self, delay: float, work: Callable[[], None]) -> None:
        self._sent += 1
        heapq.heappush(self._flight, (self.now + delay, self._sent, work))

    def publish(self, link: Link, final: FinalTranscript) -> None:
        """A durable event: into the stream, and to the reader if it is there."""

        if self.takes_along is not None:
            self.takes_along.append(final)
            return

        def store() -> None:
            self.stream.append(final)
            if self.reader.link.is_up:
                self.reader.receive(final)

        self.send(link, store, is_event=True)

    def kill_server(self) -> None:
        """What is on its way is gone, and the stream; the clients notice a little later."""
        self.server_is_up = False
        self._flight.clear()
        self.stream.clear()
        self.after(0.04, self._disconnect)

    def _disconnect(self) -> None:
        for link in self.links:
            link.is_up = False
        self.ingest.lose_claim()
        for worker in self.workers:
            worker.disconnected()

    def start_server(self) -> None:
        """Everybody comes back when they happen to try."""
        self.server_is_up = True
        for link in self.links:
            self.reconnect(link)

    def reconnect(self, link: Link) -> None:
        def connected() -> None:
            if not self.server_is_up or link.is_up:
                return
            link.is_up = True
            if link is self.reader.link:
                for final in list(self.stream):
                    self.reader.receive(final)
            for worker in self.workers:
                if worker.link is link:
                    worker.flush()

        self.after(self.draw.uniform(0.05, 0.6), connected)

    # ── who fails ────────────────────────────────────────────────────────────────────────────────────────

    def cut_off_ingest(self) -> None:
        """It alone loses its connection, and what it had sent lately."""
        self.ingest.link.is_up = False
        self.ingest.lose_claim()

    def start_worker(self) -> None:
        self.workers = [worker for worker in self.workers if not worker.is_dead]
        if len(self.workers) < 2:
            self.workers.append(Worker(self, is_connected=self.server_is_up))

    def heal(self) -> None:
        """Everything works from now on, and somebody is there to work."""
        self.noise = Noise()
        if not self.server_is_up:
            self.start_server()
        if not self.ingest.link.is_up:
            self.reconnect(self.ingest.link)
        for worker in self.workers:
            worker.wake()
        self.start_worker()


@dataclass
class Reader:
    """A gateway, or a coach: as `SessionFollower` passes events on."""

    link: Link = field(default_factory=Link)
    position: Position = field(default_factory=Position)
    transcript: CommittedTranscript = field(default_factory=CommittedTranscript)
    told: list[FinalTranscript] = field(default_factory=list)

    def receive(self, final: FinalTranscript) -> None:
        accepted, _ = self.transcript.accept(final)
        if self.position.advance(final) and accepted is not None:
            self.told.append(accepted)

    @property
    def words(self) -> list[str]:
        return [word for final in self.told for word in final.text.split()]


class Ingest:
    """Makes 60 ms chunks of what is spoken, and delivers them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.link = Link()
        self.table = WorkerTable(draw=random.Random(1))
        self.delivery = Delivery(SESSION)
        self.sample = 0
        self.spoken: list[int] = []
        """Cells whose middle was spoken."""
        self.lost: list[tuple[int, int]] = []
        self._due = 0.0
        self._claim: Claim | None = None
        self._stop_until = 0.0

    def stop(self, seconds: float) -> None:
        """SIGSTOP: the phone's sound waits in the socket."""
        self._stop_until = self._world.now + seconds

    def step(self, is_speaking: bool | None) -> None:
        world = self._world
        self._due += STEP_S
        if world.now < self._stop_until:
            return
        while self._due >= CHUNK / 16_000:
            self._due -= CHUNK / 16_000
            if is_speaking is not None:
                self._hear(is_speaking)
        self._work()

    def _hear(self, is_speaking: bool) -> None:
        pcm = SPEECH if is_speaking else SILENCE
        first, self.sample = self.sample, self.sample + CHUNK
        cell = first // CELL
        middle = cell * CELL + CELL // 2
        if is_speaking and first <= middle < self.sample:
            self.spoken.append(cell)
        self.delivery.append(Chunk(first, CHUNK, Flag.OK, pcm), self._world.now)

    def end(self) -> None:
        self.delivery.append(Chunk(self.sample, 0, Flag.END, b""), self._world.now)

    def skip(self, seconds: float) -> None:
        """Nothing was heard for a while: one gap."""
        n_samples = round(seconds * 16_000) // CELL * CELL
        chunk = Chunk(self.sample, n_samples, Flag.GAP, b"")
        self.sample += n_samples
        self.delivery.append(chunk, self._world.now)

    def _work(self) -> None:
        world, delivery = self._world, self.delivery
        claim = delivery.poll(world.now, self.link.is_up, self.table)
        if claim is not None:
            self._ask(claim)
        while self.link.is_up and (item := delivery.peek()) is not None:
            worker, _, packed = item
            world.send(self.link, partial(self._to, worker, Worker.audio, packed))
            delivery.sent(world.now)
        self.lost += [
            (lost.first_sample, lost.first_sample + lost.n_samples) for lost in delivery.take_lost()
        ]

    def _to(self, worker: str, handler: Callable[..., None], *message: object) -> None:
        """A message arrives in the socket of that worker, if there is one."""
        for one in self._world.workers:
            if one.id == worker:
                one.post(partial(handler, one, *message))

    def _ask(self, claim: Claim) -> None:
        world, self._claim = self._world, claim
        request = ClaimRequest(
            session=SESSION, epoch=claim.epoch, from_seq=claim.from_seq, ingest=INGEST, resumes=claim.resumes
        )

        def answered(reply: ClaimReply) -> None:
            if self._claim is not claim:
                return
            self._claim = None
            if reply.accepted:
                self.delivery.claimed(claim, world.now, reply.next_seq)
            else:
                self.delivery.refused(claim)

        world.send(self.link, partial(self._to, claim.worker, Worker.claim, request, answered))
        world.after(CLAIM_TIMEOUT_S, lambda: answered(ClaimReply(accepted=False, reason="timeout")))

    def lose_claim(self) -> None:
        """The request fails with its connection."""
        if self._claim is not None:
            claim, self._claim = self._claim, None
            self.delivery.refused(claim)

    def acked(self, worker: str, ack: Ack) -> None:
        self.delivery.acked(worker, ack.epoch, ack.seq, ack.next_seq, self._world.now)


class Worker:
    """One asr process, wired as `AsrService` is."""

    def __init__(self, world: World, is_connected: bool = True) -> None:
        self._world = world
        self.id = new_id()
        self.link = Link(is_connected)
        self.session: Session | None = None
        self.is_dead = False
        self.paused_at: float | None = None
        self._mailbox: deque[Callable[[], None]] = deque()
        self._scheduler = Scheduler()
        self._decoding: tuple[float, Session, Job, Decoded] | None = None
        self._outbound: deque[tuple[Session, FinalText | Complete]] = deque()
        self._outbox: deque[FinalTranscript] = deque()
        self._sent_lately: deque[tuple[float, FinalTranscript]] = deque(maxlen=2_000)
        self._patience = Patience(world.now)
        self._tick_at = world.now
        self._draining_since: float | None = None

    # ── life and death ───────────────────────────────────────────────────────────────────────────────────

    def crash(self) -> None:
        self.is_dead, self.session = True, None
        self.link.is_up = False

    def pause(self) -> None:
        if self.paused_at is None:
            self.paused_at = self._world.now

    def wake(self) -> None:
        if self.paused_at is None:
            return
        stopped, self.paused_at = self._world.now - self.paused_at, None
        if stopped > SLOW_CONSUMER_S and self.link.is_up:
            self._mailbox.clear()
            self.link.is_up = False
            self.disconnected()
        if not self.link.is_up:
            self._world.reconnect(self.link)

    def terminate(self) -> None:
        if self._draining_since is None:
            self._draining_since = self._world.now
            if self.paused_at is None and self.link.is_up:
                self._beat()

    def disconnected(self) -> None:
        since = self._world.now - RESEND_S
        again = [final for at, final in self._sent_lately if at >= since]
        self._sent_lately.clear()
        self._outbox.extendleft(reversed(again))

    def post(self, work: Callable[[], None]) -> None:
        """A message arrives in the socket."""
        if not self.is_dead and len(self._mailbox) < 4_000:
            self._mailbox.append(work)

    def step(self) -> None:
        if self.is_dead or self.paused_at is not None:
            return
        while self._mailbox:
            self._mailbox.popleft()()
        self._listen()
        self._decode()
        self._publish()
        if self._world.now >= self._tick_at:
            self._tick_at = self._world.now + TICK_S
            self._tick()
        if self._draining_since is not None:
            self._drain()

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────

    def audio(self, data: bytes) -> None:
        if self.session is not None:
            self.session.receive(unpack_chunk(data), self._world.now)

    def claim(self, claim: ClaimRequest, answer: Callable[[ClaimReply], None]) -> None:
        reply = self._judge(claim)
        if self.link.is_up:
            self._world.send(self.link, lambda: answer(reply))

    def _judge(self, claim: ClaimRequest) -> ClaimReply:
        held = self.session
        if self._draining_since is not None:
            return ClaimReply(accepted=False, reason="draining")
        if held is not None and claim.epoch <= held.epoch:
            is_repeat = claim.epoch == held.epoch and claim.from_seq == held.from_seq
            if not is_repeat:
                return ClaimReply(accepted=False, reason="bad-request")
        elif held is None or not held.go_on(claim):
            recogniser = SessionRecogniser(SESSION, "en", RULES, Loudness(), from_seq=claim.from_seq)
            recogniser.partial_interval_s = inf
            self._scheduler.forget(SESSION)
            self.session = Session(claim, recogniser, self._world.now)
            self.session.numbers = (
                held.numbers if held else EventNumbers(lambda: int(self._world.now * 1_000))
            )
        assert self.session is not None
        return ClaimReply(accepted=True, next_seq=self.session.resumed_at)

    # ── work ─────────────────────────────────────────────────────────────────────────────────────────────

    def _listen(self) -> None:
        while self.session is not None and self.session.has_waiting:
            self._do(self.session, self.session.listen())

    def _do(self, session: Session, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Job):
                self._scheduler.submit(action)
            elif isinstance(action, Withdraw):
                self._scheduler.withdraw(SESSION, action.kind)
            elif isinstance(action, FinalText | Complete):
                session.unsaid += isinstance(action, FinalText)
                self._outbound.append((session, action))

    def _decode(self) -> None:
        now = self._world.now
        if self._decoding is not None and self._decoding[0] <= now:
            _, session, done, decoded = self._decoding
            self._decoding = None
            if session is self.session:
                self._do(session, session.recogniser.end(done, decoded, now))
        while self._decoding is None and self.session is not None:
            job = self._scheduler.next(now)
            if job is None:
                return
            segment = self.session.recogniser.begin(job)
            if segment is not None:
                took = self._world.draw.uniform(0.02, 0.3)
                heard = Hypothesis(words_of(segment), tokens=(1,), confidence=0.9, avg_logprob=-0.1)
                self._decoding = (now + took, self.session, job, Decoded(heard, now, now + took))

    def _publish(self) -> None:
        while self._outbound:
            session, what = self._outbound.popleft()
            if isinstance(what, FinalText):
                self._outbox.append(_event(session, what))
                self.flush()
                session.unsaid -= 1
            else:
                self._acknowledge()
                if self.session is session:
                    self.session = None
                    self._scheduler.forget(SESSION)

    def flush(self) -> None:
        while self._outbox and self.link.is_up:
            final = self._outbox.popleft()
            self._world.publish(self.link, final)
            self._sent_lately.append((self._world.now, final))

    def _tick(self) -> None:
        now = self._world.now
        self._patience.tick(now, self.link.is_up)
        session = self.session
        if (
            session is not None
            and not session.is_finishing
            and self._patience.quiet_s(session.heard_at, now) > SILENT_S
        ):
            self._do(session, session.finish(now))
        if self.link.is_up:
            self._beat()
            self._acknowledge()

    def _beat(self) -> None:
        is_leaving, world = self._draining_since is not None, self._world
        beat = WorkerHeartbeat(
            worker=self.id, slots=4, used=int(self.session is not None), real_time_factor=0, lag_ms=0,
            draining=is_leaving, bye=is_leaving, engine="cells", model="none",
        )  # fmt: skip
        world.send(self.link, lambda: world.ingest.table.heard(beat, world.now))

    def _acknowledge(self) -> None:
        if self.session is None or not self.link.is_up:
            return
        ack, world = self.session.ack(not self._outbox), self._world
        world.send(self.link, lambda: world.ingest.acked(self.id, ack))

    def _drain(self) -> None:
        """As `AsrService.drain`, a step at a time."""
        assert self._draining_since is not None
        now, session = self._world.now, self.session
        since = now - self._draining_since
        if session is not None and not session.is_finishing:
            is_ours = now - session.heard_at <= MOVED_S
            is_over = since >= DRAIN_S or not is_ours
            has_paused = (since > MOVED_S or is_over) and session.recogniser.is_pausing
            if has_paused or (since >= DRAIN_S and is_ours):
                self._do(session, session.finish(now))
            if not is_over or session.is_finishing:
                return
        owes = session is not None and (session.recogniser.owes_finals or session.unsaid)
        if since >= DRAIN_S + 1 or not (owes or self._outbound):
            self._acknowledge()
            self.is_dead = True
            self.link.is_up = False


def _event(session: Session, final: FinalText) -> FinalTranscript:
    return FinalTranscript(
        session=SESSION, epoch=session.epoch, utterance=final.utterance, n=session.numbers.next(),
        first_sample=final.first_sample, end_sample=final.end_sample, text=final.text, language="en",
        confidence=1, engine="cells", model="none", timing=TIMING,
    )  # fmt: skip
