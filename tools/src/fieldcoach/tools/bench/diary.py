"""What one phone saw of its visit, kept also when the visit fails."""

from dataclasses import dataclass, field
from typing import Any

from ..phone.visit import Silent
from .score import Received


@dataclass(slots=True)
class Diary(Silent):
    """A listener. Times are monotonic seconds; in memory only."""

    sessions: list[str] = field(default_factory=list)
    asr: dict[str, Any] = field(default_factory=dict)
    started_at: float | None = None
    """None: no media connection came up."""
    events: list[Received] = field(default_factory=list)

    def session(self, answer: dict[str, Any]) -> None:
        """The session was created."""
        self.sessions.append(str(answer["session_id"]))
        self.asr = dict(answer.get("asr") or {})

    def audio_started(self, now: float) -> None:
        """The first sample was captured."""
        self.started_at = now

    def event(self, event: dict[str, Any], now: float) -> None:
        """An event came."""
        self.events.append((now, event))
