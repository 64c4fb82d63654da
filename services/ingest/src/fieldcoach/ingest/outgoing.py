"""What leaves a session: chunks and events to the bus, claims of workers, connections to close."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable, MessageRejected
from fieldcoach.common.messages import ClaimReply, ClaimRequest

from .delivery import Claim
from .filling import Filling
from .session import Session
from .telemetry import IngestTelemetry

log = logging.getLogger(__name__)


class Outgoing:
    """One path for all sessions: whoever has something is marked, one task sends."""

    def __init__(self, ingest: str, bus: Bus, telemetry: IngestTelemetry, claim_timeout_s: float) -> None:
        self._ingest = ingest
        self._bus = bus
        self._telemetry = telemetry
        self._claim_timeout_s = claim_timeout_s
        self._filling = Filling(bus, telemetry, self.mark)
        self._dirty: dict[str, Session] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        """Connections on their way out: one that is stopped halfway would leave its socket open."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside; `stop` ends it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._closing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task failed", exc_info=task.exception())

    async def stop(self) -> None:
        """End what was spawned, but what is being closed."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait for what was spawned, and for what is being closed."""
        await asyncio.gather(*self._tasks, *self._closing, return_exceptions=True)

    def forget(self, session: Session) -> None:
        """Nothing more is sent for it."""
        self._dirty.pop(session.id, None)

    def mark(self, session: Session) -> None:
        """The session has something."""
        self._dirty[session.id] = session
        self._wake.set()

    async def run(self) -> None:
        """The one path by which anything of a session leaves."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            dirty, self._dirty = self._dirty, {}
            for session in dirty.values():
                try:
                    await self.send(session)
                except BusUnavailable:
                    self._bus.faults.add("chunk-kept")  # its next tick marks the session again

    async def send(self, session: Session) -> None:
        """Everything that this session has.

        Raises:
            BusUnavailable: not now; what is left stays where it is.
        """
        while session.claims:
            self.spawn(self._claim(session, session.claims.popleft()))
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
            task = asyncio.create_task(session.retired.popleft().close())
            self._closing.add(task)
            task.add_done_callback(self._done)
        if (late := self._filling.take(session)) is not None:
            self.spawn(self._filling.fill(session, *late))

    async def _claim(self, session: Session, claim: Claim) -> None:
        request = ClaimRequest(
            session=session.id,
            epoch=claim.epoch,
            from_seq=claim.from_seq,
            ingest=self._ingest,
            languages=session.languages,
            playbook=session.playbook,
        )
        subject = self._bus.subjects.asr_claim(claim.worker)
        try:
            reply = await self._bus.request(subject, request, ClaimReply, self._claim_timeout_s)
        except (BusUnavailable, MessageRejected) as error:
            self._telemetry.claims.add(type(error).__name__)
            session.refused(claim, time.monotonic())
            return
        now = time.monotonic()
        if reply.accepted:
            self._telemetry.claims.add("accepted")
            session.claimed(claim, now)
        else:
            self._telemetry.claims.add(f"refused-{reply.reason or 'unsaid'}")
            session.refused(claim, now)
