"""The time that is the bus's and the services' own, from spans and from the client's clock."""

from collections.abc import Iterable

from ..collector import CollectedSpan

SAME_MOMENT_MS = 1.0
"""A span's nanoseconds and an event's milliseconds are the same moment up to rounding."""


def audio_bus_ms(spans: Iterable[CollectedSpan], heard_at: float) -> float | None:
    """From the ingest's publishing of the chunk with the last speech sample to the worker's receiving it.

    The span `ingest.uplink` of the utterance ends at the worker's `heard_at`; its attribute
    `chunk_published_at` is the ingest's moment. None if there is no such span.
    """
    for span in spans:
        published_at = span.attributes.get("chunk_published_at")
        if published_at is not None and abs(span.end_at - heard_at) <= SAME_MOMENT_MS:
            return heard_at - float(published_at)
    return None
