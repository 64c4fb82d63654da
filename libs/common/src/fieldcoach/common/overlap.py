"""Which words of a final were told before, when only the text can say it. Pure.

A worker that took over decodes the open line again from its beginning. If its predecessor has told the
beginning of it meanwhile, the two texts overlap, and without word times nothing else shows by how much.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final

SAME: Final = 2
OTHER: Final = -1
"""Score of two words that are the same, and of a word that is another one or has none beside it."""


def told_words(told: Sequence[str], new: Sequence[str]) -> int | None:
    """How many words at the beginning of `new` repeat the end of `told`; None if the texts are unlike.

    Every end of `told` is aligned with every beginning of `new`. Among beginnings as like the shortest
    counts: a word told twice is a smaller harm than one not told.
    """
    left, right = [_plain(word) for word in told], [_plain(word) for word in new]
    # score of aligning the best end of `left` so far with right[:n]; where that end begins costs nothing
    row = [OTHER * n for n in range(len(right) + 1)]
    for word in left:
        above, row[0] = row[0], 0
        for n, other in enumerate(right, 1):
            beside = above + (SAME if word == other else OTHER)
            above, row[n] = row[n], max(row[n] + OTHER, row[n - 1] + OTHER, beside)
    alike = [(score, -n) for n, score in enumerate(row) if n and score >= n]  # two words of three, or better
    return -max(alike)[1] if alike else None


def _plain(word: str) -> str:
    """Letters (with their vowel signs) and digits, without case."""
    folded = unicodedata.normalize("NFC", word).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] in "LMN")
