"""Each stretch of a session is transcribed once, whichever asr worker speaks about it, and however often."""

from collections import deque
from typing import Final, Literal

from .audio import SAMPLE_RATE
from .messages import FinalTranscript, Word
from .overlap import told_words

Verdict = Literal["whole", "trimmed", "repeated", "old-epoch"]

_LEAST_NEW: Final = SAMPLE_RATE // 5
"""So much of a word may lie before the end of the last utterance: boundaries are not exact."""
FINALS_KEPT: Final = 8
"""More than one takeover repeats: it goes back to the oldest line that is not said."""
FILLED_KEPT: Final = 256
"""Stretches remembered: more than the holes of a visit."""


class FilledStretches:
    """What was heard afterwards, so that a range that is transcribed again is not told again."""

    def __init__(self) -> None:
        self._stretches: deque[tuple[int, int]] = deque(maxlen=FILLED_KEPT)

    def take(self, first: int, end: int) -> bool:
        """Whether most of the stretch (samples) is new; then it is remembered."""
        known, reach = 0, first
        for begin, last in sorted(self._stretches):  # they may overlap; what they share counts once
            known += max(0, min(end, last) - max(reach, begin))
            reach = max(reach, last)
        if 2 * known > end - first:
            return False
        self._stretches.append((first, end))
        return True


class CommittedTranscript:
    """What a reader of finals keeps: the highest epoch, and how far the session is transcribed.

    A worker that took over decodes again what its predecessor had published but not yet acknowledged, and a
    worker that was paused wakes up and goes on speaking. Neither may be heard twice.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._until = 0
        self._told: deque[FinalTranscript] = deque(maxlen=FINALS_KEPT)
        self._filled = FilledStretches()

    def is_old(self, epoch: int) -> bool:
        """Whether a later worker has spoken already."""
        return epoch < self._epoch

    def accept(self, final: FinalTranscript) -> tuple[FinalTranscript | None, Verdict]:
        """The final, or what is new of it; None if nothing is.

        Words that were told are cut off: by their times, or, without, by the text. If the texts are unlike,
        the final is new when most of it lies behind what is known. Back-fill lies before it, whoever says
        it: it is new when most of it was not filled yet.
        """
        if final.backfill:
            is_new = self._filled.take(final.first_sample, final.end_sample)
            return (final, "whole") if is_new else (None, "repeated")
        if self.is_old(final.epoch):
            return None, "old-epoch"
        self._epoch = final.epoch
        new, verdict = self._new_of(final)
        if new is not None:
            self._until = final.end_sample
            self._told.append(final)
        return new, verdict

    def _new_of(self, final: FinalTranscript) -> tuple[FinalTranscript | None, Verdict]:
        if final.words and final.first_sample < self._until:
            words = tuple(word for word in final.words if word.start_sample >= self._until - _LEAST_NEW)
            if not words or final.end_sample <= self._until:
                return None, "repeated"
            return self._trimmed(final, [word.text.strip() for word in words], words)
        words_told = self._told_words(final)
        if words_told is not None:
            if final.end_sample <= self._until + _LEAST_NEW or not (rest := final.text.split()[words_told:]):
                return None, "repeated"
            return self._trimmed(final, rest, ())
        if final.first_sample + final.end_sample < 2 * self._until:
            return None, "repeated"
        return final, "whole"

    def _told_words(self, final: FinalTranscript) -> int | None:
        """How many of its first words another worker has told; one worker tells nothing twice."""
        overlapping = [told for told in self._told if told.epoch != final.epoch and _overlaps(told, final)]
        words = [word for told in overlapping for word in told.text.split()]
        return told_words(words, final.text.split())

    def _trimmed(
        self, final: FinalTranscript, rest: list[str], words: tuple[Word, ...]
    ) -> tuple[FinalTranscript, Verdict]:
        if len(rest) == len(final.words or final.text.split()):
            return final, "whole"
        new = {"text": " ".join(rest), "words": words, "first_sample": self._until}
        return final.model_copy(update=new), "trimmed"


def _overlaps(told: FinalTranscript, final: FinalTranscript) -> bool:
    """Whether they share more than an inexact boundary; half of a short one is more."""
    shared = told.end_sample - final.first_sample
    return shared > min(_LEAST_NEW, (told.end_sample - told.first_sample) // 2)
