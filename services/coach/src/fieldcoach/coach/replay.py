"""What the rules make of a transcript on file: each decision with its reason, and the result.

The transcript is a visit's JSON: `{"seconds": 61.2, "lines": [{"start": 0.8, "end": 3.1, "text": "...",
"speaker": "rep"}]}`; without `speaker` nobody knows who spoke.
Each line counts as one final that arrives when it ends; so the result is what the limits allow, without
the delays and misreadings of a real system.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .engine import Conclusion, Heard, Update, VisitEngine
from .errors import TranscriptInvalid
from .figures import Speaker
from .playbook import Level
from .policy import Outcome
from .rules import CompiledPlaybook


class TranscriptLine(BaseModel):
    """One utterance; times are seconds. Gold marks are not for us."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: float = Field(ge=0)
    end: float = Field(ge=0)
    text: str
    speaker: str = "unknown"

    @property
    def who(self) -> Speaker:
        """`rep`, or `other` for anybody else with a name (visits on file say `shop`)."""
        if self.speaker in ("rep", "unknown"):
            return "rep" if self.speaker == "rep" else "unknown"
        return "other"


class Transcript(BaseModel):
    """A visit on file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    language: str = "en"
    seconds: float | None = None
    lines: tuple[TranscriptLine, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """The decisions in order, and the visit summed up."""

    playbook: str
    version: int
    outcomes: tuple[Outcome, ...]
    conclusion: Conclusion
    texts: tuple[str, ...]
    """Of each outcome: the cue's words at that moment, slots filled."""
    causes: dict[str, str]
    """Of each cue: what calls for it."""

    def as_json(self) -> dict[str, Any]:
        """The stable form that other programs read."""
        conclusion = self.conclusion
        return {
            "playbook": self.playbook,
            "version": self.version,
            "decisions": [
                {
                    "at": round(outcome.position_s, 3),
                    "cue": outcome.candidate.cue,
                    "objection": outcome.candidate.objection,
                    "shown": outcome.shown,
                    "reason": outcome.reason,
                    "raised_at": round(outcome.candidate.position_s, 3),
                    "waited_for": outcome.waited_for,
                    "text": text,
                    "why": self.causes[outcome.candidate.cue],
                }
                for outcome, text in zip(self.outcomes, self.texts, strict=True)
            ],
            "orders": [{"sku": line.sku, "qty": line.qty, "unit": line.unit} for line in conclusion.orders],
            "stages": [mark.id for mark in conclusion.stages],
            "stages_at": {mark.id: round(mark.at_s, 3) for mark in conclusion.stages},
            "objections": [{"id": mark.id, "at": round(mark.at_s, 3)} for mark in conclusion.objections],
            "score": conclusion.score,
            "tips": list(conclusion.tips),
            "promises": [{"id": mark.id, "at": round(mark.at_s, 3)} for mark in conclusion.promises],
            "claims": [{"id": mark.id, "at": round(mark.at_s, 3)} for mark in conclusion.claims],
            "summary": conclusion.text,
        }

    def as_text(self) -> str:
        """For a person."""
        lines = [f"playbook {self.playbook} version {self.version}"]
        for outcome, text in zip(self.outcomes, self.texts, strict=True):
            what = "show" if outcome.shown else "hold"
            waited = f" (waited for {outcome.waited_for})" if outcome.waited_for else ""
            cause = f"{self.causes[outcome.candidate.cue]} at {outcome.candidate.position_s:.2f}"
            lines.append(
                f"{outcome.position_s:8.2f}  {what}  {outcome.candidate.cue:<24} {outcome.reason}{waited}"
                f"  [{cause}]" + (f"  “{text}”" if outcome.shown else "")
            )
        conclusion = self.conclusion
        for stage in conclusion.stages:
            lines.append(f"{stage.at_s:8.2f}  step  {stage.id}")
        for objection in conclusion.objections:
            lines.append(f"{objection.at_s:8.2f}  objection  {objection.id}")
        for kind, marks in (("promise", conclusion.promises), ("claim", conclusion.claims)):
            lines += [f"{mark.at_s:8.2f}  {kind}  {mark.id}" for mark in marks]
        lines += [f"order: {line.qty} {line.unit} of {line.sku}" for line in conclusion.orders]
        lines += [f"score: {conclusion.score}", conclusion.text]
        lines += [f"tip: {tip}" for tip in conclusion.tips]
        return "\n".join(lines)


def read_transcript(path: Path) -> Transcript:
    """Read a transcript file.

    Raises:
        TranscriptInvalid: can't be read, is no JSON, or a field does not fit.
    """
    try:
        return Transcript.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise TranscriptInvalid(f"{path}: {error.strerror}. Fix: name a readable file.") from error
    except ValueError as error:
        if isinstance(error, ValidationError):
            item = error.errors()[0]
            where = ".".join(str(part) for part in item["loc"]) or "file"
            raise TranscriptInvalid(
                f"{path}: {where}: {item['msg']}. Fix: give lines of start, end and text."
            ) from error
        raise TranscriptInvalid(f"{path}: not JSON. Fix: give a visit's JSON file.") from error


class Run:
    """An engine with a clock that jumps from decision to decision."""

    def __init__(self, engine: VisitEngine) -> None:
        self.engine = engine
        self.now = 0.0
        self.outcomes: list[Outcome] = []
        self.texts: list[str] = []

    def advance(self, until: float) -> None:
        """Let the time pass, deciding whatever is due meanwhile."""
        while (wake := self.engine.next_wake(self.now)) is not None and wake < until:
            self.now = wake
            self.note(self.engine.tick(wake))
        self.now = max(self.now, until)

    def note(self, update: Update) -> None:
        """Keep the outcomes; a chosen cue has gone out."""
        self.outcomes += update.outcomes
        cues = self.engine.rules.cues
        self.texts += [self.engine.text_of_cue(cues[o.candidate.cue]) or "" for o in update.outcomes]
        if update.choice:
            self.engine.delivered(self.now)


def replay(rules: CompiledPlaybook, transcript: Transcript, level: Level = "standard") -> Replay:
    """Run the engine over a transcript; the clock is the transcript's own."""
    run = Run(VisitEngine(rules, level, transcript.language))
    for number, line in enumerate(transcript.lines):
        run.advance(line.end)
        heard = Heard(number, line.start, line.end, line.text, spoken_at=run.now, speaker=line.who)
        run.note(run.engine.heard(heard, run.now))
    run.advance(transcript.seconds or run.now)
    run.note(run.engine.finish(run.now))
    playbook = rules.playbook
    return Replay(
        playbook.id,
        playbook.version,
        tuple(run.outcomes),
        run.engine.conclusion(),
        tuple(run.texts),
        {cue.id: cue.on.cause() for cue in playbook.cues},
    )
