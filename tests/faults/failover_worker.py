"""One asr process of the failover world, wired as `AsrService` is, and its engine."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

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
from fieldcoach.common.audio import unpack_chunk
from fieldcoach.common.bus import RESEND_S
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import ClaimReply, ClaimRequest, FinalTranscript, Timing, WorkerHeartbeat
from fieldcoach.common.numbering import EventNumbers

if TYPE_CHECKING:
    from tests.faults.failover_world import World

SESSION: Final = "s" * 26
CELL: Final = 5_120
"""Samples of one word."""
DRAIN_S: Final = 8.0
"""10 s less one to decode and one to leave, as in `AsrService.drain`."""
SLOW_CONSUMER_S: Final = 10.0
"""The server lets go of a client that reads nothing for so long."""
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


class Worker:
    """One asr process, wired as `AsrService` is."""

    def __init__(self, world: "World", is_connected: bool = True) -> None:
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
            recogniser = SessionRecogniser(SESSION, ("en",), RULES, Loudness(), from_seq=claim.from_seq)
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
