"""Which of a session's languages an utterance is in.

Whisper takes one language token per window, and a wrong one makes it translate. So it is asked only among the
languages that the session allows, once an utterance, and a single doubtful answer changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE

LEAD: Final = 0.3
"""A probability that leads by so much switches at once; a smaller lead must come twice in a row."""
SHORTEST: Final = round(1.5 * SAMPLE_RATE)
"""Samples. Less speech keeps the language of the session: a short "haan" or "okay" is in any."""
INDIC: Final = frozenset(
    {"as", "bn", "gu", "hi", "kn", "ml", "mr", "ne", "pa", "sa", "sd", "si", "ta", "te", "ur"}
)
"""Whisper's codes of languages whose text costs some 16 tokens a second: 224 tokens hold 11-14 s of them."""


@dataclass(frozen=True, slots=True)
class LanguageChoice:
    """What the session speaks, as far as is known."""

    current: str
    allowed: tuple[str, ...]
    challenger: str | None = None
    """Another language that led by little in the utterance before."""

    @property
    def is_open(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.allowed) > 1

    def decide(self, probabilities: Mapping[str, float]) -> "LanguageChoice":
        """The choice after one more utterance with these probabilities; only allowed languages count."""
        known = {language: probabilities.get(language, 0.0) for language in self.allowed}
        best = max(known, key=lambda language: (known[language], language == self.current))
        if best == self.current:
            return replace(self, challenger=None)
        if known[best] - known[self.current] >= LEAD or best == self.challenger:
            return replace(self, current=best, challenger=None)
        return replace(self, challenger=best)
