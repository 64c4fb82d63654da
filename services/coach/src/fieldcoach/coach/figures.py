"""Figures of the visit so far. What needs to know who spoke is not here while that is unsure."""

from dataclasses import dataclass
from typing import Final

_ASKING: Final = frozenset(
    {
        "what",
        "which",
        "who",
        "when",
        "where",
        "why",
        "how",
        "can",
        "could",
        "shall",
        "should",
        "would",
        "will",
    }
    | {"do", "does", "did", "is", "are", "have", "has", "may"}
)
"""First words of an English question; recognised speech often has no question mark."""


@dataclass(slots=True)
class Figures:
    """Running totals of the words heard."""

    speech_s: float = 0.0
    words: int = 0
    questions: int = 0

    def add(self, text: str, words: tuple[str, ...], seconds: float) -> None:
        """Count one utterance."""
        self.speech_s += seconds
        self.words += len(words)
        marks = text.count("?")
        self.questions += marks or int(bool(words) and words[0] in _ASKING)
