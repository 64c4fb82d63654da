"""Cues on figures: which of them a figure has called for, long enough, and on what new evidence. Pure.

Times are seconds on the session's clock. A figure calls once each time that it gets there; it must leave
before it can call again.
"""

from collections.abc import Iterator, Sequence

from .figures import Figures
from .playbook import CueRule


class MetricWatch:
    """The cues on figures of one visit."""

    def __init__(self, cues: Sequence[CueRule]) -> None:
        self._cues = cues
        self._since: dict[str, float] = {}
        self._times: dict[str, int] = {}
        self._has_called: set[str] = set()

    def due(self, figures: Figures, at_s: float) -> Iterator[CueRule]:
        """The cues whose figure has now held for its `sustain_s`; each once until it holds no more."""
        for cue in self._cues:
            on = cue.on
            value = figures.value(on.metric) if on.metric else None
            if value is None or not on.holds(value):
                if self._since.pop(cue.id, None) is not None:
                    self._times[cue.id] = self._times.get(cue.id, 0) + 1
                self._has_called.discard(cue.id)
                continue
            # a monologue grows with the clock, so it was there before its words were recognised
            reached = at_s - (value - on.gte) if on.metric == "monologue_s" and on.gte is not None else at_s
            since = self._since.setdefault(cue.id, reached)
            if cue.id not in self._has_called and at_s - since >= on.sustain_s:
                self._has_called.add(cue.id)
                yield cue

    def evidence(self, cue: CueRule) -> str:
        """Names the present occasion: it changes when the figure has left and come back."""
        return f"{cue.on.metric}-{self._times.get(cue.id, 0)}"
