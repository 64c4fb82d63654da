"""When each stretch of the timeline came in and went out, for the `ingest.uplink` span of an utterance."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from .timeline import Chunk

KEPT: Final = 600
"""36 s of whole chunks: a final comes at most a ring (30 s) and a decode after its audio."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """One packet's way through the ingest, in seconds on the monotonic clock."""

    arrived: float
    published: float


class UplinkTimes:
    """The last chunks of one session."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[int, float, tuple[tuple[int, float], ...]]] = deque(maxlen=KEPT)
        self._newest = 0

    def published(self, chunk: Chunk, now: float) -> None:
        """A chunk went out; a replay of it changes nothing."""
        end = chunk.sample_index + chunk.n_samples
        if chunk.arrivals and end > self._newest:
            self._newest = end
            self._chunks.append((end, now, chunk.arrivals))

    def chunks(self) -> list[tuple[int, float, tuple[tuple[int, float], ...]]]:
        """(end sample, published, its packets' (end sample, arrival)) of each chunk, oldest first."""
        return list(self._chunks)

    def of(self, end_sample: int) -> Uplink | None:
        """The packet that brought the last sample before `end_sample`; None if that is not known any more."""
        if not self._chunks or end_sample > self._newest:
            return None
        found: Uplink | None = None
        for end, published, arrivals in reversed(self._chunks):
            if end < end_sample:
                break
            arrived = next((at for last, at in arrivals if last >= end_sample), arrivals[-1][1])
            found = Uplink(arrived, published)
        else:
            if self._chunks.maxlen == len(self._chunks):
                return None  # older than what is kept
        return found
