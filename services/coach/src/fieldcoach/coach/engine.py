"""The engine of one visit: words and a clock in, decisions out. No I/O, no waiting, replayable.

The same finals, ticks and acknowledgements at the same times give the same decisions; so a process that
takes over a visit rebuilds the state from its events, and a transcript on file shows what would have fired.
"""

from bisect import insort
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from .figures import Figures, Speaker
from .metric_watch import MetricWatch
from .normalise import words_of
from .notes import NoteMark, Notes
from .orders import Line, OrderReader, OrderState
from .playbook import CueRule, Level, Playbook, Trigger
from .policy import MAX_LATE_S, Candidate, Choice, CuePolicy, Distrust, Outcome
from .reading import Reading
from .rules import CompiledPlaybook, Rule
from .slots import filled
from .summing_up import score_of, text_of, tips_of

JOIN_GAP_S: Final = 1.5
"""A sentence may be cut into two finals by a pause up to this long."""
TAIL_WORDS: Final = 12
"""How much of the final before is read again for phrases: no phrase is longer."""
ORDER_TAIL_WORDS: Final = 40
ACROSS_WORDS: Final = 3
"""A match over the cut needs so many words: `no` / `margin is ten percent` is two people."""
CONCEALED_SHARE: Final = 0.3
"""With more of an utterance made up by loss concealment its words are not trusted."""
RETRY_S: Final = 30.0
"""A missed-step cue that found no free moment is called for again: the step is still missing."""
CLOSING_S: Final = 15.0
"""Words of the closing lie within this time before the last words of the visit."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A final transcript: times on the session's clock, but `spoken_at`, its end, on that of `now`."""

    n: int
    start_s: float
    end_s: float
    text: str
    spoken_at: float
    low_confidence: bool = False
    concealed_s: float = 0.0
    is_late: bool = False
    """Back-fill: it counts for everything but a cue, for whose moment it is too late."""
    speaker: Speaker = "unknown"


@dataclass(frozen=True, slots=True)
class StageMark:
    """A stage was done by the words that ended at `at_s`."""

    id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ObjectionMark:
    """An objection was raised by the words that ended at `at_s`."""

    id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Update:
    """What one event changed."""

    stages: tuple[StageMark, ...] = ()
    objections: tuple[ObjectionMark, ...] = ()
    orders_changed: bool = False
    outcomes: tuple[Outcome, ...] = ()
    """Candidates whose fate is now sure; at most one of them is shown."""
    choice: Choice | None = None
    """The cue to show now. The caller tells `delivered` when it has gone out."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The visit in figures."""

    score: int
    tips: tuple[str, ...]
    text: str
    stages: tuple[StageMark, ...]
    objections: tuple[ObjectionMark, ...]
    orders: tuple[Line, ...]
    unplaced_orders: int
    promises: tuple[NoteMark, ...] = ()
    claims: tuple[NoteMark, ...] = ()


@dataclass(slots=True)
class _Tail:
    """The end of the last final, in case the next one goes on with it."""

    end_s: float
    words: tuple[str, ...]
    order_words: tuple[str, ...]
    """With the finals before that the same order runs through."""
    reading: Reading
    orders_before: OrderState
    raised: frozenset[str]


class _Spoken(NamedTuple):
    """Words with their place, kept since an order must be read in the sequence in which it was spoken."""

    start_s: float
    end_s: float
    words: tuple[str, ...]


@dataclass(slots=True)
class _Visit:
    stages: dict[str, StageMark] = field(default_factory=dict)
    stage_done_at: dict[str, float] = field(default_factory=dict)
    objections: list[ObjectionMark] = field(default_factory=list)
    orders: OrderState = field(default_factory=OrderState)
    figures: Figures = field(default_factory=Figures)
    tail: _Tail | None = None
    spoken: list[_Spoken] = field(default_factory=list)
    closing: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    last_heard: float = 0.0
    last_end_s: float = 0.0
    offset: float | None = None
    """`now` minus the session's clock."""


