"""The state of a visit as a screen shows it, built from events alone."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT_FINALS = 50
"""More than any terminal has lines for."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of the checklist."""

    title: str
    done: bool


@dataclass(slots=True)
class Board:
    """Everything that is on the screen now."""

    finals: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=KEPT_FINALS))
    committed: str = ""
    tentative: str = ""
    cue_title: str = ""
    cue_text: str = ""
    cue_until: float = 0.0
    cues: int = 0
    stages: list[Stage] = field(default_factory=list)
    state: str = "connecting"
    degraded: str = ""
    link: str = ""
    asr: str = ""
    started: float | None = None
    gaps_s: float = 0.0

    def session(self, answer: Mapping[str, Any]) -> None:
        """The session's answer: which engine listens, and what the phone shall send."""
        asr = answer.get("asr") or {}
        self.asr = f"{asr.get('engine', '?')} / {asr.get('model', '?')}"
        self._profile(answer.get("profile") or {})

    def event(self, event: Mapping[str, Any], now: float) -> None:
        """Take one event, at `now` (seconds, monotonic)."""
        match event.get("type"):
            case "state":
                self.state = str(event.get("state", "?"))
                self.degraded = str(event.get("degraded") or "")
            case "profile":
                self._profile(event)
            case "partial":
                self.committed = str(event.get("committed", ""))
                self.tentative = str(event.get("tentative", ""))
            case "final":
                self.committed = self.tentative = ""
                self.finals.append((float(event.get("start", 0.0)), str(event.get("text", ""))))
            case "cue":
                self.cues += 1
                self.cue_title = str(event.get("title", ""))
                self.cue_text = str(event.get("text", ""))
                self.cue_until = now + float(event.get("ttl_ms", 8_000)) / 1e3
            case "checklist" | "summary":
                self._checklist(event.get("stages" if event.get("type") == "checklist" else "checklist"))
            case "gap":
                self.gaps_s += float(event.get("duration", 0.0))

    def cue_is_shown(self, now: float) -> bool:
        """A card fades when its time to live is over."""
        return bool(self.cue_text) and now < self.cue_until

    def _profile(self, fields: Mapping[str, Any]) -> None:
        if fields:
            kbps = float(fields.get("max_bitrate", 0)) / 1e3
            self.link = (
                f"{fields.get('rung', '?')}: {kbps:g} kbit/s, {fields.get('ptime_ms', '?')} ms a packet"
            )

    def _checklist(self, stages: Any) -> None:
        if isinstance(stages, list):
            self.stages = [
                Stage(str(stage.get("title") or stage.get("id")), bool(stage.get("done")))
                for stage in stages
                if isinstance(stage, Mapping)
            ]
