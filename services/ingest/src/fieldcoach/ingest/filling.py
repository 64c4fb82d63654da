"""Back-fill on its way out: a range that the phone has sent is decoded, and transcribed by the worker."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable, MessageRejected
from fieldcoach.common.messages import BackfillAudio, BackfillReply

from .backfill import decode_range
from .missing import Range
from .session import Session
from .telemetry import IngestTelemetry

log = logging.getLogger(__name__)

PIECE_BYTES: Final = 60_000
"""Of back-filled PCM in one message: the bus takes 80 KB."""
BACKFILL_TIMEOUT_S: Final = 30.0
"""A range of 16 s is decoded in a second; on a busy worker live words come before it."""


class Filling:
    """Has ranges transcribed, one at a time of each session. `mark` is told when the next one may go."""

    def __init__(self, bus: Bus, telemetry: IngestTelemetry, mark: Callable[[Session], None]) -> None:
        self._bus = bus
        self._telemetry = telemetry
        self._mark = mark
        self._filling: set[str] = set()
        """Sessions of which a range is at the worker."""

    def take(self, session: Session) -> tuple[Range, str] | None:
        """The next range and the worker for it; answer with `fill`."""
        worker = session.delivery.worker
        if session.id in self._filling or worker is None:
            return None
        late = session.missing.take_ready(time.monotonic())
        if late is None:
            return None
        self._filling.add(session.id)
        return late, worker

    async def fill(self, session: Session, late: Range, worker: str) -> None:
        """Have one range transcribed; one at a time, since live words come first."""
        try:
            refusal = await self._transcribe(session, late, worker)
            if refusal is None:
                session.missing.filled(late)
            else:
                session.unfilled(late, worker, refusal, time.monotonic())
                self._telemetry.backfill.add(refusal)
            log.info(
                "missing range",
                extra={"session": session.id, "range": late.number, "outcome": refusal or "filled"},
            )
        finally:
            self._filling.discard(session.id)
            self._mark(session)

    async def _transcribe(self, session: Session, late: Range, worker: str) -> str | None:
        """Returns when the words are out; else why they are not."""
        stretch = await asyncio.to_thread(decode_range, late, self._telemetry.backfill.add)
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
