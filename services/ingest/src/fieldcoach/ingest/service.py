"""Wires sessions to the bus: signalling in, chunks and events out, heartbeats both ways."""

import asyncio
import logging
import resource
import time
from typing import Final

from nats.aio.subscription import Subscription

from fieldcoach.common.backfill import parse_records
from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    AckBatch,
    BackfillPackets,
    FinalTranscript,
    IngestHeartbeat,
    OpusFrames,
    ProfileApplied,
    SessionEnding,
    TranscriptComplete,
    WorkerHeartbeat,
    decode_event,
)
from fieldcoach.common.telemetry import Headers

from .addresses import MediaAddresses, choose_hosts, parse_hosts, parse_ports
from .opus_source import take
from .outgoing import Outgoing
from .placement import Placement
from .rtc_tap import host_addresses
from .session import Session
from .settings import IngestSettings
from .signalling import Signalling
from .telemetry import IngestTelemetry, wall_offset_s
from .workers import WorkerTable

log = logging.getLogger(__name__)

TICK_S: Final = 0.01
"""Half of the shortest packet: what a session does by the clock is late by 5 ms on average. A turn costs a
session nothing but one comparison, unless it is due."""
HEARTBEAT_S: Final = 0.5
SESSION_FILES: Final = 2
"""Sockets of a phone with one address, while a second connection comes up."""
OTHER_FILES: Final = 64


class IngestService:
    """All sessions of one process."""

    def __init__(self, settings: IngestSettings, bus: Bus) -> None:
        self.id = new_id()
        self.telemetry = IngestTelemetry()
        self._settings = settings
        self._bus = bus
        self._workers = WorkerTable(settings.worker_fresh_s)
        self._outgoing = Outgoing(self.id, bus, self.telemetry, settings.claim_timeout_s)
        self._placement = Placement(
            settings,
            bus,
            self.telemetry,
            self._workers,
            self._outgoing.mark,
            self._on_control,
            self._on_final,
        )
        self._own: list[Subscription] = []
        self.telemetry.gauge("ingest_sessions", self._placement.open_sessions, "Sessions that have not ended")
        self.telemetry.gauge("ingest_chunks_held", self._chunks_held, "Chunks in all rings")

    @property
    def sessions(self) -> dict[str, Session]:
        """By id; an ended one stays until its transcript is complete."""
        return self._placement.sessions

    # ── life of the process ──────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Listen for workers, acks and signalling, and say that we are here."""
        settings = self._settings
        hosts = choose_hosts(parse_hosts(settings.media_hosts), host_addresses())
        addresses = MediaAddresses(hosts, settings.media_bind, parse_ports(settings.media_ports))
        signalling = Signalling(self._placement, addresses, self.telemetry)
        log.info("media addresses", extra={"hosts": hosts, "bind": settings.media_bind, "ingest": self.id})
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if files < SESSION_FILES * settings.max_sessions + OTHER_FILES:
            log.warning(
                "too few open files for MAX_SESSIONS: raise the hard limit (ulimit -Hn), or lower it",
                extra={"limit": files, "max_sessions": settings.max_sessions, "each_takes": SESSION_FILES},
            )
        subjects = self._bus.subjects
        self._own = [
            await self._bus.subscribe(subjects.asr_heartbeat(), self._on_worker),
            await self._bus.subscribe(subjects.ack(self.id), self._on_acks),
            await self._bus.subscribe(subjects.opus_of_ingest(self.id), self._on_opus),
            await self._bus.subscribe(subjects.backfill_of_ingest(self.id), self._on_backfill),
            await self._bus.serve(subjects.signal(self.id), signalling.answer),
        ]
        self._bus.on_reconnect(self._on_reconnect)
        for loop in (self._tick_loop(), self._outgoing.run(), self._heartbeat_loop()):
            self._outgoing.spawn(loop)

    async def drain(self) -> None:
        """Take no more, end every visit so that the coach sums up what was heard, send what is left."""
        self._placement.is_draining = True
        await self._send_heartbeat()
        now = time.monotonic()
        for session in self.sessions.values():
            session.end("ingest-stopping", now, announce=True)
        await self._outgoing.stop()
        for session in list(self.sessions.values()):
            try:
                await self._outgoing.send(session)
            except BusUnavailable:
                self._bus.faults.add("drain")
            await self._forget(session)
        for subscription in self._own:
            await self._placement.unsubscribe(subscription)
        await self._outgoing.settle()

    def why_not_ready(self) -> str | None:
        """Without an asr worker audio waits in the rings, so that is no reason."""
        return "draining" if self._placement.is_draining else None

    def _chunks_held(self) -> int:
        return sum(session.delivery.held for session in self.sessions.values())

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
        self._outgoing.mark(session)

    def _on_control(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        event = decode_event(payload)
        session = self.sessions.get(event.session)
        if session is None:
            return
        if isinstance(event, SessionEnding):
            session.end(event.reason, time.monotonic(), announce=False)
        elif isinstance(event, ProfileApplied):
            session.adaptation.applied(event.command, event.rung, time.monotonic())
            self.telemetry.applied(event)
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

    # ── the clock ────────────────────────────────────────────────────────────────────────────────────────

    async def _heartbeat_loop(self) -> None:
        while True:
            await self._send_heartbeat()
            await asyncio.sleep(HEARTBEAT_S)

    async def _send_heartbeat(self) -> None:
        heartbeat = IngestHeartbeat(
            ingest=self.id,
            sessions=self._placement.open_sessions(),
            capacity=self._settings.max_sessions,
            asr_slots_free=self._workers.slots_free(time.monotonic()),
            draining=self._placement.is_draining,
        )
        try:
            await self._bus.publish(self._bus.subjects.ingest_heartbeat(), heartbeat.encode())
        except BusUnavailable:
            self._bus.faults.add("heartbeat-unsent")

    async def _tick_loop(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for session in [session for session in self.sessions.values() if now >= session.due_at]:
                try:
                    session.tick(now)
                    for peer in session.peers:
                        await peer.upkeep(now)
                    if session.is_gone(now):
                        await self._forget(session)
                except Exception:  # one session's fault must not stop the clock of the others
                    self._bus.faults.add("tick")
                    log.exception("tick failed", extra={"session": session.id})

    async def _forget(self, session: Session) -> None:
        self._outgoing.forget(session)
        await self._placement.forget(session)
