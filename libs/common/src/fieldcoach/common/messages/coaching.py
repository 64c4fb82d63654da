"""What the coach says."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .base import Message, SessionId
from .transcripts import Timing


class Cue(Message):
    """One line of advice. `id` is unique; `cue` names the playbook's rule; late after `expires_at`.

    `trigger_n` is the final that fired it, `trigger_published_at` and `coach_ms` say where its time went.
    """

    kind: Literal["cue"] = "cue"
    session: SessionId
    n: int
    id: SessionId
    cue: str
    objection: str | None = None
    title: str = ""
    text: str
    severity: Literal["info", "suggest", "warn"] = "suggest"
    haptic: Literal["none", "short", "long"] = "short"
    ttl_ms: int = Field(ge=0)
    expires_at: float
    source: Literal["rule", "llm"] = "rule"
    trigger_n: int | None = None
    trigger_end_sample: int | None = None
    trigger_timing: Timing | None = None
    coach_ms: float = 0


class CueCounts(BaseModel):
    """What became of one cue of a playbook: sent, and what phones did with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    playbook: str
    cue: str
    fired: int = 0
    shown: int = 0
    dismissed: int = 0
    acted: int = 0
    expired: int = 0


class CueAggregate(Message):
    """coach: the counts of all its visits since `since` (ms since 1970); replaces its message before.

    For the manager's view: no words, no visits, no persons.
    """

    kind: Literal["coach.aggregate"] = "coach.aggregate"
    coach: SessionId
    since: float
    at: float
    cues: tuple[CueCounts, ...] = Field(default=(), max_length=1_000)


class StageStatus(BaseModel):
    """One stage of the outlet call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    weight: int
    done: bool
    at_sample: int | None = None


class Checklist(Message):
    """The whole checklist, sent when a stage changes."""

    kind: Literal["checklist"] = "checklist"
    session: SessionId
    n: int
    stages: tuple[StageStatus, ...]


class VisitMetrics(Message):
    """Figures of the visit so far. What needs to know who spoke is None while that is unsure."""

    kind: Literal["metrics"] = "metrics"
    session: SessionId
    n: int
    speech_s: float
    words: int
    questions: int
    stage_coverage: float
    cues_shown: int
    order_lines: int
    talk_share: float | None = None
    talk_share_120s: float | None = None
    longest_monologue_s: float | None = None
    pace_wpm: float | None = None
    pace_ratio: float | None = None
    must_sell_coverage: float | None = None
    schemes_told: int = 0


class OrderLine(BaseModel):
    """One line of the order as agreed in the conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: str
    qty: int
    unit: str


class ObjectionRaised(BaseModel):
    """An objection the coach heard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    at_sample: int


MAX_NOTE_TEXT = 160
"""Characters of a note's words: a sentence; the transcript has the rest."""


class VisitNote(BaseModel):
    """A promise or a claim to remember after the visit; `text` is what was said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    at_sample: int
    text: str = Field("", max_length=MAX_NOTE_TEXT)


class Summary(Message):
    """The end of the visit: score 0-100 by weighted stages, the order, the objections, at most two tips.

    Sent anew, with a higher `n`, when words that came late change it.
    """

    kind: Literal["summary"] = "summary"
    session: SessionId
    n: int
    score: int = Field(ge=0, le=100)
    stages: tuple[StageStatus, ...]
    objections: tuple[ObjectionRaised, ...]
    orders: tuple[OrderLine, ...]
    tips: tuple[str, ...] = ()
    text: str = ""
    source: Literal["rules", "llm"] = "rules"
    duration_s: float
    playbook: str
    playbook_version: int
    promises: tuple[VisitNote, ...] = ()
    claims: tuple[VisitNote, ...] = ()
