"""One line an event, without control characters: for a pipe, a log or a screen reader."""

from collections.abc import Callable
from typing import Any

from .board import Board

Write = Callable[[str], None]


class PlainView:
    """Prints what happens as it happens."""

    def __init__(self, write: Write = print) -> None:
        self._write = write
        self._board = Board()
        self._started: float | None = None
        self._last_partial = ""

    def session(self, answer: dict[str, Any]) -> None:
        """Name the engine and the profile."""
        self._board.session(answer)
        self._write(
            f"session {answer.get('session_id', '?')}; recogniser {self._board.asr}; {self._board.link}"
        )

    def audio_started(self, now: float) -> None:
        """Seconds count from here."""
        self._started = now
        self._say(now, "audio", "the first sample is on its way")

    def event(self, event: dict[str, Any], now: float) -> None:
        """Print what changed."""
        done_before = {stage.title for stage in self._board.stages if stage.done}
        self._board.event(event, now)
        match event.get("type"):
            case "state":
                why = self._board.degraded or str(event.get("reason") or "")
                self._say(now, "state", self._board.state + (f" ({why})" if why else ""))
            case "profile":
                self._say(now, "profile", self._board.link)
            case "partial" if (heard := self._partial()) != self._last_partial:
                self._last_partial = heard
                self._say(now, "...", heard)
            case "final":
                self._last_partial = ""
                self._say(now, "heard", str(event.get("text", "")))
            case "cue":
                self._say(now, "CUE", f"{self._board.cue_title} {self._board.cue_text}".strip())
            case "checklist":
                for stage in self._board.stages:
                    if stage.done and stage.title not in done_before:
                        self._say(now, "done", stage.title)
            case "gap":
                self._say(now, "gap", f"{float(event.get('duration', 0.0)):.2f} s of audio never came")
            case "error":
                self._say(now, "error", str(event.get("detail") or event.get("title") or ""))

    def _partial(self) -> str:
        board = self._board
        return board.committed + (f" [{board.tentative.strip()}]" if board.tentative.strip() else "")

    def _say(self, now: float, what: str, text: str) -> None:
        t = f"{now - self._started:7.2f}" if self._started is not None else "      -"
        self._write(f"{t}  {what:<8} {text}".rstrip())
