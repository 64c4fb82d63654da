"""Where inside a final the text is not to be trusted, and why."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE

from .engines.base import HeardWord

LOW_WORD: Final = 0.4
"""Probability of a word under which a reader should doubt it."""
CUT_OFF: Final = SAMPLE_RATE // 2
"""What the end of the sound may have torn: a word lasts 0.2 to 0.5 s."""

Span = tuple[int, int]
"""First sample, and the sample after the last."""


class Reason(StrEnum):
    """Why."""

    WORD = "word"
    """The engine is not sure of a word."""
    CONCEALED = "concealed"
    """Nobody spoke these samples: packets were lost."""
    CUT_OFF = "cut-off"
    """The sound ended in the middle of speech."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One stretch on the session's clock."""

    first: int
    end: int
    reason: Reason


def doubts_of(
    first: int, end: int, words: tuple[HeardWord, ...], concealed: tuple[Span, ...], is_cut_off: bool
) -> tuple[Doubt, ...]:
    """All stretches between `first` and `end`, in order; words side by side are one stretch."""
    found = [Doubt(*span, Reason.CONCEALED) for span in concealed]
    before: HeardWord | None = None
    for word in words:
        if word.confidence >= LOW_WORD:
            before = None
            continue
        start, until = max(first, word.start), min(end, word.end)
        if before is not None:
            start = found.pop().first
        if start < until:
            found.append(Doubt(start, until, Reason.WORD))
            before = word
    if is_cut_off:
        found.append(Doubt(max(first, end - CUT_OFF), end, Reason.CUT_OFF))
    return tuple(sorted(found, key=lambda doubt: (doubt.first, doubt.end)))


def doubts_within(
    doubts: tuple[Doubt, ...], words: tuple[HeardWord, ...], first: int, end: int
) -> tuple[Doubt, ...]:
    """What of a final's doubts is left in a part of it: these words, which may have been moved a little."""
    stretches = tuple(
        replace(doubt, first=max(first, doubt.first), end=min(end, doubt.end))
        for doubt in doubts
        if doubt.reason is not Reason.WORD and doubt.first < end and doubt.end > first
    )
    unsure = doubts_of(first, end, words, (), is_cut_off=False)
    return tuple(sorted((*stretches, *unsure), key=lambda doubt: (doubt.first, doubt.end)))
