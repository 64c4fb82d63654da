"""When to try again after the connection was lost."""

import random
from collections.abc import Callable

PAUSES_S = (0.0, 0.3, 1.2, 2.7, 4.8, 7.0)
"""Growing with the square of the attempt, so that a short hole is bridged at once and a long one is cheap."""
JITTER = 0.2
"""Share by which a pause varies, so that phones that fell out together do not come back together."""


class Backoff:
    """The pause before each attempt. The last one repeats: who waits decides for how long."""

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._attempt = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        pause = PAUSES_S[min(self._attempt, len(PAUSES_S) - 1)]
        self._attempt += 1
        return pause * self._uniform(1 - JITTER, 1 + JITTER)

    def reset(self) -> None:
        """Connected again."""
        self._attempt = 0
