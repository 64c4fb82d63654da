"""How long a session may bring nothing before it counts as gone elsewhere. Pure."""

from typing import Final

STALL_S: Final = 1.0
"""Four ticks missed: this process was stopped, or starved."""


class Patience:
    """Counts only time in which audio could have come. Seconds on the monotonic clock.

    While we are cut off from the bus, or stopped, silence says nothing about our sessions.
    """

    def __init__(self, now: float) -> None:
        self._since = self._ticked_at = now

    def tick(self, now: float, is_connected: bool) -> None:
        """Called four times a second."""
        if not is_connected or now - self._ticked_at > STALL_S:
            self._since = now
        self._ticked_at = now

    def quiet_s(self, heard_at: float, now: float) -> float:
        """For how long a session that was heard at that time has been silent."""
        return now - max(heard_at, self._since)
