"""A circuit breaker: after a few failures in a row nobody waits for a server that is not there."""

from typing import Final

FAILURES: Final = 3
OPEN_S: Final = 30.0


class Breaker:
    """Closed, or open since three failures in a row until a probe succeeds.

    While it is open no call is made for a cue. The owner probes every 30 s beside the visits, so that no cue
    waits for a server that may still be dead.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused."""
        return self._failures >= FAILURES

    def probe_in(self, now: float) -> float | None:
        """Seconds until a probe is due; None while it is closed."""
        return max(0.0, self._probe_at - now) if self.is_open else None

    def succeeded(self) -> None:
        """A call or a probe gave an answer."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """A call or a probe failed."""
        self._failures += 1
        self._probe_at = now + OPEN_S
