"""A circuit breaker: after a few failures in a row nobody waits for a server that is not there."""

from typing import Final

FAILURES: Final = 3
OPEN_S: Final = 30.0


class Breaker:
    """Closed, open for 30 s after three failures in a row, then one attempt decides."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0
        self._is_trying = False

    def allows(self, now: float) -> bool:
        """Whether a call may be made; after an opening only one at a time."""
        if self._failures < FAILURES:
            return True
        if now < self._open_until or self._is_trying:
            return False
        self._is_trying = True
        return True

    def succeeded(self) -> None:
        """The call gave an answer."""
        self._failures, self._is_trying = 0, False

    def failed(self, now: float) -> None:
        """The call failed."""
        self._failures += 1
        self._is_trying = False
        if self._failures >= FAILURES:
            self._open_until = now + OPEN_S

    def abandoned(self) -> None:
        """The call was cancelled by us: it says nothing about the server."""
        self._is_trying = False
