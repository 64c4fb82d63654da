"""From what the recogniser decided to what the bus carries, with its trace and its timing."""

import time

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable
from fieldcoach.common.messages import (
    MAX_DOUBTS,
    DoubtfulSpan,
    FinalTranscript,
    PartialTranscript,
    Timing,
    TranscriptComplete,
    Word,
)

from .engines.base import Engine
from .session import Session
from .telemetry import AsrTelemetry, trace_utterance, wall_ms
from .utterance import FinalText, PartialText


class Publisher:
    """Publishes for all sessions of one worker."""

    def __init__(self, bus: Bus, telemetry: AsrTelemetry) -> None:
        self._bus = bus
        self._telemetry = telemetry

    async def partial(self, session: Session, partial: PartialText) -> None:
        """Send a partial; one that can't go out now is worth nothing later."""
        message = PartialTranscript(
            session=session.id,
            epoch=session.epoch,
            utterance=partial.utterance,
            n=session.partial_numbers.next(),
            first_sample=partial.first_sample,
            end_sample=partial.end_sample,
            committed=partial.committed,
            tentative=partial.tentative,
            language=partial.language,
        )
        try:
            await self._bus.publish(self._bus.subjects.partial(session.id), message.encode())
        except BusUnavailable:
            self._telemetry.partials.add("bus-away")
        else:
            self._telemetry.partials.add("sent")

    async def final(
        self, session: Session, final: FinalText, engine: Engine, backfill_late_ms: float | None = None
    ) -> None:
        """Send a final, and record where its time went; with `backfill_late_ms` it is one of back-fill."""
        now = time.monotonic()
        offset_ms = wall_ms(now)
        published_at = now * 1e3 + offset_ms
        timing = Timing(
            heard_at=final.heard_at * 1e3 + offset_ms,
            endpoint_ms=max(0.0, (final.decided_at - final.heard_at) * 1e3),
            asr_ms=max(0.0, (now - final.decided_at) * 1e3),
            decode_ms=final.decode_s * 1e3,
            published_at=published_at,
        )
        event = FinalTranscript(
            session=session.id,
            epoch=session.epoch,
            utterance=final.utterance,
            n=session.numbers.next(),
            first_sample=final.first_sample,
            end_sample=final.end_sample,
            text=final.text,
            words=tuple(
                Word(text=word.text, start_sample=word.start, end_sample=word.end, confidence=word.confidence)
                for word in final.words
            ),
            language=final.language,
            confidence=final.confidence,
            low_confidence=final.low_confidence,
            doubts=tuple(
                DoubtfulSpan(first_sample=doubt.first, end_sample=doubt.end, reason=doubt.reason.value)
                for doubt in final.doubts[:MAX_DOUBTS]
            ),
            concealed_ms=final.concealed / 16,
            late_ms=max(0.0, (now - final.deadline) * 1e3) if backfill_late_ms is None else backfill_late_ms,
            backfill=backfill_late_ms is not None,
            engine=engine.name,
            model=engine.model,
            timing=timing,
        )
        if backfill_late_ms is not None:  # its times say nothing about live words
            await self._bus.publish_event(event)
            self._telemetry.finals.add("backfill")
            return
        await self._bus.publish_event(event, trace_utterance(final, offset_ms, published_at, engine))
        self._telemetry.finals.add("low-confidence" if final.low_confidence else "sent")
        self._telemetry.endpoint.record_ms(timing.endpoint_ms)
        self._telemetry.compute.record_ms(timing.asr_ms)
        self._telemetry.audio_s += (final.end_sample - final.first_sample) / 16_000

    async def complete(self, session: Session, end_sample: int) -> None:
        """Say that the session's last final is out."""
        await self._bus.publish_event(
            TranscriptComplete(
                session=session.id, n=session.numbers.next(), epoch=session.epoch, end_sample=end_sample
            )
        )
