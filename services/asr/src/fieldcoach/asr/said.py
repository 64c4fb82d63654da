"""What a session's transcript says, for as long as a range of it may still come afterwards. In RAM only.

Live finals and those of back-fill; after a takeover also what other workers published, as every reader of
the finals takes it.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.committed import CommittedTranscript
from fieldcoach.common.messages import FinalTranscript

from .engines.base import HeardWord
from .unsaid import Said
from .utterance import FinalText

KEPT: Final = 330 * SAMPLE_RATE
"""A phone keeps 5 minutes of sound; the rest is for its way here."""
MAX_FINALS: Final = 2_000
"""Six a second. Bounds what hardly weighs in samples."""


class SaidWords:
    """The words of the last minutes with their places."""

    def __init__(self, *, is_whole: bool) -> None:
        self.is_whole = is_whole
        """False: somebody had the session before, and what was said then must be recalled."""
        self._finals: deque[tuple[HeardWord, ...]] = deque(maxlen=MAX_FINALS)
        self._newest = 0

    def add(self, final: FinalText) -> None:
        """It goes out."""
        self._take(placed(final.text, final.words, final.first_sample, final.end_sample))

    def recall(self, published: Iterable[FinalTranscript], epoch: int) -> None:
        """All finals of the session so far, oldest first; those of the present epoch are known."""
        transcript = CommittedTranscript()
        for one in published:
            final, _ = transcript.accept(one)
            if final is None or final.epoch >= epoch:
                continue
            words = tuple(
                HeardWord(word.text, word.start_sample, word.end_sample, word.confidence)
                for word in final.words
            )
            self._take(placed(final.text, words, final.first_sample, final.end_sample))
        self.is_whole = True

    def around(self, first: int, end: int) -> list[Said]:
        """The words that touch this stretch (samples), in the order in which they were spoken."""
        found: list[tuple[int, Said]] = []
        for utterance, words in enumerate(self._finals):
            reached = 0
            for word in words:
                reached = max(reached, word.start)  # an utterance keeps its order, whatever its times say
                if word.start < end and word.end > first:
                    found.append((reached, Said(word, utterance)))
        found.sort(key=lambda entry: entry[0])
        return [said for _, said in found]

    def _take(self, words: tuple[HeardWord, ...]) -> None:
        if not words:
            return
        self._finals.append(words)
        self._newest = max(self._newest, words[-1].end)
        while self._finals and self._finals[0][-1].end < self._newest - KEPT:
            self._finals.popleft()


def placed(text: str, words: tuple[HeardWord, ...], first: int, end: int) -> tuple[HeardWord, ...]:
    """The words with their places. Where an engine gives none, by letters: a long word takes its time."""
    if words:
        return words
    found: list[HeardWord] = []
    parts = text.split()
    letters, before = sum(len(part) + 1 for part in parts), 0
    for part in parts:
        begin, before = before, before + len(part) + 1
        start, stop = (first + (end - first) * at // letters for at in (begin, before))
        found.append(HeardWord(part, start, max(start + 1, stop), 1.0))
    return tuple(found)
