"""Word errors as a recogniser makes them, by a fixed seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .gold import MarkedVisit

SUBSTITUTED: Final = 0.6
DELETED: Final = 0.25
"""The rest is inserted. Shares of the errors of Whisper on noisy speech, roughly."""
MISHEARD: Final = 0.5
"""Of the substitutions so many change a letter or two; the others are another word altogether."""
_LETTERS: Final = "abcdefghijklmnoprstuvwy"


@dataclass(frozen=True, slots=True)
class WordNoise:
    """`rate` word errors for each word said; `vocabulary` is where wrong words come from."""

    rate: float
    seed: int
    vocabulary: Sequence[str]

    def applied(self, visit: MarkedVisit) -> MarkedVisit:
        """The visit as it might have been heard."""
        chance = random.Random(f"{self.seed}:{self.rate}:{visit.id}")
        lines = [
            line.model_copy(update={"text": " ".join(self._heard(line.text.split(), chance))})
            for line in visit.lines
        ]
        return visit.model_copy(update={"lines": tuple(lines)})

    def _heard(self, words: list[str], chance: random.Random) -> list[str]:
        heard: list[str] = []
        for word in words:
            if chance.random() >= self.rate:
                heard.append(word)
                continue
            kind = chance.random()
            if kind < SUBSTITUTED:
                heard.append(self._misheard(word, chance))
            elif kind >= SUBSTITUTED + DELETED:
                heard += [word, chance.choice(self.vocabulary)]
        return heard

    def _misheard(self, word: str, chance: random.Random) -> str:
        if chance.random() >= MISHEARD or not word.isascii() or len(word) < 3:
            return chance.choice(self.vocabulary)
        letters = list(word)
        for _ in range(1 + (len(word) > 6)):
            letters[chance.randrange(1, len(letters))] = chance.choice(_LETTERS)
        return "".join(letters)


def without_halves(visit: MarkedVisit, rate: float, seed: int) -> MarkedVisit:
    """So many of the words lost in stretches, as by holes in the network: half of a line at a time."""
    chance = random.Random(f"lost:{seed}:{visit.id}")
    lines = []
    for line in visit.lines:
        words = line.text.split()
        if chance.random() < 2 * rate:
            half = len(words) // 2
            words = words[half:] if chance.random() < 0.5 else words[:half]
        lines.append(line.model_copy(update={"text": " ".join(words)}))
    return visit.model_copy(update={"lines": tuple(lines)})


def flipped(visit: MarkedVisit, _seed: int) -> MarkedVisit:
    """Every line heard from the wrong person."""
    lines = [
        line.model_copy(update={"heard_from": "other" if line.speaker == "rep" else "rep"})
        for line in visit.lines
    ]
    return visit.model_copy(update={"lines": tuple(lines)})
