"""Which sessions this process has: room for a new one, where one stood that another ingest had, their end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from fieldcoach.common.bus import Bus, Handler
from fieldcoach.common.errors import BusUnavailable
from fieldcoach.common.messages import Problem, SignalReply, SignalRequest

from .delivery import DeliveryTiming
from .life import LifeTiming
from .resumption import Resumption, resumption
from .session import Session, SessionTiming
from .settings import IngestSettings
from .telemetry import IngestTelemetry
from .workers import WorkerTable

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 5
"""What a phone without a place is told; a visit lasts minutes, so places come free all the time."""


def timing_of(settings: IngestSettings) -> SessionTiming:
    """What the settings say of how long is waited for what."""
    return SessionTiming(
        LifeTiming(
            suspend_after=settings.suspend_after_s,
            free_after=settings.free_media_after_s,
            end_after=settings.end_after_s,
            longest=settings.max_session_s,
        ),
        DeliveryTiming(ack_timeout=settings.ack_timeout_s),
    )


class Placement:
    """The sessions, by id; each listens to its events on the bus."""

    def __init__(
        self,
        settings: IngestSettings,
        bus: Bus,
        telemetry: IngestTelemetry,
        workers: WorkerTable,
        mark: Callable[[Session], None],
        on_control: Handler,
        on_final: Handler,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._telemetry = telemetry
        self._workers = workers
        self._mark = mark
        self._on_control = on_control
        self._on_final = on_final
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._offering: dict[str, asyncio.Lock] = {}
        self.sessions: dict[str, Session] = {}
        """By id; an ended one stays until its transcript is complete."""
        self.is_draining = False
        self._timing = timing_of(settings)

    def open_sessions(self) -> int:
        """Sessions that have not ended."""
        return sum(not session.life.has_ended for session in self.sessions.values())

    @asynccontextmanager
    async def offering(self, session: str) -> AsyncIterator[None]:
        """Two offers of one phone at once: one after the other."""
        async with self._offering.setdefault(session, asyncio.Lock()):
            yield
        if session not in self.sessions:
            self._offering.pop(session, None)

    async def place(self, request: SignalRequest) -> Session | SignalReply:
        """The session, a new one if there is room; else what to answer."""
        refusal = self._why_no_place(request.session)
        if refusal is not None:
            self._telemetry.offers.add(refusal.type)
            return SignalReply(problem=refusal)
        past: Resumption | None = None
        if request.resumes and request.session not in self.sessions:
            past = await self._past(request.session)
            if past.has_ended:
                return problem("not-found", 404, "No media", "this session has ended")
        try:
            return await self._session(request, past)
        except BusUnavailable:
            return problem("not-ready", 503, "No media", "lost NATS", retry_after_s=RETRY_AFTER_S)

    def _why_no_place(self, session: str) -> Problem | None:
        if self.is_draining:
            return _refusal("not-ready", "this ingest is stopping")
        known = self.sessions.get(session)
        if known is not None and known.life.has_ended:
            return Problem(type="not-found", title="No media", status=404, detail="this session has ended")
        if known is None and self.open_sessions() >= self._settings.max_sessions:
            return _refusal("no-capacity", "this ingest is full")
        return None

    async def _past(self, session: str) -> Resumption:
        """Where the session stood when its ingest went."""
        subjects = self._bus.subjects
        replayed = await self._bus.replay([subjects.control(session), subjects.final(session)])
        return resumption([event for event, _ in replayed])

    async def _session(self, request: SignalRequest, past: Resumption | None) -> Session:
        session = self.sessions.get(request.session)
        if session is None:
            session = Session(
                request.session,
                request.languages,
                self._workers,
                self._telemetry,
                lambda: self._bus.is_connected,
                self._mark,
                time.monotonic(),
                self._timing,
                past,
                self._settings.rung or None,
                playbook=request.playbook,
            )
            subjects = self._bus.subjects
            self._subscriptions[session.id] = [
                await self._bus.subscribe(subjects.control(session.id), self._on_control),
                await self._bus.subscribe(subjects.final(session.id), self._on_final),
            ]
            self.sessions[session.id] = session
        return session

    async def forget(self, session: Session) -> None:
        """Nothing of the session is needed any more."""
        self.sessions.pop(session.id, None)
        self._offering.pop(session.id, None)
        for subscription in self._subscriptions.pop(session.id, []):
            await self.unsubscribe(subscription)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Take a subscription back."""
        if not self._bus.is_connected:
            return  # the server has forgotten it, and a closed client can't be asked
        try:
            await subscription.unsubscribe()
        except NatsError:
            self._bus.faults.add("unsubscribe")


def problem(
    kind: str, status: int, title: str, detail: str, fix: str | None = None, retry_after_s: int | None = None
) -> SignalReply:
    """A reply that says what is wrong."""
    return SignalReply(
        problem=Problem(
            type=kind, title=title, status=status, detail=detail, fix=fix, retry_after_s=retry_after_s
        )
    )


def _refusal(kind: str, detail: str) -> Problem:
    return Problem(type=kind, title="No place", status=503, detail=detail, retry_after_s=RETRY_AFTER_S)
