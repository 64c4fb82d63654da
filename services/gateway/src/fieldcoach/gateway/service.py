"""The gateway's shell: heartbeats in, HTTP out, and an end that tells every client to connect again."""

import logging
import time

from fieldcoach.common.bus import Bus
from fieldcoach.common.messages import IngestHeartbeat, WorkerHeartbeat, decode_event
from fieldcoach.common.subjects import session_of
from fieldcoach.common.telemetry import Headers

from .app import build_app
from .channel import CloseCode
from .gateway import build_gateway
from .server import WebServer
from .settings import GatewaySettings

log = logging.getLogger(__name__)


class GatewayService:
    """One gateway process. Any gateway of the region serves any session."""

    def __init__(self, settings: GatewaySettings, bus: Bus) -> None:
        self._bus = bus
        self._draining = False
        self.gateway = build_gateway(settings, bus, self.why_not_ready)
        self._server = WebServer(
            build_app(self.gateway), settings.host, settings.port, settings.forwarded_allow_ips
        )
        self._host = settings.host

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def start(self) -> None:
        """Hear the heartbeats, then listen."""
        subjects = self._bus.subjects
        await self._bus.subscribe(subjects.ingest_heartbeat(), self._hear_ingest)
        await self._bus.subscribe(subjects.asr_heartbeat(), self._hear_worker)
        await self._bus.subscribe(subjects.control_of_all(), self._hear_control)
        await self._server.start()
        log.info("listening", extra={"host": self._host, "port": self.port})

    async def drain(self) -> None:
        """Send the clients to another gateway (1012), finish the requests, stop."""
        self._draining = True
        self.gateway.active.close_all(CloseCode.GOING_AWAY)
        self.gateway.active_audio.close_all(CloseCode.GOING_AWAY)
        await self._server.stop()

    def why_not_ready(self) -> str | None:
        """None when ready.

        Whether there are ingests and workers is no part of it: events and summaries are served without
        them, and a new session gets a 503 that says what is missing.
        """
        if self._draining:
            return "draining"
        return None if self._bus.is_connected else "lost NATS"

    def _hear_control(self, subject: str, payload: bytes, headers: Headers) -> None:
        self.gateway.sessions.heard_control(subject, payload, headers)
        session = session_of(subject)
        if self.gateway.active_audio.has(session):
            event = decode_event(payload)
            if event.kind == "ending" or (event.kind == "state" and event.state == "ended"):
                self.gateway.active_audio.ended(session)

    def _hear_ingest(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        self.gateway.fleet.heard_ingest(IngestHeartbeat.decode(payload), time.monotonic())

    def _hear_worker(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        self.gateway.fleet.heard_worker(WorkerHeartbeat.decode(payload), time.monotonic())
