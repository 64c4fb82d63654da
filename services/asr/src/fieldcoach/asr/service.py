"""The worker: claims sessions, listens, decodes, publishes. Only wiring; the rules are in the cores."""

import asyncio
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from fieldcoach.common.audio import unpack_chunk
from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    Ack,
    AckBatch,
    ClaimReply,
    ClaimRequest,
    WorkerHeartbeat,
)
from fieldcoach.common.telemetry import Headers

from .actions import Action, Complete, Dropped, Retried, Withdraw
from .claims import Claims
from .decoders import Decoders
from .engines.base import Engine, Segment
from .engines.choice import open_engine
from .errors import AsrError
from .jobs import Decoded, Job, Kind
from .late import Filled, LateRanges, LateText, Outbound
from .load import Capacity, Pace
from .loading import Opener, load
from .patience import Patience
from .publisher import Publisher
from .scheduler import Scheduler
from .session import Session
from .settings import AsrSettings
from .telemetry import AsrTelemetry
from .utterance import FinalText, PartialText

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
"""Heartbeats and acks at 4 Hz: an ingest takes a worker for dead after 0.8 s."""
SILENT_S: Final = 5.0
"""A session that sends nothing for so long has gone elsewhere, or nowhere."""
MOVED_S: Final = 1.0
"""While we are stopping: a session that sends nothing for so long has been taken over."""
LAST_WORDS_S: Final = 1.0
"""Of the time to stop is kept for decoding what must end now."""
OUTBOUND_PARTIALS: Final = 1_000
"""Beyond this backlog partials are dropped; finals never are, and the recognisers bound them."""
LISTEN_S: Final = 0.005
"""The event loop listens for 5 ms at most before it looks at the bus again."""


