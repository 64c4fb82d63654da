"""The phone's memory of what it has sent: Opus packets by their place, in RAM, for five minutes."""

from collections import deque
from typing import Final, NamedTuple

from fieldcoach.common.opus import packet_samples

RING_S: Final = 300.0
"""As far back as the server asks."""
RING_BYTES: Final = 2 * 1024 * 1024
"""Five minutes at 50 kbit/s; the ladder stays below half of that."""
RTP_CLOCK: Final = 48_000


class Remembered(NamedTuple):
    """A packet and where it begins and ends, in ticks of 48 kHz since the first sample of the recording."""

    begin: int
    end: int
    payload: bytes


class OpusRing:
    """Newest last; the oldest give way to time and bytes."""

    def __init__(self, seconds: float = RING_S, max_bytes: int = RING_BYTES) -> None:
        self._ticks = int(seconds * RTP_CLOCK)
        self._max_bytes = max_bytes
        self._packets: deque[Remembered] = deque()
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._packets)

    def add(self, begin: int, payload: bytes) -> None:
        """A packet was encoded."""
        packet = Remembered(begin, begin + packet_samples(payload), payload)
        self._packets.append(packet)
        self.n_bytes += len(payload)
        while packet.end - self._packets[0].begin > self._ticks or self.n_bytes > self._max_bytes:
            self.n_bytes -= len(self._packets.popleft().payload)

    def cut(self, first: int, end: int) -> list[Remembered]:
        """What has sound between two places."""
        return [packet for packet in self._packets if packet.end > first and packet.begin < end]

    def begin_of(self, payload: bytes) -> int | None:
        """Where the newest packet with these bytes begins."""
        return next((packet.begin for packet in reversed(self._packets) if packet.payload == payload), None)

    def erase(self) -> None:
        """Forget everything: the visit is over."""
        self._packets.clear()
        self.n_bytes = 0
