"""When a media path counts as dead: packets go out and the far side has stopped reporting on them. Pure."""

from dataclasses import dataclass

SILENT_S = 2.5
"""The server reports once a second, varied by half: two reports are missing."""
FIRST_REPORT_S = 5.0
"""Before the first report it and the first packet are under way: two one-way times of a slow link more."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A moment of a connection: packets sent so far, and what changes with each report (None before one)."""

    sent: int = 0
    report: object | None = None


class SilenceWatch:
    """Told the time (seconds, monotonic) and the pulse of one connection."""

    def __init__(self) -> None:
        self._report: object | None = None
        self._sent_then = 0
        self._unanswered_since: float | None = None

    def observe(self, now: float, pulse: Pulse) -> bool:
        """Whether the far side is silent."""
        if pulse.report is not None and pulse.report != self._report:
            self._report = pulse.report
            self._sent_then = pulse.sent
            self._unanswered_since = None
            return False
        if pulse.sent > self._sent_then and self._unanswered_since is None:
            self._unanswered_since = now
        if self._unanswered_since is None:
            return False  # nothing goes out, so nothing is to be reported
        limit = FIRST_REPORT_S if self._report is None else SILENT_S
        return now - self._unanswered_since >= limit
