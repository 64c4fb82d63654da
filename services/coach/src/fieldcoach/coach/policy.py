"""When a cue may be shown: right, rare and on time. Pure: candidates and a clock in, outcomes out.

Every candidate ends in exactly one outcome, `shown` or dropped with the rule that dropped it; what made
it wait on the way is told with it. All times are seconds; `now` never goes back.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from .normalise import words_of
from .playbook import CueRule, Level, Playbook

MAX_LATE_S: Final = 5.0
"""Words that arrive later than this after they were spoken fire no cue: the moment has passed."""
SAME_TEXT: Final = 0.7
"""Token Jaccard from which two texts are the same advice."""
RECENT_TEXTS: Final = 5
MINUTE_S: Final = 60.0
PAUSE_S: Final = 2.0
"""Silence since the last words after which a pause is safe to speak into."""
_EPSILON: Final = 1e-6
_JUST_AFTER: Final = 1e-3
"""Woken exactly when its time ends, a candidate would not have expired yet."""

DropRule = Literal[
    "level", "muted", "low_confidence", "concealed", "late", "unknown_speaker", "wrong_speaker", "stage_done",
    "no_new_evidence", "cooldown", "max_per_cue", "max_per_visit", "duplicate", "superseded", "expired",
    "unfilled", "llm_none", "llm_other", "visit_ended",
]  # fmt: skip
Distrust = Literal["low_confidence", "concealed", "late", "unknown_speaker", "wrong_speaker"]
WaitRule = Literal["quiet_first", "min_gap", "max_per_min", "turn", "one_at_a_time"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cue that something said has called for."""

    cue: str
    evidence: str
    """What called for it: the same evidence never fires a cue twice."""
    raised_at: float
    """When its trigger ended, on the clock of `now`."""
    position_s: float
    """The same moment on the session's clock."""
    objection: str | None = None
    stage: str | None = None
    """Dropped once this stage is done."""
    trigger_n: int | None = None
    distrust: Distrust | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a candidate."""

    candidate: Candidate
    at: float
    position_s: float
    shown: bool
    reason: str
    """`fired`, or the rule that dropped it."""
    waited_for: WaitRule | None = None
    """The rule that held it back first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The cue to show now, and the other candidates that could have been shown instead."""

    outcome: Outcome
    others: tuple[Candidate, ...] = ()


@dataclass(slots=True)
class _Shown:
    cue: str
    at: float
    text: frozenset[str]


@dataclass(slots=True)
class _Waiting:
    candidate: Candidate
    rule: WaitRule | None = None


@dataclass(slots=True)
class PolicyState:
    """Everything that the policy remembers of a visit."""

    shown: list[_Shown] = field(default_factory=list)
    used_evidence: set[tuple[str, str]] = field(default_factory=set)
    waiting: list[_Waiting] = field(default_factory=list)
    dismissed: dict[str, int] = field(default_factory=dict)
    recent: deque[_Shown] = field(default_factory=lambda: deque(maxlen=RECENT_TEXTS))
    in_flight: _Shown | None = None


class CuePolicy:
    """The limits of one visit. `is_fillable`: whether the data can fill the slots of a cue's text now."""

    def __init__(
        self,
        playbook: Playbook,
        level: Level,
        language: str,
        is_fillable: Callable[[CueRule], bool] = lambda _rule: True,
    ) -> None:
        self._limits = playbook.limits
        self._rules: dict[str, CueRule] = {cue.id: cue for cue in playbook.cues}
        self._least_priority = playbook.levels.min_priority(level)
        self._words = {cue.id: frozenset(words_of(playbook.say(cue.text, language))) for cue in playbook.cues}
        self._is_fillable = is_fillable
        self._state = PolicyState()

    @property
    def shown_count(self) -> int:
        """Cues shown in this visit."""
        return len(self._state.shown)

    # ── candidates ───────────────────────────────────────────────────────────────────────────────────────

    def offer(self, candidate: Candidate, now: float, done: frozenset[str]) -> list[Outcome]:
        """Take a candidate; returns the outcomes that are already sure."""
        drop = self._drop_rule(candidate, now, done)
        if drop:
            return [self._outcome(_Waiting(candidate), now, drop)]
        outcomes = []
        for waiting in list(self._state.waiting):
            if waiting.candidate.cue == candidate.cue:
                self._state.waiting.remove(waiting)
                outcomes.append(self._outcome(waiting, now, "superseded"))
        self._state.waiting.append(_Waiting(candidate))
        return outcomes

    def choose(
        self, now: float, done: frozenset[str], turn_ended: bool, quiet_since: float
    ) -> tuple[list[Outcome], Choice | None]:
        """Drop what may no more be shown, and pick at most one of the rest by priority.

        `turn_ended`: somebody has just stopped talking. `quiet_since`: when words were last heard.
        """
        outcomes: list[Outcome] = []
        ready: list[_Waiting] = []
        for waiting in sorted(self._state.waiting, key=self._order):
            drop = self._drop_rule(waiting.candidate, now, done)
            if drop:
                self._state.waiting.remove(waiting)
                outcomes.append(self._outcome(waiting, now, drop))
                continue
            rule = self._wait_rule(waiting.candidate, now, turn_ended, quiet_since)
            if rule is None:
                ready.append(waiting)
            elif waiting.rule is None:
                waiting.rule = rule
        if not ready:
            return outcomes, None
        chosen, *others = ready
        self._state.waiting.remove(chosen)
        for other in others:
            other.rule = other.rule or "one_at_a_time"
        outcome = self._outcome(chosen, now, "fired", shown=True)
        self._state.in_flight = self._note(chosen.candidate, now)
        return outcomes, Choice(outcome, tuple(other.candidate for other in others))

    def settle(self, now: float) -> None:
        """The chosen cue has gone out now; until then nothing else is chosen."""
        if self._state.in_flight:
            self._state.in_flight.at = now
            self._state.in_flight = None

    def exchange(self, choice: Choice, cue: str | None, now: float) -> list[Outcome]:
        """Another of the choice's candidates is shown instead, or none: the limits count only what is."""
        shown = self._state.in_flight
        assert shown is not None, "exchange belongs between choose and settle"
        self._state.shown.remove(shown)
        self._state.recent.remove(shown)
        self._state.in_flight = None
        reason: DropRule = "llm_other" if cue else "llm_none"
        outcomes = [replace(choice.outcome, at=now, shown=False, reason=reason)]
        for waiting in list(self._state.waiting):
            if cue and waiting.candidate.cue == cue:
                self._state.waiting.remove(waiting)
                outcomes.append(self._outcome(waiting, now, "fired", shown=True))
                self._state.in_flight = self._note(waiting.candidate, now)
        return outcomes

    def recall(self, candidate_cue: str, evidence: str | None, at: float) -> None:
        """A cue of this visit that an earlier process has shown at `at`."""
        for waiting in list(self._state.waiting):
            if waiting.candidate.cue == candidate_cue:
                self._state.waiting.remove(waiting)
        shown = _Shown(candidate_cue, at, self._words.get(candidate_cue, frozenset()))
        self._state.shown.append(shown)
        self._state.recent.append(shown)
        if evidence:
            self._state.used_evidence.add((candidate_cue, evidence))

    def forget_before(self, raised_at: float) -> None:
        """Candidates from before that moment were decided by an earlier process."""
        self._state.waiting = [w for w in self._state.waiting if w.candidate.raised_at >= raised_at]

    def end(self, now: float) -> list[Outcome]:
        """The visit is over: what still waits is dropped."""
        outcomes = [self._outcome(waiting, now, "visit_ended") for waiting in self._state.waiting]
        self._state.waiting.clear()
        return outcomes

    def dismissed(self, cue: str) -> None:
        """The salesperson waved the cue away; the second time it is muted for the visit."""
        self._state.dismissed[cue] = self._state.dismissed.get(cue, 0) + 1

    def next_wake(self, now: float) -> float | None:
        """When a waiting candidate next may be shown or expires; None if nothing waits."""
        times = []
        for waiting in self._state.waiting:
            candidate = waiting.candidate
            times.append(candidate.raised_at + self._ttl(candidate) + _JUST_AFTER)
            release = self._release(candidate)
            if release > now:
                times.append(release)
            elif self._rules[candidate.cue].deliver == "pause":
                times.append(now + PAUSE_S)
        return min(times, default=None)

    # ── the rules ────────────────────────────────────────────────────────────────────────────────────────

    def _drop_rule(self, candidate: Candidate, now: float, done: frozenset[str]) -> DropRule | None:
        rule, state = self._rules[candidate.cue], self._state
        same = [shown for shown in state.shown if shown.cue == candidate.cue]
        if rule.priority < self._least_priority:
            return "level"
        if state.dismissed.get(candidate.cue, 0) >= 2:
            return "muted"
        if candidate.distrust:
            return candidate.distrust
        if candidate.stage and candidate.stage in done:
            return "stage_done"
        if (candidate.cue, candidate.evidence) in state.used_evidence:
            return "no_new_evidence"
        if same and now - same[-1].at < self._cooldown(rule, len(same)) - _EPSILON:
            return "cooldown"
        if len(same) >= rule.max_per_visit:
            return "max_per_cue"
        if len(state.shown) >= self._limits.max_per_visit:
            return "max_per_visit"
        if any(s.cue != candidate.cue and self._alike(candidate.cue, s.text) for s in state.recent):
            return "duplicate"
        if now - candidate.raised_at > self._ttl(candidate) + _EPSILON:
            return "expired"
        if not self._is_fillable(rule):
            return "unfilled"
        return None

    def _wait_rule(
        self, candidate: Candidate, now: float, turn_ended: bool, quiet_since: float
    ) -> WaitRule | None:
        if self._state.in_flight:
            return "one_at_a_time"
        if now < self._quiet_end(candidate) - _EPSILON:
            return "quiet_first"
        if now < self._gap_end(candidate) - _EPSILON:
            return "min_gap"
        if now < self._minute_end(candidate) - _EPSILON:
            return "max_per_min"
        rule = self._rules[candidate.cue]
        is_answer = candidate.objection is not None  # its trigger was the end of a turn already
        if rule.deliver == "customer_turn_end" and not (turn_ended or is_answer):
            return "turn"
        if rule.deliver == "pause" and now - quiet_since < PAUSE_S - _EPSILON:
            return "turn"
        return None

    def _release(self, candidate: Candidate) -> float:
        return max(self._quiet_end(candidate), self._gap_end(candidate), self._minute_end(candidate))

    def _is_urgent(self, candidate: Candidate) -> bool:
        return self._rules[candidate.cue].priority >= self._limits.urgent.min_priority

    def _quiet_end(self, candidate: Candidate) -> float:
        urgent = self._is_urgent(candidate)
        quiet = self._limits.urgent.quiet_first_s if urgent else self._limits.quiet_first_s
        return candidate.raised_at + quiet - candidate.position_s

    def _gap_end(self, candidate: Candidate) -> float:
        if not self._state.shown:
            return 0.0
        gap = self._limits.urgent.min_gap_s if self._is_urgent(candidate) else None
        return self._state.shown[-1].at + (self._limits.min_gap_s if gap is None else gap)

    def _minute_end(self, candidate: Candidate) -> float:
        most = self._limits.urgent.max_per_min if self._is_urgent(candidate) else None
        most = self._limits.max_per_min if most is None else most
        shown = self._state.shown
        return shown[-most].at + MINUTE_S if len(shown) >= most else 0.0

    def _ttl(self, candidate: Candidate) -> float:
        return self._rules[candidate.cue].ttl_s or self._limits.ttl_s

    @staticmethod
    def _cooldown(rule: CueRule, times_shown: int) -> float:
        cooldown: float = rule.cooldown_s * rule.escalate ** (times_shown - 1)
        return cooldown

    def _alike(self, cue: str, text: frozenset[str]) -> bool:
        mine = self._words[cue]
        both = mine | text
        return bool(both) and len(mine & text) / len(both) >= SAME_TEXT

    def _order(self, waiting: _Waiting) -> tuple[int, float, str]:
        candidate = waiting.candidate
        return -self._rules[candidate.cue].priority, candidate.raised_at, candidate.cue

    def _note(self, candidate: Candidate, now: float) -> _Shown:
        shown = _Shown(candidate.cue, now, self._words[candidate.cue])
        self._state.shown.append(shown)
        self._state.recent.append(shown)
        self._state.used_evidence.add((candidate.cue, candidate.evidence))
        return shown

    @staticmethod
    def _outcome(waiting: _Waiting, now: float, reason: str, shown: bool = False) -> Outcome:
        candidate = waiting.candidate
        position = candidate.position_s + max(0.0, now - candidate.raised_at)
        return Outcome(candidate, now, position, shown, reason, waiting.rule)
