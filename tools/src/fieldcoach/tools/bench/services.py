"""The time that is the bus's and the services' own, from spans and from the client's clock."""

from collections.abc import Iterable, Mapping
from typing import Any

from fieldcoach.common.audio import SAMPLE_RATE

from ..collector import CollectedSpan

SAME_END_S = 0.002
"""A span has the end of the utterance in samples, an event in rounded seconds."""


def audio_bus_ms(spans: Iterable[CollectedSpan], session: str, final: Mapping[str, Any]) -> float | None:
    """From the ingest's publishing of the chunk with the last speech sample to the worker's receiving it.

    The ingest traces each final as `ingest.uplink`, with the moment in the attribute `chunk_published_at`.
    None if it did not, or if the final carries no timing.
    """
    timing = final.get("timing")
    if not isinstance(timing, Mapping):
        return None
    for span in spans:
        told = span.attributes
        if told.get("session") != session or "chunk_published_at" not in told:
            continue
        if abs(told.get("end_sample", -SAMPLE_RATE) / SAMPLE_RATE - float(final["end"])) <= SAME_END_S:
            return float(timing["heard_at"]) - float(told["chunk_published_at"])
    return None
