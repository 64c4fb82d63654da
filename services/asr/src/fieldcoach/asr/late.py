"""Ranges of sound that came late: one request in, what is new out in the session's name, then the answer."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fieldcoach.common.bus import Bus
from fieldcoach.common.messages import BackfillAudio, BackfillReply, FinalTranscript

from .actions import Action, Complete, Dropped, Retried, Withdraw
from .backfill import BackfillRun
from .decoders import Decoders
from .engines.base import Engine, Segment
from .jobs import Decoded, Job
from .recogniser import Rules
from .scheduler import Scheduler
from .session import Session
from .telemetry import AsrTelemetry
from .utterance import FinalText, PartialText
from .voice import Silero


@dataclass(frozen=True, slots=True)
class LateText:
    """A final of back-fill."""

    final: FinalText
    run: BackfillRun


@dataclass(frozen=True, slots=True)
class Filled:
    """All finals of a range are out."""

    done: asyncio.Event


Outbound = asyncio.Queue[tuple[Session, PartialText | FinalText | Complete | LateText | Filled]]


class LateRanges:
    """The ranges that are being transcribed."""

    def __init__(
        self,
        bus: Bus,
        rules_for: Callable[[tuple[str, ...]], Rules],
        sessions: Mapping[str, Session],
        scheduler: Scheduler,
        outbound: Outbound,
        telemetry: AsrTelemetry,
    ) -> None:
        self._bus = bus
        self._rules_for = rules_for
        self._sessions = sessions
        self._scheduler = scheduler
        self._outbound = outbound
        self._telemetry = telemetry
        self._engine: Engine | None = None
        self._silero: Silero | None = None
        self._decoders: Decoders | None = None
        self._runs: dict[str, tuple[Session, BackfillRun, asyncio.Event]] = {}
        self.is_draining = False
        """Nothing more is taken."""

    def open(self, engine: Engine, silero: Silero, decoders: Decoders) -> None:
        """The model is there: ranges may come."""
        self._engine, self._silero, self._decoders = engine, silero, decoders

    def owns(self, job: Job) -> bool:
        """Whether a job is one of a range."""
        return job.session in self._runs

    def begin(self, job: Job) -> Segment | None:
        """As the recogniser's."""
        return self._runs[job.session][1].begin(job)

    def end(self, job: Job, decoded: Decoded) -> None:
        """As the recogniser's."""
        owner, run, _ = self._runs[job.session]
        self._do(owner, run, run.end(job, decoded, time.monotonic()))

    def tell(self, session: Session) -> None:
        """Say what is new of the ranges that the live transcript is past, and that they are through."""
        for run in session.take_late():
            news = run.news(session.said)
            if not news:
                self._telemetry.finals.add("backfill-nothing-new")
            for final in news:
                session.said.add(final)
                self._outbound.put_nowait((session, LateText(final, run)))
            self._outbound.put_nowait((session, Filled(self._runs[run.key][2])))

    def release(self, session: Session) -> None:
        """The session has gone elsewhere, and with it what was said: what waits is answered."""
        for run in session.late:
            self._runs[run.key][2].set()

    async def serve(self, payload: bytes) -> BackfillReply:
        """A missing range of a session of ours has come: transcribe it, answer when its words are out."""
        audio = BackfillAudio.decode(payload)
        session = self._sessions.get(audio.session)
        if session is None or self._silero is None or self._engine is None:
            return BackfillReply(accepted=False, reason="unclaimed")
        if self.is_draining or session.is_finishing:
            return BackfillReply(accepted=False, reason="draining" if self.is_draining else "ending")
        session.heard_at = time.monotonic()  # the line may be silent meanwhile, and has not gone elsewhere
        pcm = session.gather(audio)
        if pcm is None:
            return BackfillReply(accepted=False, reason="bad-request")
        if audio.piece + 1 < audio.pieces:
            return BackfillReply(accepted=True)
        session.late_pcm = 0, []
        if not session.said.is_whole:
            await self._recall(session)
        run = BackfillRun(
            audio,
            pcm,
            session.recogniser.languages,
            self._rules_for(session.recogniser.languages),
            self._silero.stream(),
            time.monotonic(),
            can_retry=self._engine.can_retry,
        )
        if run.key in self._runs:
            return BackfillReply(accepted=False, reason="bad-request")
        done = asyncio.Event()
        self._runs[run.key] = session, run, done
        session.backfills += 1
        try:
            for actions in run.listen():
                self._do(session, run, actions)
                await asyncio.sleep(0)
            if self._decoders:
                self._decoders.dispatch()
            await done.wait()
            if run in session.late:
                return BackfillReply(accepted=False, reason="unclaimed")
        finally:
            del self._runs[run.key]
            self._scheduler.forget(run.key)
            session.backfills -= 1
            session.heard_at = time.monotonic()
            if not session.backfills and session.held is not None:
                self._outbound.put_nowait((session, session.held))
        return BackfillReply(accepted=True)

    async def _recall(self, session: Session) -> None:
        """What others published of a session that we took over: its words may lie at the edges of a hole."""
        replayed = await self._bus.replay([self._bus.subjects.final(session.id)])
        published = [event for event, _ in replayed if isinstance(event, FinalTranscript)]
        session.said.recall(published, session.epoch)

    def _do(self, session: Session, run: BackfillRun, actions: list[Action]) -> None:
        """As for what is said now, but that there are no partials."""
        for action in actions:
            match action:
                case Job():
                    self._scheduler.submit(action)
                case Withdraw(kind):
                    self._scheduler.withdraw(run.key, kind)
                case FinalText():
                    run.add(action)
                case Complete():
                    session.late.append(run)
                    if self._sessions.get(session.id) is session:
                        self.tell(session)
                    else:  # released meanwhile: nothing of it is told any more
                        self._runs[run.key][2].set()
                case Retried(reason):
                    self._telemetry.filters.add(f"retried-{reason}")
                case Dropped(reason):
                    self._telemetry.filters.add(f"dropped-{reason}")
                    self._telemetry.finals.add("dropped")
