"""One stretch of speech as the rules see it: words, spelling-corrected words, and the vocabulary in it."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rapidfuzz import fuzz, process

from .devanagari import spelling_key
from .numerals import HINDI_NUMBER_WORDS, NUMBER_WORDS, read_hindi_number, read_number
from .playbook import Vocabulary

VOCABULARY_FUZZY: Final = 85
"""Products are corrected at the same likeness (0-100) that playbooks use for phrases."""
_LEAST_LETTERS: Final = 4
"""Shorter words have too many neighbours: `no`, `now`, `not`."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A piece of vocabulary in the words `first` to `end` (exclusive). `value` is an id or a number."""

    kind: str
    value: str
    number: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """Words `first` to `end` (exclusive)."""

    first: int
    end: int

    def overlaps(self, other: "Span") -> bool:
        """Whether they share a word."""
        return self.first < other.end and other.first < self.end


class _Line:
    """Words joined so that a match's characters can be turned back into word numbers."""

    def __init__(self, words: Sequence[str]) -> None:
        self.text = "".join(f" {word}" for word in words) + " "
        self._starts: list[int] = []
        position = 0
        for word in words:
            self._starts.append(position)
            position += len(word) + 1

    def find(self, expression: re.Pattern[str]) -> Iterator[Span]:
        for match in expression.finditer(self.text):
            first = bisect_right(self._starts, match.start()) - 1
            yield Span(first, bisect_right(self._starts, match.end() - 1))


class Reading:
    """The words of an utterance, with the end of the utterance before it where the two belong together."""

    def __init__(self, reader: "Reader", words: tuple[str, ...], cut: int) -> None:
        self.words = words
        self.cut = cut
        """Index of the first new word."""
        self._reader = reader
        self._lines: dict[int, _Line] = {}
        self.mentions: tuple[Mention, ...] = tuple(reader.mentions(self.corrected(VOCABULARY_FUZZY)))
        self._tagged: _Line | None = None
        self._tag_spans: list[Span] = []

    def corrected(self, fuzzy: int) -> tuple[str, ...]:
        """The words, each that the playbook does not know replaced by a known one at least so alike."""
        return tuple(self._reader.correct(word, fuzzy) for word in self.words)

    def line(self, fuzzy: int) -> _Line:
        """The text to match phrases without slots on."""
        if fuzzy not in self._lines:
            self._lines[fuzzy] = _Line(self.corrected(fuzzy))
        return self._lines[fuzzy]

    def find(
        self, plain: re.Pattern[str] | None, slotted: re.Pattern[str] | None, fuzzy: int = VOCABULARY_FUZZY
    ) -> list[Span]:
        """Where the expressions match, in words."""
        found = list(self.line(fuzzy).find(plain)) if plain else []
        if slotted:
            line, spans = self._tag()
            for tagged in line.find(slotted):
                found.append(Span(spans[tagged.first].first, spans[tagged.end - 1].end))
        return found

    def _tag(self) -> tuple[_Line, list[Span]]:
        if self._tagged is None:
            words = self.corrected(VOCABULARY_FUZZY)
            starts = {mention.first: mention for mention in self.mentions}
            tagged: list[str] = []
            at = 0
            while at < len(words):
                mention = starts.get(at)
                end = mention.end if mention else at + 1
                tagged.append(f"<{mention.kind}>" if mention else words[at])
                self._tag_spans.append(Span(at, end))
                at = end
            self._tagged = _Line(tagged)
        return self._tagged, self._tag_spans


class Reader:
    """Makes readings: knows the vocabulary, and the words that a misheard word may have been."""

    def __init__(self, vocabulary: Vocabulary, phrase_words: Iterable[str], is_hindi: bool = False) -> None:
        self._is_hindi = is_hindi
        numbers = NUMBER_WORDS | HINDI_NUMBER_WORDS if is_hindi else NUMBER_WORDS
        names = list(vocabulary.names())
        said = set(phrase_words).union(*(name for _, name, _ in names)) - numbers
        self._spelling: dict[str, str] = {}
        """By key, the spelling that stands for all, of a number before that of another word."""
        if is_hindi:
            for word in (*sorted(said), *sorted(numbers)):
                self._spelling[spelling_key(word)] = word
            self._spelling.pop("", None)
        self._numbers, self._said = numbers, said
        self._own = {spelling_key(word): word for word in sorted(said)} if is_hindi else {}
        """The same without the numbers."""
        known = {self.spelt(word) for word in said} | numbers
        self._names: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
        for kind, name, value in names:
            spelt = tuple(map(self.spelt, name))
            self._names.setdefault(spelt[0], []).append((spelt, kind, value))
        for entries in self._names.values():
            entries.sort(key=lambda entry: -len(entry[0]))
        self._known = frozenset(known)
        by_letter: dict[str, list[str]] = {}
        for word in sorted(known - numbers):
            if len(word) >= _LEAST_LETTERS:
                by_letter.setdefault(word[0], []).append(word)
        self._by_letter = by_letter
        self.correct = lru_cache(maxsize=8_192)(self._correct)

    def read(self, words: tuple[str, ...], before: tuple[str, ...] = ()) -> Reading:
        """Read new words, after the words `before` that belong to the same sentence."""
        if self._is_hindi:
            words = tuple(map(self.spelt, words))
        return Reading(self, before + words, len(before))

    def spelt(self, word: str) -> str:
        """Romanised Hindi has no one spelling: the one that stands here for all that sound alike."""
        if not self._is_hindi or word in self._numbers:
            return word
        key = spelling_key(word)
        if not key:
            return word
        # `tin` is a can where the playbook has cans, though `teen` sounds the same
        return self._own[key] if word in self._said and key in self._own else self._spelling.get(key, word)

    def _correct(self, word: str, fuzzy: int) -> str:
        if word in self._known:
            return word
        if fuzzy >= 100 or len(word) < _LEAST_LETTERS:
            return word
        # the first letter must agree: `telling` is no misheard `selling`, `self` may be a `shelf`
        found = process.extractOne(
            word, self._by_letter.get(word[0], ()), scorer=fuzz.ratio, score_cutoff=fuzzy
        )
        return found[0] if found else word

    def mentions(self, words: tuple[str, ...]) -> Iterator[Mention]:
        """Products, units, schemes and numbers from left to right, the longest first; they never overlap."""
        at = 0
        while at < len(words):
            named = next(
                (
                    entry
                    for entry in self._names.get(words[at], ())
                    if words[at : at + len(entry[0])] == entry[0]
                ),
                None,
            )
            if named:
                name, kind, value = named
                yield Mention(kind, value, 0, at, at + len(name))
                at += len(name)
                continue
            number = (self._is_hindi and self._hindi_number(words, at)) or read_number(words, at)
            if number:
                yield Mention("number", "", number[0], at, at + number[1])
                at += number[1]
                continue
            at += 1

    def _hindi_number(self, words: tuple[str, ...], at: int) -> tuple[int, int] | None:
        found = read_hindi_number(words, at)
        if not found or words[at + found[1] - 1] != "darjan":
            return found
        end = at + found[1]
        following = self._names.get(words[end], ()) if end < len(words) else ()
        if any(kind == "unit" for _, kind, _ in following):
            return found
        # without a unit after it the dozen is the unit, as in `ek darjan toothpaste`
        return read_hindi_number(words[: end - 1], at) or found
