"""LocalAgreement: what successive decodes of a growing utterance say alike is committed.

After Liu et al. 2020 and whisper_streaming: the longest common prefix of the last hypotheses. What has been
committed is never taken back, also when a later decode would change it: a reader may have acted on it.
"""

from collections import deque
from dataclasses import replace
from itertools import takewhile
from typing import Final

from .engines.base import Hypothesis

AGREEING: Final = 3
"""Whisper completes sentences that it has not heard to the end, and two decodes 0.6 s apart can agree on an
invented end: with `outlet-en` over the six visits 7 of 85 finals contradicted what two had committed, 1 of 85
what three had."""


class LocalAgreement:
    """The committed and tentative words of one open utterance."""

    def __init__(self) -> None:
        self._committed: list[str] = []
        self._last: deque[list[str]] = deque(maxlen=AGREEING)

    @property
    def words(self) -> list[str]:
        """As `committed`, one by one."""
        return list(self._committed)

    @property
    def committed(self) -> str:
        """The words that will not change before the final."""
        return " ".join(self._committed)

    def update(self, text: str, *, may_commit: bool = True) -> tuple[str, str]:
        """Take the newest hypothesis; returns (committed, tentative)."""
        words = text.split()
        if not may_commit:
            return self.committed, " ".join(words[len(self._committed) :])
        self._last.append(words)
        if len(self._last) == AGREEING and words[: len(self._committed)] == self._committed:
            agreed = takewhile(lambda said: len(set(said)) == 1, zip(*self._last, strict=False))
            self._committed += [said[0] for said in agreed][len(self._committed) :]
        return self.committed, " ".join(words[len(self._committed) :])


OVERLAP_WORDS: Final = 4
"""The overlap of 0.2 s holds one or two; up to 2 s more may have been committed before the cut was placed."""


def without_overlap(before: str, hypothesis: Hypothesis) -> Hypothesis:
    """`hypothesis` without its first words that also ended `before`: both parts of a cut heard them."""
    ended, begins = before.split(), hypothesis.text.split()
    for n in range(min(OVERLAP_WORDS, len(ended), len(begins)), 0, -1):
        if ended[-n:] == begins[:n]:
            return replace(hypothesis, text=" ".join(begins[n:]), words=hypothesis.words[n:])
    return hypothesis
