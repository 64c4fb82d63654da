"""Word error rate: how many words must be changed to get from what was heard to what was said."""

import unicodedata
from collections import Counter
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

_KEPT = ("L", "M", "N")
"""Letters, marks and numbers. Marks carry the vowels of Devanagari, which `\\w` and Whisper's own normaliser
drop."""


def words_of(text: str) -> list[str]:
    """Casefolded, composed (NFC), without punctuation or symbols."""
    folded = unicodedata.normalize("NFC", text.casefold())
    # an apostrophe joins: "don't" is one word
    joined = folded.replace("'", "").replace("’", "")
    kept = (char if unicodedata.category(char).startswith(_KEPT) else " " for char in joined)
    return "".join(kept).split()


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Edits against a reference of `words` words."""

    substituted: int
    deleted: int
    inserted: int
    words: int

    @property
    def total(self) -> int:
        """All edits."""
        return self.substituted + self.deleted + self.inserted

    @property
    def rate(self) -> float | None:
        """Edits per word said; None if nothing was said."""
        return self.total / self.words if self.words else None

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.substituted + other.substituted,
            self.deleted + other.deleted,
            self.inserted + other.inserted,
            self.words + other.words,
        )


NO_ERRORS = WordErrors(0, 0, 0, 0)


def word_errors(said: list[str], heard: list[str]) -> WordErrors:
    """Levenshtein alignment on words with unit costs."""
    edits = Counter(edit.tag for edit in Levenshtein.editops(said, heard))
    return WordErrors(edits["replace"], edits["delete"], edits["insert"], len(said))
