"""The JSON lines of `fieldcoach visit --json`: the server's events with the moment they came."""

import json
from collections.abc import Mapping
from typing import Any

SHOWN_TYPES = frozenset(
    {"state", "profile", "partial", "final", "cue", "checklist", "metrics", "gap", "missing", "summary"}
)
"""What is printed; `pong`, `token` and `error` belong to the connection."""


class Lines:
    """Turns events into lines. `t` counts from the first sample, so lines before it are held until then."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._held: list[tuple[float, Mapping[str, Any]]] = []

    def start(self, now: float) -> list[str]:
        """The first sample was captured at `now` (seconds, monotonic); gives the lines held so far."""
        self._started = now
        held, self._held = self._held, []
        return [_line(moment - now, event) for moment, event in held]

    def add(self, event: Mapping[str, Any], now: float) -> list[str]:
        """An event came at `now`: the lines that can be printed."""
        if event.get("type") not in SHOWN_TYPES:
            return []
        if self._started is None:
            self._held.append((now, event))
            return []
        return [_line(now - self._started, event)]


def _line(t: float, event: Mapping[str, Any]) -> str:
    fields = {"t": round(t, 3), "type": event["type"]}
    fields.update({key: value for key, value in event.items() if key not in ("t", "type")})
    return json.dumps(fields, ensure_ascii=False)
