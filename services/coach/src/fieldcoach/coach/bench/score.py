"""What the rules made of a visit, against its marks. Pure.

Definitions:

precision, recall   objections raised by the rules, before the policy's limits, against the marked ones: right
                    if the same objection is marked on the line whose words raised it, or on the one before
                    (an answer may complete it); each mark counts once
false_per_10min     objections raised that are not marked, by the length of the visits
time_to_cue_ms      from the end of a line to the decision to show the cue that it called for, by the script's
                    clock: what the policy made it wait
order_f1            order lines at the end of the visit (product, quantity, unit) against those last agreed
stage_f1            stages done at the end of the visit against the marked ones, a set for each visit
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from time import thread_time

from ..engine import Heard, VisitEngine
from ..orders import Line
from ..replay import Run
from ..rules import CompiledPlaybook
from .gold import Gold, MarkedVisit


@dataclass(slots=True)
class Counts:
    """Right, invented and missed."""

    right: int = 0
    invented: int = 0
    missed: int = 0

    def add(self, other: "Counts") -> None:
        """Sum."""
        self.right += other.right
        self.invented += other.invented
        self.missed += other.missed

    @property
    def precision(self) -> float | None:
        """None if nothing was said to be there."""
        said = self.right + self.invented
        return self.right / said if said else None

    @property
    def recall(self) -> float | None:
        """None if there was nothing."""
        there = self.right + self.missed
        return self.right / there if there else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of the two; None if there was nothing and nothing was said."""
        counted = 2 * self.right + self.invented + self.missed
        return 2 * self.right / counted if counted else None


@dataclass(slots=True)
class Score:
    """One visit, or many together."""

    objections: Counts = field(default_factory=Counts)
    stages: Counts = field(default_factory=Counts)
    orders: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    cue_waits_s: list[float] = field(default_factory=list)
    update_s: list[float] = field(default_factory=list)
    """CPU time of each final."""
    raising_update_s: list[float] = field(default_factory=list)
    """Of those that raised an objection."""

    def add(self, other: "Score") -> None:
        """Sum."""
        self.objections.add(other.objections)
        self.stages.add(other.stages)
        self.orders.add(other.orders)
        self.seconds += other.seconds
        self.cue_waits_s += other.cue_waits_s
        self.update_s += other.update_s
        self.raising_update_s += other.raising_update_s


def score_visit(rules: CompiledPlaybook, visit: MarkedVisit, gold: Gold) -> Score:
    """Run the rules over the lines, each one final that arrives when it ends, by the speaker it names."""
    run = Run(VisitEngine(rules, "standard", visit.language))
    score = Score(seconds=visit.lines[-1].end)
    raised: list[tuple[int, str]] = []
    for number, line in enumerate(visit.lines):
        run.advance(line.end)
        heard = Heard(number, line.start, line.end, line.text, spoken_at=run.now, speaker=line.heard_from)
        began = thread_time()
        update = run.engine.heard(heard, run.now)
        took = thread_time() - began
        run.note(update)
        score.update_s.append(took)
        if update.objections:
            score.raising_update_s.append(took)
        raised += [(number, mark.id) for mark in update.objections]
    run.advance(visit.lines[-1].end + 10)
    run.note(run.engine.finish(run.now))
    conclusion = run.engine.conclusion()
    score.objections = _objections(raised, gold)
    score.stages = _sets({mark.id for mark in conclusion.stages}, gold.stages)
    score.orders = _sets({Line(line.sku, line.qty, line.unit) for line in conclusion.orders}, gold.orders)
    score.cue_waits_s = [
        outcome.position_s - outcome.candidate.position_s
        for outcome in run.outcomes
        if outcome.shown and outcome.candidate.objection
    ]
    return score


def _objections(raised: list[tuple[int, str]], gold: Gold) -> Counts:
    open_marks = set(gold.objections)
    counts = Counts()
    for line, objection in raised:
        mark = next((m for m in ((line, objection), (line - 1, objection)) if m in open_marks), None)
        if mark is not None:
            open_marks.discard(mark)
            counts.right += 1
        else:
            counts.invented += 1
    counts.missed = len(open_marks)
    return counts


def _sets(found: Iterable[object], marked: Iterable[object]) -> Counts:
    there, said = set(marked), set(found)
    return Counts(len(said & there), len(said - there), len(there - said))
