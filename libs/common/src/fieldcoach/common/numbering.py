"""Numbers for durable events that go on rising when their writer restarts."""

import time
from collections.abc import Callable


def unix_ms() -> int:
    """Wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class EventNumbers:
    """Strictly increasing numbers: the wall clock in ms, or one more than the last.

    A reader that remembers the highest number it saw of a writer knows exactly what it has missed,
    also when that writer lost its memory in between; a plain counter would start again at one.
    """

    def __init__(self, clock_ms: Callable[[], int] = unix_ms) -> None:
        self._clock_ms = clock_ms
        self._last = 0

    def next(self) -> int:
        """The next number."""
        self._last = max(self._last + 1, self._clock_ms())
        return self._last