class VisitEngine:
    """One visit by one playbook."""

    def __init__(
        self,
        rules: CompiledPlaybook,
        level: Level = "standard",
        language: str = "en",
        today: date | None = None,
    ) -> None:
        self._today = today or datetime.now(UTC).date()
        """Schemes that ended before this day are told no more."""
        self._rules = rules
        self._playbook = rules.playbook
        self._language = language
        self._orders = OrderReader(rules)
        self._policy = CuePolicy(
            rules.playbook, level, language, lambda rule: self.text_of_cue(rule) is not None
        )
        self._visit = _Visit()
        self._notes = Notes(rules)
        self._watch = MetricWatch(rules.metric_cues)
        self._called: dict[str, float] = {}
        """Stage cues that were called for, and when they may be again."""

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────

    def heard(self, final: Heard, now: float, decide: bool = True) -> Update:
        """Words were recognised. With `decide` false the state moves on, but no cue is chosen (a rebuild)."""
        if final.is_late:
            return self._heard_late(final)
        visit, words = self._visit, words_of(final.text)
        visit.offset = final.spoken_at - final.end_s
        visit.last_heard, visit.last_end_s = final.spoken_at, max(visit.last_end_s, final.end_s)
        visit.figures.add(final.text, words, final.start_s, final.end_s, final.speaker)
        if not words:
            return self._decide(now, (), decide, turn_ended=True)
        joins = visit.tail is not None and 0 <= final.start_s - visit.tail.end_s < JOIN_GAP_S
        tail = visit.tail if joins else None
        reading = self._rules.reader.read(words)
        joined = self._rules.reader.read(words, tail.words[-TAIL_WORDS:]) if tail else None
        stages = self._see_stages(reading, joined, final)
        objections = self._see_objections(reading, joined, final, tail)
        self._notes.add(reading, final.text, final.end_s, is_late=False)
        orders_changed = self._see_orders(reading, final, tail)
        visit.tail.raised = frozenset(mark.id for mark in objections)  # type: ignore[union-attr] # set just above
        self._keep_closing(final, words)
        outcomes: list[Outcome] = []
        for mark in objections:
            outcomes += self._offer_answer(mark, final, now)
        outcomes += self._offer_metric_cues(final, now)
        update = self._decide(now, tuple(outcomes), decide, turn_ended=True)
        return Update(stages, objections, orders_changed, update.outcomes, update.choice)

    def _heard_late(self, final: Heard) -> Update:
        """Back-fill: words from before what is known. No cue comes of them, and none is called back."""
        visit, words = self._visit, words_of(final.text)
        visit.figures.add(final.text, words, final.start_s, final.end_s, final.speaker)
        if not words:
            return Update()
        reading = self._rules.reader.read(words)
        stages = self._see_stages(reading, None, final)
        objections = self._see_objections(reading, None, final, None)
        self._notes.add(reading, final.text, final.end_s, is_late=True)
        insort(visit.spoken, _Spoken(final.start_s, final.end_s, words))
        orders_changed = self._read_orders_again()
        self._keep_closing(final, words)
        return Update(stages, objections, orders_changed)

    def tick(self, now: float) -> Update:
        """Time has passed."""
        return self._decide(now, (), True, turn_ended=False)

    def delivered(self, now: float) -> None:
        """The chosen cue has gone out."""
        self._policy.settle(now)

    def exchange(self, choice: Choice, cue: str | None, now: float) -> tuple[Outcome, ...]:
        """Show another candidate of the choice, or (None) none of them."""
        return tuple(self._policy.exchange(choice, cue, now))

    def tick_off(self, stage: str, done: bool, now: float) -> bool:
        """The salesperson says that a stage is done, or is not; False if there is no such stage.

        One that is open after all is done again when its words are said again.
        """
        visit = self._visit
        if stage not in self._rules.stages:
            return False
        if not done:
            visit.stages.pop(stage, None)
            visit.stage_done_at.pop(stage, None)
        elif stage not in visit.stages:
            visit.stages[stage] = StageMark(stage, 0.0 if visit.offset is None else now - visit.offset)
            visit.stage_done_at[stage] = now
        return True

    def dismissed(self, cue: str) -> None:
        """The salesperson waved a cue away."""
        self._policy.dismissed(cue)

    def recall(self, cue: str, trigger_n: int | None, at: float) -> None:
        """A cue of this visit that was shown before this process took over."""
        rule = self._rules.cues.get(cue)
        evidence = str(trigger_n)
        if rule and rule.on.stage_open:
            evidence = rule.on.stage_open
        elif rule and rule.on.metric:
            evidence = self._watch.evidence(rule)
        self._policy.recall(cue, evidence, at)
        if rule and rule.on.stage_open:
            self._called[cue] = float("inf")

    def resume(self, now: float) -> None:
        """After a rebuild: older candidates were decided by the process before."""
        self._policy.forget_before(now - MAX_LATE_S)

    def finish(self, now: float) -> Update:
        """The visit is over: words that only count at its end, and cues that still wait."""
        stages = []
        words = tuple(word for _, spoken in self._visit.closing for word in spoken)
        if words:
            reading = self._rules.reader.read(words)
            for stage_id, rule in self._rules.stages.items():
                if rule.has_closing and stage_id not in self._visit.stages and rule.matches(reading, True):
                    stages.append(self._mark_stage(stage_id, self._visit.last_end_s))
        return Update(stages=tuple(stages), outcomes=tuple(self._policy.end(now)))

    # ── what is known ────────────────────────────────────────────────────────────────────────────────────

    @property
    def rules(self) -> CompiledPlaybook:
        """The compiled playbook of this visit."""
        return self._rules

    @property
    def playbook(self) -> Playbook:
        """The playbook of this visit."""
        return self._playbook

    @property
    def stages(self) -> dict[str, StageMark]:
        """The stages done, by id, in the order done."""
        return dict(self._visit.stages)

    @property
    def done(self) -> frozenset[str]:
        """The ids of the stages done."""
        return frozenset(self._visit.stages)

    @property
    def figures(self) -> Figures:
        """Running totals."""
        return self._visit.figures

    @property
    def must_sell_coverage(self) -> float | None:
        """The share (0 to 1) of the must-sell products that were spoken of; None without any."""
        wanted = {sku.id for sku in self._playbook.vocabulary.skus if sku.must_sell}
        return len(wanted & self._notes.skus) / len(wanted) if wanted else None

    @property
    def schemes_told(self) -> int:
        """How many different schemes were told."""
        return len(self._notes.schemes)

    def text_of_cue(self, rule: CueRule) -> str | None:
        """The cue's own words, slots filled; None where the data has nothing to fill one with."""
        return filled(self._playbook, rule.text, self._language, self._notes.last_sku, self._today)

    @property
    def cues_shown(self) -> int:
        """How many cues were shown."""
        return self._policy.shown_count

    @property
    def orders(self) -> tuple[Line, ...]:
        """The order lines so far."""
        return self._visit.orders.lines

    def conclusion(self) -> Conclusion:
        """The visit so far, summed up by rules."""
        visit, done = self._visit, self.done
        objections = tuple(visit.objections)
        lines = visit.orders.lines if self._playbook.summary.orders else ()
        return Conclusion(
            score=score_of(self._playbook, done),
            tips=tips_of(self._playbook, done, self._language),
            text=text_of(self._playbook, done, lines, [mark.id for mark in objections], self._language),
            stages=tuple(visit.stages.values()),
            objections=objections,
            orders=lines,
            unplaced_orders=visit.orders.unplaced,
            promises=self._notes.promises,
            claims=self._notes.claims,
        )

    def next_wake(self, now: float) -> float | None:
        """When `tick` next may decide something; None if only an event can."""
        times = [at for at in (self._policy.next_wake(now), *self._stage_cue_times()) if at is not None]
        return min((at for at in times if now < at < float("inf")), default=None)

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────

    def _see_stages(self, reading: Reading, joined: Reading | None, final: Heard) -> tuple[StageMark, ...]:
        marks = []
        for stage_id, rule in self._rules.stages.items():
            if stage_id not in self._visit.stages and (rule.matches(reading) or _across(rule, joined)):
                marks.append(self._mark_stage(stage_id, final.end_s))
        return tuple(marks)

    def _mark_stage(self, stage_id: str, at_s: float) -> StageMark:
        mark = StageMark(stage_id, at_s)
        self._visit.stages[stage_id] = mark
        self._visit.stage_done_at[stage_id] = self._visit.last_heard
        return mark

    def _see_objections(
        self, reading: Reading, joined: Reading | None, final: Heard, tail: _Tail | None
    ) -> tuple[ObjectionMark, ...]:
        raised_before = tail.raised if tail else frozenset()
        marks = tuple(
            ObjectionMark(objection_id, final.end_s)
            for objection_id, rule in self._rules.objections.items()
            if rule.matches(reading) or (objection_id not in raised_before and _across(rule, joined))
        )
        self._visit.objections += marks
        return marks

    def _see_orders(self, reading: Reading, final: Heard, tail: _Tail | None) -> bool:
        visit = self._visit
        visit.spoken.append(_Spoken(final.start_s, final.end_s, reading.words))
        orders, visit.tail = self._follow_orders(visit.orders, reading, final.end_s, tail)
        changed = orders.lines != visit.orders.lines
        visit.orders = orders
        return changed

    def _follow_orders(
        self, before: OrderState, reading: Reading, end_s: float, tail: _Tail | None
    ) -> tuple[OrderState, _Tail]:
        words = reading.words
        if tail and self._orders.continues(tail.reading, words):
            # read the broken-off sentence as a whole, from the state before it
            before = tail.orders_before
            reading = self._rules.reader.read(words, tail.order_words)
        orders = self._orders.read(before, reading, end_s)
        order_words = reading.words[-ORDER_TAIL_WORDS:]
        return orders, _Tail(end_s, words, order_words, reading, before, frozenset())

    def _read_orders_again(self) -> bool:
        """All orders of the visit in the sequence of their words, not of their coming."""
        visit, orders, tail = self._visit, OrderState(), None
        for spoken in visit.spoken:
            joins = tail is not None and 0 <= spoken.start_s - tail.end_s < JOIN_GAP_S
            reading = self._rules.reader.read(spoken.words)
            orders, tail = self._follow_orders(orders, reading, spoken.end_s, tail if joins else None)
        assert tail is not None, "called with words"
        if visit.tail is not None:
            tail.raised = visit.tail.raised
        changed = orders.lines != visit.orders.lines
        visit.orders, visit.tail = orders, tail
        return changed

    def _keep_closing(self, final: Heard, words: tuple[str, ...]) -> None:
        insort(self._visit.closing, (final.start_s, words))
        earliest = self._visit.last_end_s - CLOSING_S
        self._visit.closing = [entry for entry in self._visit.closing if entry[0] >= earliest]

    def _offer_answer(self, mark: ObjectionMark, final: Heard, now: float) -> list[Outcome]:
        cue = self._rules.cue_of_objection[mark.id]
        if cue is None:
            return []
        candidate = Candidate(
            cue=cue,
            evidence=str(final.n),
            raised_at=final.spoken_at,
            position_s=final.end_s,
            objection=mark.id,
            trigger_n=final.n,
            distrust=_distrust(final, now) or _wrong_speaker(self._rules.cues[cue].on, final.speaker),
        )
        return self._policy.offer(candidate, now, self.done)

    def _offer_metric_cues(self, final: Heard, now: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for rule in self._watch.due(self._visit.figures, final.end_s):
            is_sure = self._visit.figures.attribution >= rule.on.min_attribution
            candidate = Candidate(
                cue=rule.id,
                evidence=self._watch.evidence(rule),
                raised_at=final.spoken_at,
                position_s=final.end_s,
                trigger_n=final.n,
                distrust=_distrust(final, now) or (None if is_sure else "unknown_speaker"),
            )
            outcomes += self._policy.offer(candidate, now, self.done)
        return outcomes

    def _offer_stage_cues(self, now: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if self._visit.offset is None:
            return outcomes
        for rule, due in zip(self._rules.stage_cues, self._stage_cue_times(), strict=True):
            if due is None or now < due:
                continue
            self._called[rule.id] = float("inf")
            stage = rule.on.stage_open or ""
            position = now - self._visit.offset
            candidate = Candidate(rule.id, stage, now, position, stage=stage)
            outcomes += self._policy.offer(candidate, now, self.done)
        return outcomes

    def _stage_cue_times(self) -> list[float | None]:
        """When each stage cue is due; None if it is not, or was already called for."""
        times: list[float | None] = []
        for rule in self._rules.stage_cues:
            due: float | None = None
            on = rule.on
            if on.stage_open not in self._visit.stages:
                begin = (
                    self._visit.stage_done_at.get(on.after_stage) if on.after_stage else self._visit.offset
                )
                wait_s = on.for_s
                if not on.for_s and not on.after_stage:
                    wait_s = self._rules.expect_by_s.get(on.stage_open or "", 0.0)
                due = None if begin is None else max(begin + wait_s, self._called.get(rule.id, begin))
            times.append(due)
        return times

    def _decide(self, now: float, outcomes: tuple[Outcome, ...], decide: bool, turn_ended: bool) -> Update:
        if not decide:
            return Update()
        early = self._offer_stage_cues(now)
        late, choice = self._policy.choose(now, self.done, turn_ended, self._visit.last_heard)
        for outcome in (*early, *late):
            if outcome.candidate.stage and outcome.reason == "expired":
                self._called[outcome.candidate.cue] = now + RETRY_S
        shown = (choice.outcome,) if choice else ()
        return Update(outcomes=(*outcomes, *early, *late, *shown), choice=choice)


def _across(rule: Rule, joined: Reading | None) -> bool:
    """Whether the rule matches over the cut between two finals."""
    return joined is not None and any(
        span.first < joined.cut < span.end and span.end - span.first >= ACROSS_WORDS
        for span in rule.matches(joined)
    )


def _wrong_speaker(on: Trigger, speaker: Speaker) -> Distrust | None:
    if on.speaker is None or on.speaker == speaker:
        return None
    return "unknown_speaker" if speaker == "unknown" else "wrong_speaker"


def _distrust(final: Heard, now: float) -> Distrust | None:
    if final.low_confidence:
        return "low_confidence"
    if final.concealed_s > CONCEALED_SHARE * max(0.0, final.end_s - final.start_s):
        return "concealed"
    if now - final.spoken_at > MAX_LATE_S:
        return "late"
    return None
