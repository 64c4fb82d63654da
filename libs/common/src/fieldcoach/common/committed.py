"""Each stretch of a session is transcribed once, also when two workers have spoken about it."""

from collections import deque
from typing import Final, Literal

from .messages import FinalTranscript

Verdict = Literal["new", "stale", "doubled"]


FILLED_KEPT: Final = 256
"""Stretches remembered: more than the holes of a visit."""


class FilledStretches:
    """What was heard afterwards, so that a range that is transcribed again is not told again."""

    def __init__(self) -> None:
        self._stretches: deque[tuple[int, int]] = deque(maxlen=FILLED_KEPT)

    def take(self, first: int, end: int) -> bool:
        """Whether most of the stretch (samples) is new; then it is remembered."""
        known = sum(max(0, min(end, last) - max(first, begin)) for begin, last in self._stretches)
        if 2 * known > end - first:
            return False
        self._stretches.append((first, end))
        return True


class CommittedTranscript:
    """What a reader of finals keeps: the highest epoch and how far the session is transcribed.

    A worker that took over decodes again what its predecessor had published but not yet acknowledged, and a
    worker that was paused wakes up and goes on speaking. Neither may be heard twice.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._until = 0
        self._filled = FilledStretches()

    def judge(self, final: FinalTranscript) -> Verdict:
        """Whether the final is new. It is doubled when most of it lies before what is transcribed already.

        Back-fill belongs there, whoever says it: it is doubled when most of it was filled already.
        """
        if final.backfill:
            return "new" if self._filled.take(final.first_sample, final.end_sample) else "doubled"
        if final.epoch < self._epoch:
            return "stale"
        self._epoch = final.epoch
        if final.first_sample + final.end_sample < 2 * self._until:
            return "doubled"
        self._until = final.end_sample
        return "new"
