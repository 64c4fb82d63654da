"""The phone's wall clock, and how far it is from the server's."""

import time
from collections.abc import Callable


class WallClock:
    """Wall-clock milliseconds since 1970 that never jump: read once, then counted monotonically."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._offset_s = wall() - monotonic()

    def at(self, monotonic_s: float) -> float:
        """The wall-clock milliseconds of a moment on the monotonic clock (seconds)."""
        return (monotonic_s + self._offset_s) * 1e3

    def now(self) -> float:
        """Now, in milliseconds."""
        return self.at(self._monotonic())


class ClockOffset:
    """Server clock minus ours, from the ping with the shortest round trip (Cristian's algorithm).

    The error is at most half of that round trip, so the fastest sample is the best one.
    """

    def __init__(self) -> None:
        self.rtt_ms: float | None = None
        self.offset_ms = 0.0
        self.samples = 0

    def add(self, sent_at: float, received_at: float, server_at: float) -> None:
        """One ping, all in wall-clock milliseconds; the first two on our clock."""
        rtt = received_at - sent_at
        if rtt < 0:
            return
        self.samples += 1
        if self.rtt_ms is None or rtt < self.rtt_ms:
            self.rtt_ms = rtt
            self.offset_ms = server_at - (sent_at + received_at) / 2

    def to_server(self, our_ms: float) -> float:
        """A moment of ours on the server's clock."""
        return our_ms + self.offset_ms
