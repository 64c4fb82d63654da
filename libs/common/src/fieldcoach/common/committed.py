"""Each stretch of a session is transcribed once, also when two workers have spoken about it."""

from typing import Literal

from .messages import FinalTranscript

Verdict = Literal["new", "stale", "doubled"]


class CommittedTranscript:
    """What a reader of finals keeps: the highest epoch and how far the session is transcribed.

    A worker that took over decodes again what its predecessor had published but not yet acknowledged, and a
    worker that was paused wakes up and goes on speaking. Neither may be heard twice.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._until = 0

    def judge(self, final: FinalTranscript) -> Verdict:
        """Whether the final is new. It is doubled when most of it lies before what is transcribed already."""
        if final.epoch < self._epoch:
            return "stale"
        self._epoch = final.epoch
        if final.first_sample + final.end_sample < 2 * self._until:
            return "doubled"
        self._until = final.end_sample
        return "new"
