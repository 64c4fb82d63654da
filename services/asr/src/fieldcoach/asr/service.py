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
from .decoders import Decoders
from .engines.base import Engine, Segment
from .errors import AsrError
from .jobs import Decoded, Job, Kind
from .late import Filled, LateRanges, LateText, Outbound
from .load import Capacity, Pace
from .loading import load
from .publisher import Publisher
from .recogniser import SessionRecogniser
from .scheduler import Scheduler
from .session import Session
from .settings import AsrSettings
from .telemetry import AsrTelemetry
from .utterance import FinalText, PartialText
from .voice import Silero

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
"""Heartbeats and acks at 4 Hz: an ingest takes a worker for dead after 0.8 s."""
SILENT_S: Final = 5.0
"""A session that sends nothing for so long has gone elsewhere, or nowhere."""
OUTBOUND_PARTIALS: Final = 1_000
"""Beyond this backlog partials are dropped; finals never are, and the recognisers bound them."""
LISTEN_S: Final = 0.005
"""The event loop listens for 5 ms at most before it looks at the bus again."""


class AsrService:
    """One worker process."""

    def __init__(self, settings: AsrSettings, bus: Bus) -> None:
        self._settings = settings
        self._bus = bus
        self.worker = new_id()
        self.telemetry = AsrTelemetry()
        self._publisher = Publisher(bus, self.telemetry)
        self._scheduler = Scheduler()
        self._capacity = Capacity(settings.threads, settings.asr_max_sessions, settings.asr_load_target)
        self._pace = Pace(settings.threads)
        self._sessions: dict[str, Session] = {}
        self._engine: Engine | None = None
        self._decoders: Decoders | None = None
        self._silero: Silero | None = None
        self._hot_words: dict[str, tuple[str, ...]] = {}
        """By playbook."""
        self._reason: str | None = "loading the model"
        self._draining = False
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
        """Say bye, so that open utterances move on at once; publish what has ended; stop."""
        self.begin_draining()
        await self._beat()
        for session in self._sessions.values():
            if session.recogniser.is_pausing:
                self._do(session, session.recogniser.finish(time.monotonic()))
        if self._decoders:
            self._decoders.dispatch()
        deadline = time.monotonic() + self._settings.drain_timeout_s - 1
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
        self._draining = self._late.is_draining = True

    def _owes_finals(self) -> bool:
        owed = any(session.recogniser.owes_finals for session in self._sessions.values())
        return owed or not self._outbound.empty()

    async def _load(self) -> None:
        """Load the engine off the loop. Without a model the worker stays up and says why it is not ready."""

        def progress(come: str) -> None:
            self._reason = f"downloading the model: {come}"

        def not_yet(reason: str) -> None:
            self._reason = reason

        try:
            loaded = await load(self._settings, progress, not_yet)
        except AsrError as error:
            self._reason = str(error)
            log.error("not ready", extra={"error": str(error)})
            return
        except Exception as error:
            self._reason = f"the engine did not load ({type(error).__name__}); see the log"
            log.exception("not ready")
            return
        engine = loaded.engine
        self._silero = loaded.silero
        self._hot_words = loaded.hot_words
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
        reason = self._why_refuse(claim)
        self.telemetry.claims.add(reason or "accepted")
        if reason is None:
            self._take(claim)
        return ClaimReply(accepted=reason is None, reason=reason)

    def _why_refuse(self, claim: ClaimRequest) -> str | None:
        held = self._sessions.get(claim.session)
        if self._draining:
            return "draining"
        if self._engine is None or self._silero is None:
            return "not-ready"
        if not self._languages(claim):
            log.warning(
                "refused a session in other languages than ours",
                extra={"session": claim.session, "wanted": claim.languages, "offered": self._offered()[:10]},
            )
            return "bad-request"
        if held is None:
            used = len(self._sessions)
            return "full" if used >= self._capacity.slots(used) else None
        is_repeat = claim.epoch == held.epoch and claim.from_seq == held.from_seq
        return None if claim.epoch > held.epoch or is_repeat else "bad-request"

    def _take(self, claim: ClaimRequest) -> None:
        held = self._sessions.get(claim.session)
        if held is not None:
            if held.epoch == claim.epoch:
                return  # the reply to the first request was lost
            self._release(held, "claimed-again")
        assert self._engine is not None
        assert self._silero is not None
        languages = self._languages(claim)
        recogniser = SessionRecogniser(
            claim.session,
            languages,
            self._settings.rules_for(languages),
            self._silero.stream(),
            from_seq=claim.from_seq,
            can_retry=self._engine.can_retry,
            hot_words=self._hot_words.get(claim.playbook or "", ()),
        )
        session = Session(claim, recogniser, time.monotonic())
        if held is not None:
            session.numbers, session.partial_numbers = held.numbers, held.partial_numbers
        self._sessions[claim.session] = session
        log.info(
            "claimed", extra={"session": claim.session, "epoch": claim.epoch, "from_seq": claim.from_seq}
        )

    def _offered(self) -> tuple[str, ...]:
        assert self._engine is not None
        known = self._engine.languages
        return tuple(one for one in self._settings.languages if one in known) or known

    def _languages(self, claim: ClaimRequest) -> tuple[str, ...]:
        """The wanted languages that we offer; `hi-Latn` is heard as `hi`."""
        offered = self._offered()
        wanted = dict.fromkeys(language.partition("-")[0] for language in claim.languages)
        return tuple(language for language in wanted if language in offered)

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
            for session in list(self._sessions.values()):
                if now - session.heard_at > SILENT_S and not session.is_finishing:
                    self._do(session, session.finish(now))
            if self._decoders:
                self._decoders.dispatch()
            await self._beat()
            await self._acknowledge(self._sessions.values())
            due = max(due + TICK_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _beat(self) -> None:
        used = len(self._sessions)
        is_open = self._engine is not None and not self._draining
        oldest = self._scheduler.oldest_deadline()
        beat = WorkerHeartbeat(
            worker=self.worker,
            slots=self._capacity.slots(used) if is_open else used,
            used=used,
            real_time_factor=self.telemetry.real_time_factor,
            lag_ms=0.0 if oldest is None else max(0.0, (time.monotonic() - oldest) * 1e3),
            draining=self._draining,
            bye=self._draining,
            engine=self._engine.name if self._engine else self._settings.asr_engine,
            model=self._engine.model if self._engine else os.path.basename(self._settings.asr_model),
            languages=self._offered() if self._engine else (),
        )
        await self._send(self._bus.subjects.asr_heartbeat(), beat.encode())

    async def _acknowledge(self, sessions: Iterable[Session]) -> None:
        by_ingest: defaultdict[str, list[Ack]] = defaultdict(list)
        now = time.monotonic()
        for session in sessions:
            if (ack := session.ack(now)) is not None:
                by_ingest[session.ingest].append(ack)
        for ingest, acks in by_ingest.items():
            batch = AckBatch(worker=self.worker, acks=tuple(acks))
            await self._send(self._bus.subjects.ack(ingest), batch.encode())

    async def _send(self, subject: str, payload: bytes) -> None:
        try:
            await self._bus.publish(subject, payload)
        except BusUnavailable:
            self._bus.faults.add("not-sent")  # the next one, in 250 ms, says more
