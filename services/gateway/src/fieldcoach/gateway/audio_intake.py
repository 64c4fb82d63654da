"""One phone's sound over WebSocket, without its I/O: what is taken, what is too much, what waits. Pure."""

from collections.abc import Callable
from typing import Final

from fieldcoach.common.errors import MessageRejected
from fieldcoach.common.messages import OpusPacket
from fieldcoach.common.opus_frames import OpusRing, unpack_frame

from .limits import TokenBucket

MAX_BAD: Final = 20
"""Then the client does not speak this protocol."""
PACKETS_PER_MINUTE: Final = 6_000
"""Twice what packets of 20 ms make, and a minute of them at once after a stall; the ring bounds the rest."""


class AudioIntake:
    """Takes frames, gives packets. What is not passed on is counted under a reason."""

    def __init__(self, count: Callable[[str, int], None], now: float) -> None:
        self._count = count
        self._bucket = TokenBucket(PACKETS_PER_MINUTE, now)
        self._ring = OpusRing()
        self._bad = 0

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def is_hopeless(self) -> bool:
        """Whether there were too many bad frames."""
        return self._bad > MAX_BAD

    def put(self, frame: bytes | None, now: float) -> None:
        """One message of the client; None is one that was text."""
        try:
            if frame is None:
                raise MessageRejected("opus-frame", "text")
            packets = unpack_frame(frame)
        except MessageRejected as rejected:
            self._bad += 1
            self._count(f"frame-{rejected.reason}", 1)
            return
        for packet in packets:
            if self._bucket.take(now):
                self._count("too-many", 1)
                continue
            dropped = self._ring.put(packet)
            if dropped:
                self._count("oldest", dropped)

    def take(self) -> tuple[OpusPacket, ...]:
        """All that waits, for the ingest."""
        return self._ring.take()
