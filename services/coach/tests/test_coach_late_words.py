"""Words of back-fill: they count for the visit, and fire nothing."""

from itertools import permutations
from pathlib import Path

import pytest

from fieldcoach.coach.engine import Heard, VisitEngine
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.rules import CompiledPlaybook

ROOT = Path(__file__).parents[3]
RULES = CompiledPlaybook(load_playbook(ROOT / "playbooks/outlet-en.yaml").playbook)


def heard(n: int, end: float, text: str, is_late: bool = False) -> Heard:
    return Heard(n, end - 2, end, text, end, is_late=is_late)


def engine_after(*finals: Heard) -> VisitEngine:
    """An engine that heard these, each at its end, the late ones a minute after."""
    engine = VisitEngine(RULES)
    for final in finals:
        engine.heard(final, final.end_s + 60 * final.is_late)
    return engine


def order_of(engine: VisitEngine) -> list[str]:
    return [f"{line.qty} {line.unit} {line.sku}" for line in engine.orders]


def test_a_late_objection_is_in_the_summary_and_fires_no_cue() -> None:
    engine = engine_after(heard(1, 3, "good morning sir"), heard(2, 40, "the weather is good"))
    update = engine.heard(heard(3, 20, "there is no space on my shelf", is_late=True), 41)
    assert [(mark.id, mark.at_s) for mark in update.objections] == [("no_space", 20)]
    assert (update.outcomes, update.choice) == ((), None)
    assert [mark.id for mark in engine.conclusion().objections] == ["no_space"]
    for now in (42, 45, 60):
        assert engine.tick(now).choice is None
    assert engine.heard(heard(4, 62, "yes it is"), 62).choice is None
    assert engine.cues_shown == 0


def test_even_words_of_just_now_fire_no_cue_when_they_are_back_fill() -> None:
    engine = VisitEngine(RULES)
    assert engine.heard(heard(1, 10, "there is no space", is_late=True), 10).outcomes == ()
    assert engine.tick(12).choice is None
    live = engine.heard(heard(2, 14, "there is no space"), 14)
    assert live.choice is not None, "the live one does"


def test_late_words_leave_a_chosen_cue_alone() -> None:
    engine = VisitEngine(RULES)
    assert engine.heard(heard(2, 30, "the margin is very low"), 30).choice is not None
    update = engine.heard(heard(1, 20, "there is no space", is_late=True), 30.5)
    assert (update.outcomes, update.choice) == ((), None)
    engine.delivered(31)
    assert engine.cues_shown == 1


def test_a_late_stage_is_done_and_its_missed_step_is_not_called_for() -> None:
    engine = engine_after(heard(1, 3, "good morning sir"))
    assert engine.next_wake(3) == 153
    update = engine.heard(heard(2, 50, "let me check your stock", is_late=True), 100)
    assert [(mark.id, mark.at_s) for mark in update.stages] == [("stock_check", 50)]
    assert engine.done == {"greet", "stock_check"}
    engine.tick(153)
    choice = engine.heard(heard(3, 155, "the weather is good"), 155).choice
    assert choice is None or choice.outcome.candidate.cue != "missed_stock_check"
    assert [mark.id for mark in engine.conclusion().stages] == ["greet", "stock_check"]


def test_a_stage_is_done_once() -> None:
    engine = engine_after(heard(1, 3, "good morning sir"))
    assert engine.heard(heard(2, 2, "good morning sir", is_late=True), 5).stages == ()


def test_a_late_order_is_in_the_summary() -> None:
    engine = engine_after(heard(1, 3, "good morning sir"), heard(2, 40, "the weather is good"))
    update = engine.heard(heard(3, 20, "send ten boxes of tea", is_late=True), 41)
    assert update.orders_changed
    assert [(line.qty, line.sku) for line in engine.conclusion().orders] == [(10, "tea")]
    assert not engine.heard(heard(4, 25, "the weather is good", is_late=True), 42).orders_changed


@pytest.mark.parametrize(
    ("live", "order"),
    [
        ("send me only six boxes of tea", ["6 boxes tea"]),
        ("cancel the tea", []),
        ("send two cases of cola", ["10 boxes tea", "2 cases cola"]),
    ],
)
def test_what_was_said_after_a_late_order_wins(live: str, order: list[str]) -> None:
    first, second = "send ten boxes of tea", live
    engine = engine_after(heard(2, 40, second), heard(1, 20, first, is_late=True))
    assert order_of(engine) == order
    assert order_of(engine_after(heard(1, 20, first), heard(2, 40, second))) == order


def test_a_late_change_between_two_changes_gives_way_to_the_last() -> None:
    engine = engine_after(
        heard(1, 10, "send ten boxes of tea"),
        heard(3, 50, "make it four boxes of tea"),
        heard(2, 30, "make it six boxes of tea", is_late=True),
    )
    assert order_of(engine) == ["4 boxes tea"]


def test_a_live_order_after_late_words_goes_on_from_all_of_it() -> None:
    engine = engine_after(
        heard(1, 40, "the weather is good"), heard(2, 20, "send ten boxes of tea", is_late=True)
    )
    engine.heard(heard(3, 60, "make it six boxes"), 60)
    assert order_of(engine) == ["6 boxes tea"]


def test_late_words_in_any_sequence_give_the_same_visit() -> None:
    late = [
        heard(2, 10, "send ten boxes of tea", is_late=True),
        heard(3, 20, "make it six boxes of tea", is_late=True),
        heard(4, 30, "let me check your stock", is_late=True),
    ]
    conclusions = set()
    for sequence in permutations(late):
        engine = engine_after(heard(1, 3, "good morning sir"), heard(5, 60, "the weather is good"), *sequence)
        conclusion = engine.conclusion()
        conclusions.add((conclusion.score, conclusion.orders, frozenset(conclusion.stages)))
    assert len(conclusions) == 1


def test_late_words_are_counted_and_silence_is_not() -> None:
    engine = engine_after(heard(1, 40, "the weather is good"))
    engine.heard(heard(2, 20, "is it", is_late=True), 41)
    assert engine.figures.words == 6
    update = engine.heard(heard(3, 22, "...", is_late=True), 42)
    assert (update.stages, update.objections, update.orders_changed) == ((), (), False)


def test_late_words_of_the_end_may_close_the_visit() -> None:
    engine = engine_after(heard(1, 40, "the weather is good"), heard(2, 38, "thank you sir", is_late=True))
    assert engine.finish(41).stages != ()
    other = engine_after(heard(1, 40, "the weather is good"), heard(2, 5, "thank you sir", is_late=True))
    assert other.finish(41).stages == ()
