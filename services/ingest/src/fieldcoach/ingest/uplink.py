"""When each stretch of the timeline came in and went out, for the `ingest.uplink` span of an utterance."""

from collections import deque
from dataclasses import dataclass
from struct import pack, unpack
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
    """The last chunks of one session, packed: 62 KB in place of 310, and nothing for the collector."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque(maxlen=KEPT)
        """Doubles: end sample, published, then the end sample and the arrival of each packet."""
        self._newest = 0

    def published(self, chunk: Chunk, now: float) -> None:
        """A chunk went out; a replay of it changes nothing."""
        end = chunk.sample_index + chunk.n_samples
        if chunk.arrivals and end > self._newest:
            self._newest = end
            values = [end, now]
            for arrival in chunk.arrivals:
                values += arrival
            self._chunks.append(pack(f"{len(values)}d", *values))

    def chunks(self) -> list[tuple[int, float, tuple[tuple[int, float], ...]]]:
        """(end sample, published, its packets' (end sample, arrival)) of each chunk, oldest first."""
        return [_unpacked(packed) for packed in self._chunks]

    def of(self, end_sample: int) -> Uplink | None:
        """The packet that brought the last sample before `end_sample`; None if that is not known any more."""
        if not self._chunks or end_sample > self._newest:
            return None
        found: Uplink | None = None
        for packed in reversed(self._chunks):
            end, published, arrivals = _unpacked(packed)
            if end < end_sample:
                break
            arrived = next((at for last, at in arrivals if last >= end_sample), arrivals[-1][1])
            found = Uplink(arrived, published)
        else:
            if self._chunks.maxlen == len(self._chunks):
                return None  # older than what is kept
        return found


def _unpacked(packed: bytes) -> tuple[int, float, tuple[tuple[int, float], ...]]:
    end, published, *rest = unpack(f"{len(packed) // 8}d", packed)
    return int(end), published, tuple((int(last), at) for last, at in zip(rest[::2], rest[1::2], strict=True))
