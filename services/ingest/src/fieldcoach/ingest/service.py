"""Wires sessions to the bus: signalling in, chunks and events out, heartbeats both ways."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from fieldcoach.common.backfill import parse_records
from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable, MessageRejected
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    AckBatch,
    BackfillAudio,
    BackfillPackets,
    BackfillReply,
    ClaimReply,
    ClaimRequest,
    FinalTranscript,
    IngestHeartbeat,
    Message,
    OpusFrames,
    Problem,
    ProfileApplied,
    SessionEnding,
    SignalReply,
    SignalRequest,
    TranscriptComplete,
    WorkerHeartbeat,
    decode_event,
)
from fieldcoach.common.telemetry import Headers

from .addresses import MediaAddresses, choose_hosts, parse_hosts, parse_ports
from .backfill import decode_range
from .delivery import Claim, DeliveryTiming
from .errors import NoMediaAddress, OfferRejected
from .fragment import parse_fragment
from .life import LifeTiming
from .missing import Range
from .negotiation import parse_offer
from .opus_source import OpusSource, take
from .peer import Peer
from .resumption import Resumption, resumption
from .rtc_tap import host_addresses
from .session import Session, SessionTiming
from .settings import IngestSettings
from .telemetry import IngestTelemetry, wall_offset_s
from .whip_resource import ANY
from .workers import WorkerTable

log = logging.getLogger(__name__)

TICK_S: Final = 0.01
"""Half of the shortest packet: what a session does by the clock is late by 5 ms on average."""
HEARTBEAT_S: Final = 0.5
PIECE_BYTES: Final = 60_000
"""Of back-filled PCM in one message: the bus takes 80 KB."""
BACKFILL_TIMEOUT_S: Final = 30.0
"""A range of 16 s is decoded in a second; on a busy worker live words come before it."""
RETRY_AFTER_S: Final = 5
"""What a phone without a place is told; a visit lasts minutes, so places come free all the time."""


class IngestService:
    """All sessions of one process."""

    def __init__(self, settings: IngestSettings, bus: Bus) -> None:
        self.id = new_id()
        self.telemetry = IngestTelemetry()
        self._settings = settings
        self._bus = bus
        self._workers = WorkerTable(settings.worker_fresh_s)
        self.sessions: dict[str, Session] = {}
        """By id; an ended one stays until its transcript is complete."""
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._own: list[Subscription] = []
        self._dirty: dict[str, Session] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._filling: set[str] = set()
        """Sessions of which a range is at the worker."""
        self._offering: dict[str, asyncio.Lock] = {}
        self._is_draining = False
        self._addresses = MediaAddresses(())
        self._timing = SessionTiming(
            LifeTiming(
                settings.suspend_after_s,
                settings.free_media_after_s,
                settings.end_after_s,
                settings.max_session_s,
            ),
            DeliveryTiming(ack_timeout=settings.ack_timeout_s),
        )
        self.telemetry.gauge("ingest_sessions", self._open_sessions, "Sessions that have not ended")
        self.telemetry.gauge("ingest_chunks_held", self._chunks_held, "Chunks in all rings")

    # ── life of the process ──────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Listen for workers, acks and signalling, and say that we are here."""
        settings = self._settings
        hosts = choose_hosts(parse_hosts(settings.media_hosts), host_addresses())
        self._addresses = MediaAddresses(hosts, settings.media_bind, parse_ports(settings.media_ports))
        log.info("media addresses", extra={"hosts": hosts, "bind": settings.media_bind, "ingest": self.id})
        subjects = self._bus.subjects
        self._own = [
            await self._bus.subscribe(subjects.asr_heartbeat(), self._on_worker),
            await self._bus.subscribe(subjects.ack(self.id), self._on_acks),
            await self._bus.subscribe(subjects.opus_of_ingest(self.id), self._on_opus),
            await self._bus.subscribe(subjects.backfill_of_ingest(self.id), self._on_backfill),
            await self._bus.serve(subjects.signal(self.id), self._on_signal),
        ]
        self._bus.on_reconnect(self._on_reconnect)
        for loop in (self._tick_loop(), self._send_loop(), self._heartbeat_loop()):
            self._spawn(loop)

    async def drain(self) -> None:
        """Take no more, end every visit so that the coach sums up what was heard, send what is left."""
        self._is_draining = True
        await self._send_heartbeat()
        now = time.monotonic()
        for session in self.sessions.values():
            session.end("ingest-stopping", now, announce=True)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in list(self.sessions.values()):
            try:
                await self._send(session)
            except BusUnavailable:
                self._bus.faults.add("drain")
            await self._forget(session)
        for subscription in self._own:
            await self._unsubscribe(subscription)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def why_not_ready(self) -> str | None:
        """Without an asr worker audio waits in the rings, so that is no reason."""
        return "draining" if self._is_draining else None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task failed", exc_info=task.exception())

    def _open_sessions(self) -> int:
        return sum(not session.life.has_ended for session in self.sessions.values())

    def _chunks_held(self) -> int:
        return sum(session.delivery.held for session in self.sessions.values())

    # ── signalling ───────────────────────────────────────────────────────────────────────────────────────

    async def _on_signal(self, payload: bytes) -> Message:
        request = SignalRequest.decode(payload)
        if request.action in ("offer", "audio"):
            lock = self._offering.setdefault(request.session, asyncio.Lock())
            async with lock:  # two offers of one phone at once: one after the other
                reply = await (self._offer if request.action == "offer" else self._audio)(request)
            if request.session not in self.sessions:
                self._offering.pop(request.session, None)
            return reply
        session = self.sessions.get(request.session)
        if session is None:
            return _problem("not-found", 404, "No media", "this session has no media here")
        now = time.monotonic()
        match request.action:
            case "pause":
                session.pause(now)
            case "resume":
                session.resume(now)
            case "end":
                session.end("user", now, announce=False)
            case "close" | "restart" | "trickle":
                return await self._on_resource(session, request, now)
        return SignalReply()

    async def _on_resource(self, session: Session, request: SignalRequest, now: float) -> SignalReply:
        """What is asked of one peer connection."""
        peer = session.find(request.resource)
        if isinstance(peer, Problem):
            return SignalReply(problem=peer)
        if request.action == "close":
            session.on_lost(peer, "closed", now)
            return SignalReply()
        try:
            fragment = parse_fragment(request.sdp)
        except OfferRejected as rejected:
            return SignalReply(problem=rejected.problem)
        reply = await peer.patch(fragment, ANY if request.action == "restart" else request.etag)
        if reply.sdp:
            session.restarted(now)
        return reply

    async def _offer(self, request: SignalRequest) -> SignalReply:
        try:
            offer = parse_offer(request.sdp)
        except OfferRejected as rejected:
            self.telemetry.offers.add(rejected.problem.type)
            return SignalReply(problem=rejected.problem)
        session = await self._place(request)
        if isinstance(session, SignalReply):
            return session
        peer = Peer(offer, self._addresses, session, self.telemetry.transports.add)
        try:
            sdp = await peer.answer(session.profile)
        except NoMediaAddress as error:
            await peer.close()
            self.telemetry.offers.add("no-media-address")
            log.error("no media address", extra={"error": str(error)})
            return _problem("not-ready", 503, "No media", str(error), retry_after_s=RETRY_AFTER_S)
        if session.life.has_ended:  # while the sockets were opened
            await peer.close()
            return _problem("not-found", 404, "No media", "this session has ended")
        session.attach(peer, time.monotonic())
        self.telemetry.offers.add("answered")
        return SignalReply(sdp=sdp, etag=peer.resource.etag)

    async def _audio(self, request: SignalRequest) -> SignalReply:
        """A WebSocket of a phone at a gateway; its sound will come as `OpusFrames`."""
        session = await self._place(request)
        if isinstance(session, SignalReply):
            return session
        source = OpusSource(request.resource)
        session.attach(source, time.monotonic())
        self.telemetry.offers.add("websocket")
        return SignalReply(etag=source.resource.etag)

    async def _place(self, request: SignalRequest) -> Session | SignalReply:
        """The session, a new one if there is room; else what to answer."""
        refusal = self._why_no_place(request.session)
        if refusal is not None:
            self.telemetry.offers.add(refusal.type)
            return SignalReply(problem=refusal)
        past: Resumption | None = None
        if request.resumes and request.session not in self.sessions:
            past = await self._past(request.session)
            if past.has_ended:
                return _problem("not-found", 404, "No media", "this session has ended")
        try:
            return await self._session(request, past)
        except BusUnavailable:
            return _problem("not-ready", 503, "No media", "lost NATS", retry_after_s=RETRY_AFTER_S)

    def _why_no_place(self, session: str) -> Problem | None:
        if self._is_draining:
            return _refusal("not-ready", "this ingest is stopping")
        known = self.sessions.get(session)
        if known is not None and known.life.has_ended:
            return Problem(type="not-found", title="No media", status=404, detail="this session has ended")
        if known is None and self._open_sessions() >= self._settings.max_sessions:
            return _refusal("no-capacity", "this ingest is full")
        return None

    async def _past(self, session: str) -> Resumption:
        """Where the session stood when its ingest went."""
        events = []
        subjects = self._bus.subjects
        for payload, _ in await self._bus.replay([subjects.control(session), subjects.final(session)]):
            try:
                events.append(decode_event(payload))
            except MessageRejected as rejected:
                self._bus.faults.add(f"rejected-{rejected.reason}")
        return resumption(events)

    async def _session(self, request: SignalRequest, past: Resumption | None) -> Session:
        session = self.sessions.get(request.session)
        if session is None:
            session = Session(
                request.session,
                request.languages,
                self._workers,
                self.telemetry,
                lambda: self._bus.is_connected,
                self._mark,
                time.monotonic(),
                self._timing,
                past,
                playbook=request.playbook,
            )
            subjects = self._bus.subjects
            self._subscriptions[session.id] = [
                await self._bus.subscribe(subjects.control(session.id), self._on_control),
                await self._bus.subscribe(subjects.final(session.id), self._on_final),
            ]
            self.sessions[session.id] = session
        return session

    async def _forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        self._dirty.pop(session.id, None)
        self._offering.pop(session.id, None)
        for subscription in self._subscriptions.pop(session.id, []):
            await self._unsubscribe(subscription)

    async def _unsubscribe(self, subscription: Subscription) -> None:
        if not self._bus.is_connected:
            return  # the server has forgotten it, and a closed client can't be asked
        try:
            await subscription.unsubscribe()
        except NatsError:
            self._bus.faults.add("unsubscribe")

    # ── from the bus ─────────────────────────────────────────────────────────────────────────────────────

    def _on_worker(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        heartbeat = WorkerHeartbeat.decode(payload)
        now = time.monotonic()
        self._workers.heard(heartbeat, now)
        if heartbeat.bye:
            for session in self.sessions.values():
                if session.delivery.worker == heartbeat.worker:
                    session.worker_changed(now)

    def _on_acks(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        batch = AckBatch.decode(payload)
        now = time.monotonic()
        for ack in batch.acks:
            session = self.sessions.get(ack.session)
            if session is None:
                self.telemetry.acks.add("unknown-session")
                continue
            self.telemetry.acks.add(session.acked(batch.worker, ack, now))

    def _on_opus(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        frames = OpusFrames.decode(payload)
        session = self.sessions.get(frames.session)
        if session is None or frames.purpose != "live":
            self.telemetry.packets.add("unknown-session", len(frames.packets))
            return
        take(session, frames, time.monotonic(), self.telemetry.packets.add)

    def _on_backfill(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        packets = BackfillPackets.decode(payload)
        session = self.sessions.get(packets.session)
        if session is None:
            self.telemetry.backfill.add("unknown-session")
            return
        for record in parse_records(packets.records):
            session.missing.receive(record)
        self._mark(session)

    def _on_control(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        event = decode_event(payload)
        session = self.sessions.get(event.session)
        if session is None:
            return
        if isinstance(event, SessionEnding):
            session.end(event.reason, time.monotonic(), announce=False)
        elif isinstance(event, ProfileApplied):
            session.adaptation.commands.applied(event.command, event.rung)
        elif isinstance(event, TranscriptComplete):
            session.transcript_complete(time.monotonic())

    def _on_final(self, _subject: str, payload: bytes, headers: Headers) -> None:
        final = decode_event(payload)
        session = self.sessions.get(final.session)
        if session is None or not isinstance(final, FinalTranscript) or final.backfill:
            return
        uplink = session.uplinks.of(final.end_sample)
        self.telemetry.trace_uplink(final, headers, uplink, wall_offset_s())

    async def _on_reconnect(self) -> None:
        now = time.monotonic()
        for session in list(self.sessions.values()):
            session.worker_changed(now)

    # ── to the bus ───────────────────────────────────────────────────────────────────────────────────────

    def _mark(self, session: Session) -> None:
        self._dirty[session.id] = session
        self._wake.set()

    async def _send_loop(self) -> None:
        """The one path by which anything of a session leaves."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            dirty, self._dirty = self._dirty, {}
            for session in dirty.values():
                try:
                    await self._send(session)
                except BusUnavailable:
                    self._bus.faults.add("chunk-kept")  # its next tick marks the session again

    async def _send(self, session: Session) -> None:
        while session.claims:
            self._spawn(self._claim(session, session.claims.popleft()))
        delivery = session.delivery
        while self._bus.can_publish and (item := delivery.peek()) is not None:
            worker, chunk, packed = item
            await self._bus.publish(self._bus.subjects.audio(worker, session.id), packed)
            now = time.monotonic()
            delivery.sent(now)
            session.uplinks.published(chunk, now)
        while session.outbox:
            await self._bus.publish_event(session.outbox.popleft())
        while session.retired:
            self._spawn(session.retired.popleft().close())
        if session.id not in self._filling and delivery.worker is not None:
            late = session.missing.take_ready(time.monotonic())
            if late is not None:
                self._filling.add(session.id)
                self._spawn(self._fill(session, late, delivery.worker))

    async def _fill(self, session: Session, late: Range, worker: str) -> None:
        """Have one range transcribed; one at a time, since live words come first."""
        try:
            refusal = await self._transcribe(session, late, worker)
            if refusal is None:
                session.missing.filled(late)
            else:
                session.missing.failed(late, time.monotonic())
                self.telemetry.backfill.add(refusal)
            log.info(
                "missing range",
                extra={"session": session.id, "range": late.number, "outcome": refusal or "filled"},
            )
        finally:
            self._filling.discard(session.id)
            self._mark(session)

    async def _transcribe(self, session: Session, late: Range, worker: str) -> str | None:
        """Returns when the words are out; else why they are not."""
        stretch = await asyncio.to_thread(decode_range, late, self.telemetry.backfill.add)
        parts = [stretch.pcm[at : at + PIECE_BYTES] for at in range(0, len(stretch.pcm), PIECE_BYTES)]
        subject = self._bus.subjects.asr_backfill(worker)
        for piece, pcm in enumerate(parts):
            request = BackfillAudio(
                session=session.id,
                range=late.number,
                first_sample=stretch.first_sample,
                hole_first_sample=late.first,
                hole_end_sample=late.end,
                late_ms=session.late_ms(late.end, time.monotonic()),
                piece=piece,
                pieces=len(parts),
                pcm=pcm,
            )
            try:
                reply = await self._bus.request(subject, request, BackfillReply, BACKFILL_TIMEOUT_S)
            except (BusUnavailable, MessageRejected) as error:
                return type(error).__name__
            if not reply.accepted:
                return f"refused-{reply.reason or 'unsaid'}"
        return None

    async def _claim(self, session: Session, claim: Claim) -> None:
        request = ClaimRequest(
            session=session.id,
            epoch=claim.epoch,
            from_seq=claim.from_seq,
            ingest=self.id,
            languages=session.languages,
            playbook=session.playbook,
        )
        subject = self._bus.subjects.asr_claim(claim.worker)
        try:
            reply = await self._bus.request(subject, request, ClaimReply, self._settings.claim_timeout_s)
        except (BusUnavailable, MessageRejected) as error:
            self.telemetry.claims.add(type(error).__name__)
            session.refused(claim, time.monotonic())
            return
        now = time.monotonic()
        if reply.accepted:
            self.telemetry.claims.add("accepted")
            session.claimed(claim, now)
        else:
            self.telemetry.claims.add(f"refused-{reply.reason or 'unsaid'}")
            session.refused(claim, now)

    async def _heartbeat_loop(self) -> None:
        while True:
            await self._send_heartbeat()
            await asyncio.sleep(HEARTBEAT_S)

    async def _send_heartbeat(self) -> None:
        heartbeat = IngestHeartbeat(
            ingest=self.id,
            sessions=self._open_sessions(),
            capacity=self._settings.max_sessions,
            asr_slots_free=self._workers.slots_free(time.monotonic()),
            draining=self._is_draining,
        )
        try:
            await self._bus.publish(self._bus.subjects.ingest_heartbeat(), heartbeat.encode())
        except BusUnavailable:
            self._bus.faults.add("heartbeat-unsent")

    # ── the clock ────────────────────────────────────────────────────────────────────────────────────────

    async def _tick_loop(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for session in list(self.sessions.values()):
                try:
                    session.tick(now)
                    for peer in session.peers:
                        await peer.upkeep(now)
                    if session.is_gone(now):
                        await self._forget(session)
                except Exception:  # one session's fault must not stop the clock of the others
                    self._bus.faults.add("tick")
                    log.exception("tick failed", extra={"session": session.id})


def _problem(
    kind: str, status: int, title: str, detail: str, fix: str | None = None, retry_after_s: int | None = None
) -> SignalReply:
    return SignalReply(
        problem=Problem(
            type=kind, title=title, status=status, detail=detail, fix=fix, retry_after_s=retry_after_s
        )
    )


def _refusal(kind: str, detail: str) -> Problem:
    return Problem(type=kind, title="No place", status=503, detail=detail, retry_after_s=RETRY_AFTER_S)
