"""Finals as the coach may use them: no word twice, whichever asr worker says it."""

from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.committed import FilledStretches
from fieldcoach.common.messages import FinalTranscript

_LEAST_NEW: Final = SAMPLE_RATE // 5
"""A fifth of a second: what is left of a trimmed final beyond this may hold a word."""


class CommittedTranscript:
    """Keeps the highest epoch and where the transcript is complete; drops and trims what comes again.

    A worker that was paused and wakes up after another took its session over must not speak twice.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.until = 0
        self._filled = FilledStretches()

    def accept(self, final: FinalTranscript) -> tuple[FinalTranscript | None, str]:
        """The final, or what is new of it; None with the reason if nothing is."""
        if final.backfill:  # words of a gap, heard afterwards: they belong before what is known
            is_new = self._filled.take(final.first_sample, final.end_sample)
            return (final, "back-filled") if is_new else (None, "repeated")
        if final.epoch < self.epoch:
            return None, "old-epoch"
        self.epoch = final.epoch
        if final.end_sample <= self.until:
            return None, "repeated"
        if final.first_sample < self.until:
            words = tuple(word for word in final.words if word.start_sample >= self.until - _LEAST_NEW)
            if final.words and not words:
                return None, "repeated"
            if not final.words and final.end_sample - self.until < _LEAST_NEW:
                return None, "repeated"
            if final.words:
                text = " ".join(word.text.strip() for word in words)
                final = final.model_copy(update={"text": text, "words": words, "first_sample": self.until})
            self.until = final.end_sample
            return final, "trimmed"
        self.until = final.end_sample
        return final, "whole"
