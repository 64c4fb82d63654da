"""The phrase language of playbooks, compiled to regular expressions over normalised words.

Plain words stand for themselves. `(shelf|rack|)` is a choice, with an empty one if it may be missing;
`...` is up to four words of any kind; `{sku}`, `{number}`, `{unit}`, `{scheme}` are slots of the vocabulary.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from .normalise import words_of

GAP_WORDS: Final = 4
"""`...` reaches over "is already completely so" and not into the next sentence."""
SLOTS: Final = ("sku", "number", "unit", "scheme")
_SLOT: Final = re.compile(r"(\{[^{}]*\})")
_PARTS: Final = re.compile(r"\.\.\.|\([^()]*\)|\{[^{}]*\}|[^\s(){}.]+(?:\.(?!\.\.)[^\s(){}.]*)*|\S")


_LITERAL: Final = re.compile(r"(?<= )[a-z0-9]+")
"""A word in a phrase's expression; slots and gaps begin otherwise."""


class PhraseInvalid(ValueError):
    """A phrase that can't be read; the message says what and how to fix it."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One compiled phrase."""

    source: str
    regex: str
    """Over text in which each word is preceded by one space."""
    has_slots: bool
    least_words: int
    """The fewest words that it can match, gaps not counted."""
    words: frozenset[str]
    """Its literal words, for spelling correction."""


def parse_phrase(source: str) -> Phrase:
    """Compile one phrase.

    Raises:
        PhraseInvalid: unbalanced brackets, unknown slot, nothing but gaps.
    """
    pieces: list[str] = []
    literal: set[str] = set()
    least, has_slots = 0, False
    parts = _PARTS.findall(source)
    for place, part in enumerate(parts):
        if part == "...":
            is_last = place == len(parts) - 1
            # a trailing gap takes all it can get (it widens what `none_of` rules out), an inner one as little
            pieces.append(rf"(?: \S+){{0,{GAP_WORDS}}}" + ("" if is_last else "?"))
        elif part.startswith("(") and part.endswith(")"):
            choices = [_Piece.of(choice) for choice in part[1:-1].split("|")]
            pieces.append("(?:" + "|".join(choice.regex for choice in choices) + ")")
            least += min(choice.count for choice in choices)
            literal.update(*(choice.words for choice in choices))
            has_slots = has_slots or any(choice.has_slots for choice in choices)
        elif part in "(){}":
            raise PhraseInvalid(f"{part!r} without its partner; brackets don't nest")
        else:
            piece = _Piece.of(part)
            pieces.append(piece.regex)
            least += piece.count
            literal.update(piece.words)
            has_slots = has_slots or piece.has_slots
    if least == 0:
        raise PhraseInvalid("it matches anything; write at least one word that must be there")
    return Phrase(source, "".join(pieces), has_slots, least, frozenset(literal))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Words and slots in a row."""

    regex: str
    count: int
    words: frozenset[str]
    has_slots: bool

    @classmethod
    def of(cls, text: str) -> "_Piece":
        regex, count, literal, has_slots = "", 0, set[str](), False
        for part in _SLOT.split(text):
            if part.startswith("{"):
                if part[1:-1] not in SLOTS:
                    raise PhraseInvalid(
                        f"{part} is no slot; use one of " + ", ".join(f"{{{s}}}" for s in SLOTS)
                    )
                regex, count, has_slots = f"{regex} <{part[1:-1]}>", count + 1, True
                continue
            words = words_of(part)
            regex += "".join(f" {re.escape(word)}" for word in words)
            count += len(words)
            literal.update(words)
        return cls(regex, count, frozenset(literal), has_slots)


def compile_phrases(
    phrases: Iterable[Phrase], spelt: Callable[[str], str] = lambda word: word
) -> re.Pattern[str] | None:
    """One expression for any of the phrases; None for none. The longest alternatives are tried first.

    `spelt` gives each literal word the spelling that the text will have.
    """
    sources = {_LITERAL.sub(lambda word: spelt(word[0]), phrase.regex) for phrase in phrases}
    if not sources:
        return None
    return re.compile("(?:" + "|".join(sorted(sources, key=len, reverse=True)) + ")(?= )")
