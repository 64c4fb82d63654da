"""Where the time of a final or a cue went, from the phone's point of view.

```
last speech sample        at the        silence was     final was      at the
at the microphone         asr worker    long enough     published      phone
      │── uplink ────────────│── endpoint ───│── asr ─────────│─ delivery ─│
```

A cue adds the coach's own time between the last two. Uplink and delivery compare two clocks, so the phone's
offset to the server (`ClockOffset`) is taken off. "Last speech sample" is where the recogniser saw it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..percentiles import percentile

STAGES = ("uplink", "endpoint", "asr", "coach", "delivery")


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Milliseconds a stage; `coach` is None for a final."""

    uplink: float
    endpoint: float
    asr: float
    delivery: float
    coach: float | None = None

    @property
    def overhead(self) -> float:
        """What is neither a wait for silence nor computing: the two ways, there and back."""
        return self.uplink + self.delivery

    @property
    def total(self) -> float:
        """From the last speech sample at the microphone to the phone."""
        return self.uplink + self.endpoint + self.asr + (self.coach or 0.0) + self.delivery


def _stage_times(
    timing: Mapping[str, Any] | None, end_at: float, received_at: float, coach_ms: float | None
) -> StageTimes | None:
    if not isinstance(timing, Mapping):
        return None
    try:
        heard_at, published_at = float(timing["heard_at"]), float(timing["published_at"])
        endpoint, asr = float(timing["endpoint_ms"]), float(timing["asr_ms"])
    except (KeyError, TypeError, ValueError):
        return None
    return StageTimes(
        uplink=heard_at - end_at,
        endpoint=endpoint,
        asr=asr,
        coach=coach_ms,
        delivery=received_at - published_at - (coach_ms or 0.0),
    )


def final_times(event: Mapping[str, Any], audio_started_at: float, received_at: float) -> StageTimes | None:
    """The stages of a `final` event; None if it carries no timing. Both moments in server milliseconds."""
    if not isinstance(event.get("end"), int | float):
        return None
    return _stage_times(event.get("timing"), audio_started_at + event["end"] * 1e3, received_at, None)


def cue_times(event: Mapping[str, Any], audio_started_at: float, received_at: float) -> StageTimes | None:
    """The stages of a `cue` event; None if no final fired it. Both moments in server milliseconds."""
    trigger = event.get("trigger")
    if not isinstance(trigger, Mapping) or not isinstance(trigger.get("end"), int | float):
        return None
    coach_ms = event.get("coach_ms")
    return _stage_times(
        trigger.get("timing"),
        audio_started_at + trigger["end"] * 1e3,
        received_at,
        float(coach_ms) if isinstance(coach_ms, int | float) else 0.0,
    )


@dataclass(frozen=True, slots=True)
class StageRow:
    """One row of the table of where the time went."""

    stage: str
    p50: float
    p95: float


@dataclass(slots=True)
class StageTable:
    """Collects the stages of a visit's finals and cues."""

    finals: list[StageTimes] = field(default_factory=list)
    cues: list[StageTimes] = field(default_factory=list)

    def rows(self) -> list[StageRow]:
        """Uplink to delivery, then both totals; a stage without a sample is left out."""
        both = [*self.finals, *self.cues]
        rows = []
        for stage in STAGES:
            # a cue's first stages are those of the final that fired it: counted once, with the final
            of = both if stage == "coach" else self.finals
            rows += _row(stage, (getattr(times, stage) for times in of))
        rows += _row("end of speech → final", (times.total for times in self.finals))
        rows += _row("end of trigger → cue", (times.total for times in self.cues))
        return rows


def _row(stage: str, values: Iterable[float | None]) -> list[StageRow]:
    present = [value for value in values if value is not None]
    p50, p95 = percentile(present, 50), percentile(present, 95)
    return [] if p50 is None or p95 is None else [StageRow(stage, p50, p95)]
