"""What a decode is told of before it: the last final and the playbook's words.

Previous text keeps names and numbers consistent, and carries one mistake on into the next. So it is dropped
as soon as there is doubt: after any filter, after a silence, and when the language changes.
"""

from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE

FORGET_AFTER: Final = 2 * SAMPLE_RATE
"""Samples of silence after which what was said before has nothing to do with what comes."""


class Context:
    """Of one session. How much of it an engine takes is the engine's: tokens are its own."""

    def __init__(self, hot_words: tuple[str, ...]) -> None:
        self.hot_words = hot_words
        self.text = ""
        """The final before; empty where it must not be used."""
        self._ended_at: int | None = None

    def begin(self, onset: int) -> None:
        """An utterance begins at this sample."""
        if self._ended_at is not None and onset - self._ended_at >= FORGET_AFTER:
            self.forget()

    def end(self, at: int) -> None:
        """An utterance ends at this sample."""
        self._ended_at = at

    def said(self, text: str, *, is_trusted: bool) -> None:
        """A final went out."""
        self.text = text if is_trusted else ""

    def forget(self) -> None:
        """A filter fired, or the language is another."""
        self.text = ""
