"""Which words of a stretch that is heard a second time, now whole, were not said yet. Pure.

The sound of a range reaches over the edges of its hole, and the live transcript has words there, some also
for the hole itself: the decoder guesses over a short one, rightly as often as not. Word times tell the two
apart badly: they are off by a few tenths of a second, and a repeated word needs only that. So the words are
aligned with those that were said, as for a word error rate, and time only decides between alignments that
are equally good. What is left over, at the hole, is new. A word that was heard otherwise stays as it was
said: a reader may have acted on it. Inside an utterance, whose decoder had heard both sides of the hole, a
word is new only between words that both heard alike: else one of the two has guessed, and words of both
make no sentence.
"""

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from fieldcoach.common.audio import SAMPLE_RATE

from .engines.base import HeardWord
from .filters import plain

BAND: Final = 2 * SAMPLE_RATE
"""Words further apart are not the same word, however they sound. The times of `outlet-en` are off by up to
0.5 s; next to a hole, over which a decoder smears its words, by more."""
NEAR: Final = 3 * SAMPLE_RATE // 4
"""Words of different sound are the same, heard otherwise, only when they lie so close."""
REACH: Final = SAMPLE_RATE // 2
"""A word is at the hole when its middle lies so close to it: its neighbour may have been heard in halves."""
_GAP_COST: Final = 1.0
_OTHER_COST: Final = 1.0
"""Of a word that was heard otherwise; less, the more letters are alike."""
_TIME_COST: Final = 0.05
"""For each second of distance: decides between equals, and never outweighs a word."""
_IMPOSSIBLE: Final = 1e9


class New(NamedTuple):
    """A new word with its times fitted in between its neighbours, and its number among those heard."""

    number: int
    word: HeardWord


def middle(word: HeardWord) -> int:
    """Where a word lies."""
    return (word.start + word.end) // 2


class Said(NamedTuple):
    """A word of the transcript, and the number of the utterance it belongs to."""

    word: HeardWord
    utterance: int


def unsaid(heard: Sequence[HeardWord], transcript: Sequence[Said], first: int, end: int) -> list[list[New]]:
    """What of `heard` is new at the hole from `first` to `end`, in order, by its place among what was said.

    `transcript` is everything said around the stretch, in order; what lies beyond it does no harm.
    """
    said = [one.word for one in transcript]
    partners = _aligned(heard, said)
    alike = [
        None if partner is None else plain(word.text) == plain(said[partner].text)
        for word, partner in zip(heard, partners, strict=True)
    ]
    found: list[tuple[int, list[New]]] = []  # by the number of said words before
    after = len(said)
    places = []
    for partner in reversed(partners):
        after = after if partner is None else partner
        places.append(after)
    before = 0
    for number, (word, partner, after) in enumerate(zip(heard, partners, reversed(places), strict=True)):
        if partner is not None:
            before = partner + 1
            continue
        while before < after and middle(said[before]) <= middle(word):
            before += 1
        if not first - REACH <= middle(word) < end + REACH or not plain(word.text):
            continue
        is_inside = (
            0 < before < len(said) and transcript[before - 1].utterance == transcript[before].utterance
        )
        if is_inside and not (_begins_alike(alike[number::-1]) and _begins_alike(alike[number:])):
            continue
        if found and found[-1][0] == before:
            found[-1][1].append(New(number, word))
        else:
            found.append((before, [New(number, word)]))
    return [_fitted(words, said, place) for place, words in found]


def _begins_alike(alike: Sequence[bool | None]) -> bool:
    """Whether the first word that has a partner is the same as its partner."""
    return next((one for one in alike if one is not None), False)


def _aligned(heard: Sequence[HeardWord], said: Sequence[HeardWord]) -> list[int | None]:
    """For each word the one that was said for it, or None; in order, and none twice.

    What was said before the first and behind the last partner costs nothing: the stretch begins and ends
    somewhere in it.
    """
    ours, theirs = [plain(word.text) for word in heard], [plain(word.text) for word in said]
    width = len(said) + 1
    costs = [[0.0] * width]
    steps: list[list[int]] = [[1] * width]  # 0: partners, 1: only said, 2: only heard
    for row, word in enumerate(heard):
        above = costs[-1]
        line, way = [above[0] + _GAP_COST], [2]
        for column, other in enumerate(said):
            is_behind = row + 1 == len(heard)
            best, step = above[column + 1] + _GAP_COST, 2
            skipped = line[column] + (0.0 if is_behind else _GAP_COST)
            if skipped < best:
                best, step = skipped, 1
            paired = above[column] + _pair_cost(ours[row], theirs[column], abs(middle(word) - middle(other)))
            if paired <= best:
                best, step = paired, 0
            line.append(best)
            way.append(step)
        costs.append(line)
        steps.append(way)
    partners: list[int | None] = [None] * len(heard)
    row, column = len(heard), len(said)
    while row:
        step = steps[row][column] if column else 2
        if step == 0:
            row, column = row - 1, column - 1
            partners[row] = column
        elif step == 1:
            column -= 1
        else:
            row -= 1
    return partners


def _pair_cost(ours: str, theirs: str, distance: int) -> float:
    time_cost = _TIME_COST * distance / SAMPLE_RATE
    if ours == theirs:
        return time_cost if distance <= BAND else _IMPOSSIBLE
    if distance > NEAR:
        return _IMPOSSIBLE
    alike = SequenceMatcher(None, ours, theirs, autojunk=False).ratio()
    return _OTHER_COST * (1 - alike / 2) + time_cost


def _fitted(words: Sequence[New], said: Sequence[HeardWord], place: int) -> list[New]:
    """Times between those of the neighbours, rising, so that a reader can sort by them."""
    low = said[place - 1].start + 1 if place else 0
    high = max(low, said[place].start - 1) if place < len(said) else None
    fitted: list[New] = []
    for number, word in words:
        low = max(low, fitted[-1].word.start if fitted else 0)
        start = max(low, word.start if high is None else min(word.start, high))
        stop = max(start + 1, word.end if high is None else min(word.end, high))
        fitted.append(New(number, replace(word, start=start, end=stop)))
    return fitted
