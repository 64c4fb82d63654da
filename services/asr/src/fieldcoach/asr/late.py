"""Ranges of sound that came late: one request in, its finals out in the session's name, then the answer."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fieldcoach.common.messages import BackfillAudio, BackfillReply

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
        rules_for: Callable[[tuple[str, ...]], Rules],
        sessions: Mapping[str, Session],
        scheduler: Scheduler,
        outbound: Outbound,
        telemetry: AsrTelemetry,
    ) -> None:
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
        """As the recogniser's; what it says goes out."""
        owner, run, done = self._runs[job.session]
        self._do(owner, run, done, run.end(job, decoded, time.monotonic()))

    async def serve(self, payload: bytes) -> BackfillReply:
        """A missing range of a session of ours has come: transcribe it, answer when its words are out."""
        audio = BackfillAudio.decode(payload)
        session = self._sessions.get(audio.session)
        if session is None or self._silero is None or self._engine is None:
            return BackfillReply(accepted=False, reason="unclaimed")
        if self.is_draining or session.is_finishing:
            return BackfillReply(accepted=False, reason="draining" if self.is_draining else "ending")
        pcm = session.gather(audio)
        if pcm is None:
            return BackfillReply(accepted=False, reason="bad-request")
        if audio.piece + 1 < audio.pieces:
            return BackfillReply(accepted=True)
        session.late_pcm = 0, []
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
                self._do(session, run, done, actions)
                await asyncio.sleep(0)
            if self._decoders:
                self._decoders.dispatch()
            await done.wait()
        finally:
            del self._runs[run.key]
            self._scheduler.forget(run.key)
            session.backfills -= 1
            if not session.backfills and session.held is not None:
                self._outbound.put_nowait((session, session.held))
        return BackfillReply(accepted=True)

    def _do(self, session: Session, run: BackfillRun, done: asyncio.Event, actions: list[Action]) -> None:
        """As `_do`, for a range that came late: there are no partials."""
        for action in actions:
            match action:
                case Job():
                    self._scheduler.submit(action)
                case Withdraw(kind):
                    self._scheduler.withdraw(run.key, kind)
                case FinalText():
                    new = run.new_words(action)
                    if new is None:
                        self._telemetry.finals.add("dropped-overlap")
                    else:
                        self._outbound.put_nowait((session, LateText(new, run)))
                case Complete():
                    self._outbound.put_nowait((session, Filled(done)))
                case Retried(reason):
                    self._telemetry.filters.add(f"retried-{reason}")
                case Dropped(reason):
                    self._telemetry.filters.add(f"dropped-{reason}")
                    self._telemetry.finals.add("dropped")
