"""What became of each playbook's cues, counted for a manager: ids and numbers, no words, no visits."""

from typing import Final, Literal

from fieldcoach.common.messages import CueCounts

TallyEvent = Literal["fired", "shown", "dismissed", "acted", "expired"]

MAX_CUES: Final = 1_000
"""Rows of one message; a process that has seen more playbooks than that counts no new cues."""


class CueTally:
    """Counts since the process began."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], dict[TallyEvent, int]] = {}

    def add(self, playbook: str, cue: str, event: TallyEvent) -> None:
        """Count one event of a cue."""
        if (playbook, cue) not in self._counts and len(self._counts) >= MAX_CUES:
            return
        row = self._counts.setdefault((playbook, cue), {})
        row[event] = row.get(event, 0) + 1

    def rows(self) -> tuple[CueCounts, ...]:
        """All counts, by playbook and cue."""
        return tuple(
            CueCounts(playbook=playbook, cue=cue, **counts)
            for (playbook, cue), counts in sorted(self._counts.items())
        )