class AsrService:
    """One worker process."""

    def __init__(self, settings: AsrSettings, bus: Bus, opener: Opener = open_engine) -> None:
        self._settings = settings
        self._opener = opener
        self._bus = bus
        self.worker = new_id()
        self.telemetry = AsrTelemetry()
        self._publisher = Publisher(bus, self.telemetry)
        self._scheduler = Scheduler()
        self._capacity = Capacity(settings.threads, settings.asr_max_sessions, settings.asr_load_target)
        self._pace = Pace(settings.threads)
        self._sessions: dict[str, Session] = {}
        self._claims = Claims(settings, self._sessions, self._capacity, self._release)
        self._engine: Engine | None = None
        self._decoders: Decoders | None = None
        self._reason: str | None = "loading the model"
        self.has_drained = False
        """Whether `drain` is through."""
        self._audio = asyncio.Event()
        self._outbound: Outbound = asyncio.Queue()
        self._late = LateRanges(
            bus, settings.rules_for, self._sessions, self._scheduler, self._outbound, self.telemetry
        )
        self._said = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Subscribe and begin to load; the worker refuses claims until the model is there."""
        subjects = self._bus.subjects
        await self._bus.subscribe(subjects.audio_of_worker(self.worker), self._receive)
        await self._bus.serve(subjects.asr_claim(self.worker), self._claim)
        await self._bus.serve(subjects.asr_backfill(self.worker), self._late.serve)
        for work in (self._load(), self._tick(), self._listen(), self._publish()):
            self._tasks.append(asyncio.ensure_future(work))

    def why_not_ready(self) -> str | None:
        """None when sessions can be claimed."""
        return self._reason

    async def drain(self) -> None:
        """Say bye and go on listening until the others have taken over; stop when everything is said.

        A session that nobody takes ends at its next pause, or where it is when there is no more time: what
        it has said by then is published, and the ingest keeps what follows.
        """
        began = time.monotonic()
        self.begin_draining()
        await self._beat()
        deadline = began + self._settings.drain_timeout_s - 1
        while (now := time.monotonic()) < deadline - LAST_WORDS_S:
            listening = [one for one in self._sessions.values() if not one.is_finishing]
            if all(now - one.heard_at > MOVED_S for one in listening):
                break
            for session in listening:
                if now - began > MOVED_S and session.recogniser.is_pausing:
                    self._do(session, session.finish(now))
            await asyncio.sleep(TICK_S / 5)
        for session in list(self._sessions.values()):
            is_ours = now - session.heard_at <= MOVED_S
            if not session.is_finishing and (is_ours or session.recogniser.is_pausing):
                self._do(session, session.finish(now))
        if self._decoders:
            self._decoders.dispatch()
        while self._owes_finals() and time.monotonic() < deadline:
            self._said.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._said.wait(), deadline - time.monotonic())
        await self._acknowledge(self._sessions.values())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._decoders:
            self._decoders.stop()
        if self._engine:
            self._engine.close()
        self.has_drained = True

    def begin_draining(self) -> None:
        """Claim nothing more."""
        self._claims.is_draining = self._late.is_draining = True

    def _owes_finals(self) -> bool:
        sessions = self._sessions.values()
        owed = any(session.recogniser.owes_finals or session.unsaid for session in sessions)
        return owed or not self._outbound.empty()

    async def _load(self) -> None:
        """Load the engine off the loop. Without a model the worker stays up and says why it is not ready."""

        def progress(come: str) -> None:
            self._reason = f"downloading the model: {come}"

        def not_yet(reason: str) -> None:
            self._reason = reason

        try:
            loaded = await load(self._settings, progress, not_yet, self._opener)
        except AsrError as error:
            self._reason = str(error)
            log.error("not ready", extra={"error": str(error)})
            return
        except Exception as error:
            self._reason = f"the engine did not load ({type(error).__name__}); see the log"
            log.exception("not ready")
            return
        engine = loaded.engine
        self._capacity.calibrate(loaded.decode_s)
        self._decoders = Decoders(
            engine,
            self._settings.threads,
            self._scheduler,
            self._begin,
            self._end,
            batch=self._settings.asr_batch,
        )
        self._engine = engine
        self._claims.open(engine, loaded.silero, loaded.hot_words)
        self._late.open(engine, loaded.silero, self._decoders)
        self._reason = None
        log.info(
            "ready",
            extra={
                "engine": engine.name,
                "model": engine.model,
                "decode_ms": round(loaded.decode_s * 1e3),
                "slots": self._capacity.slots(0),
            },
        )

    # ── bus ──────────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        chunk = unpack_chunk(payload)
        session = self._sessions.get(chunk.session)
        if session is None:
            self.telemetry.chunks.add("unclaimed")
            return
        self.telemetry.chunks.add(session.receive(chunk, time.monotonic()))
        if session.has_waiting:
            self._audio.set()

    async def _claim(self, payload: bytes) -> ClaimReply:
        claim = ClaimRequest.decode(payload)
        reason = self._claims.why_refuse(claim)
        self.telemetry.claims.add(reason or "accepted")
        if reason is not None:
            return ClaimReply(accepted=False, reason=reason)
        return ClaimReply(accepted=True, next_seq=self._claims.take(claim, time.monotonic()).resumed_at)

    # ── listening and decoding ───────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        while True:
            await self._audio.wait()
            self._audio.clear()
            waiting = [session for session in self._sessions.values() if session.has_waiting]
            until = time.monotonic() + LISTEN_S
            while waiting:
                for session in waiting:
                    session.recogniser.partial_interval_s = self._pace.interval_s(session.last_decode_s)
                    self._do(session, session.listen())
                if self._decoders:
                    self._decoders.dispatch()
                if time.monotonic() >= until:
                    await asyncio.sleep(0)
                    until = time.monotonic() + LISTEN_S
                waiting = [session for session in self._sessions.values() if session.has_waiting]

    def _begin(self, job: Job) -> Segment | None:
        if self._late.owns(job):
            return self._late.begin(job)
        session = self._sessions.get(job.session)
        return session.recogniser.begin(job) if session else None

    def _end(self, job: Job, decoded: Decoded) -> None:
        took_s = decoded.cost_s
        self.telemetry.decodes.add(job.kind.value)
        self.telemetry.decode.record_ms(took_s * 1e3)
        self.telemetry.decode_s += took_s
        if self._late.owns(job):
            self._late.end(job, decoded)
            return
        session = self._sessions.get(job.session)
        if session is None:
            return
        if job.kind is Kind.PARTIAL and decoded.hypothesis is None:
            self.telemetry.partials.add("failed")
        session.last_decode_s = took_s
        self._do(session, session.recogniser.end(job, decoded, time.monotonic()))

    def _do(self, session: Session, actions: list[Action]) -> None:
        """Carry out what a recogniser wants, in its order."""
        for action in actions:
            match action:
                case Job():
                    self._scheduler.submit(action)
                case Withdraw(kind):
                    if self._scheduler.withdraw(session.id, kind) and kind is Kind.PARTIAL:
                        self.telemetry.partials.add("coalesced")
                case PartialText() if self._outbound.qsize() >= OUTBOUND_PARTIALS:
                    self.telemetry.partials.add("outbound-full")
                case PartialText() | FinalText() | Complete():
                    if isinstance(action, FinalText):
                        session.said.add(action)
                        session.unsaid += 1
                    self._outbound.put_nowait((session, action))
                case Retried(reason):
                    self.telemetry.filters.add(f"retried-{reason}")
                case Dropped(reason):
                    self.telemetry.filters.add(f"dropped-{reason}")
                    self.telemetry.finals.add("dropped")
        self._late.tell(session)
        for job in self._scheduler.take_dropped():
            self.telemetry.partials.add("late")
            if (owner := self._sessions.get(job.session)) is not None:
                owner.recogniser.lapse(job)

    async def _publish(self) -> None:
        while True:
            session, what = await self._outbound.get()
            match what:
                case PartialText():
                    await self._publisher.partial(session, what)
                case FinalText():
                    assert self._engine is not None
                    await self._publisher.final(session, what, self._engine)
                    session.unsaid -= 1
                case LateText(late, run):
                    assert self._engine is not None
                    late_ms = run.late_ms(time.monotonic())
                    await self._publisher.final(session, late, self._engine, late_ms)
                case Filled(done):
                    done.set()
                case Complete() if session.backfills:
                    session.held = what
                case Complete(end_sample):
                    if session.has_ended:
                        await self._publisher.complete(session, end_sample)
                    await self._acknowledge([session])  # nothing of it is needed any more
                    self._release(session, "ended" if session.has_ended else "silent")
            self._said.set()

    def _release(self, session: Session, reason: str) -> None:
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
            self._scheduler.forget(session.id)
            self._late.release(session)
            self.telemetry.sessions.add(reason)
            log.info("released", extra={"session": session.id, "epoch": session.epoch, "reason": reason})

    # ── four times a second ──────────────────────────────────────────────────────────────────────────────

    async def _tick(self) -> None:
        before = time.monotonic(), time.process_time(), 0.0, 0
        due = time.monotonic()
        patience = Patience(due)
        while True:
            now, cpu = time.monotonic(), time.process_time()
            worked, decodes = (
                (self._decoders.worked_s, self._decoders.started) if self._decoders else (0.0, 0)
            )
            elapsed = now - before[0]
            self._pace.observe(worked - before[2], elapsed)
            if self._engine is not None:
                work = worked - before[2] if self._engine.is_remote else 0.0
                self._capacity.observe(
                    cpu - before[1] + work, elapsed * len(self._sessions), decodes - before[3]
                )
            before = now, cpu, worked, decodes
            patience.tick(now, self._bus.is_connected)
            for session in list(self._sessions.values()):
                if patience.quiet_s(session.heard_at, now) > SILENT_S and not session.is_finishing:
                    self._do(session, session.finish(now))
            if self._decoders:
                self._decoders.dispatch()
            await self._beat()
            await self._acknowledge(self._sessions.values())
            due = max(due + TICK_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _beat(self) -> None:
        used = len(self._sessions)
        is_open = self._engine is not None and not self._claims.is_draining
        oldest = self._scheduler.oldest_deadline()
        beat = WorkerHeartbeat(
            worker=self.worker,
            slots=self._capacity.slots(used) if is_open else used,
            used=used,
            real_time_factor=self.telemetry.real_time_factor,
            lag_ms=0.0 if oldest is None else max(0.0, (time.monotonic() - oldest) * 1e3),
            draining=self._claims.is_draining,
            bye=self._claims.is_draining,
            engine=self._engine.name if self._engine else self._settings.asr_engine,
            model=self._engine.model if self._engine else os.path.basename(self._settings.asr_model),
            languages=self._claims.offered,
        )
        await self._send(self._bus.subjects.asr_heartbeat(), beat.encode())

    async def _acknowledge(self, sessions: Iterable[Session]) -> None:
        by_ingest: defaultdict[str, list[Ack]] = defaultdict(list)
        is_all_out = not self._bus.has_unsent_events
        for session in sessions:
            by_ingest[session.ingest].append(session.ack(is_all_out))
        for ingest, acks in by_ingest.items():
            batch = AckBatch(worker=self.worker, acks=tuple(acks))
            await self._send(self._bus.subjects.ack(ingest), batch.encode())

    async def _send(self, subject: str, payload: bytes) -> None:
        try:
            await self._bus.publish(subject, payload)
        except BusUnavailable:
            self._bus.faults.add("not-sent")  # the next one, in 250 ms, says more
