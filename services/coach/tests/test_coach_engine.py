"""The engine: closing words, missed steps, distrust, rebuild, determinism, cost."""

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcoach.coach.engine import Heard, VisitEngine
from fieldcoach.coach.playbook import Playbook
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.rules import CompiledPlaybook

ROOT = Path(__file__).parents[3]
RULES = CompiledPlaybook(load_playbook(ROOT / "playbooks/outlet-en.yaml").playbook)


def heard(n: int, end: float, text: str, **more: object) -> Heard:
    fields = {"n": n, "start_s": end - 2, "end_s": end, "text": text, "spoken_at": end}
    return Heard(**(fields | more))  # type: ignore[arg-type] # fields by name


def test_thanks_at_the_end_only() -> None:
    engine = VisitEngine(RULES)
    engine.heard(heard(1, 3, "thank you sir"), 3)
    assert engine.finish(3).stages != ()
    other = VisitEngine(RULES)
    other.heard(heard(1, 3, "thank you sir"), 3)
    other.heard(heard(2, 30, "tell me what is new"), 30)
    assert other.finish(31).stages == ()
    assert VisitEngine(RULES).finish(1).stages == ()


def test_a_missed_step_is_told_once_at_the_end_of_a_turn() -> None:
    engine = VisitEngine(RULES)
    engine.heard(heard(1, 3, "good morning sir"), 3)
    assert engine.next_wake(3) == 153
    assert engine.tick(100).outcomes == ()
    update = engine.tick(153)
    assert update.choice is None
    update = engine.heard(heard(2, 155, "the weather is good"), 155)
    assert update.choice is not None
    assert update.choice.outcome.candidate.cue == "missed_stock_check"
    engine.delivered(155)
    assert engine.next_wake(155) is None
    assert engine.heard(heard(3, 400, "yes it is"), 400).choice is None


def test_a_missed_step_that_found_no_moment_is_tried_again() -> None:
    engine = VisitEngine(RULES)
    engine.heard(heard(1, 3, "good morning sir"), 3)
    engine.tick(153)
    (expired,) = engine.tick(162).outcomes
    assert (expired.reason, expired.waited_for) == ("expired", "turn")
    assert engine.next_wake(162) == 192
    engine.tick(192)
    assert engine.heard(heard(2, 193, "the weather is good"), 193).choice is not None


def test_a_step_done_meanwhile_needs_no_cue() -> None:
    engine = VisitEngine(RULES)
    engine.heard(heard(1, 3, "good morning sir"), 3)
    engine.heard(heard(2, 9, "let me check your stock"), 9)
    assert engine.next_wake(9) == 159, "now the scheme is missing"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"low_confidence": True}, "low_confidence"),
        ({"concealed_s": 0.7}, "concealed"),
        ({"spoken_at": 4.0}, "late"),
    ],
)
def test_words_that_are_not_trusted_raise_an_objection_but_no_cue(
    more: dict[str, object], reason: str
) -> None:
    engine = VisitEngine(RULES)
    update = engine.heard(heard(1, 10, "there is no space", **more), 10)
    assert [mark.id for mark in update.objections] == ["no_space"]
    assert [outcome.reason for outcome in update.outcomes] == [reason]


def test_an_objection_over_a_cut_is_raised_once() -> None:
    engine = VisitEngine(RULES)
    assert engine.heard(heard(1, 3, "there is no"), 3).objections == ()
    assert len(engine.heard(heard(2, 6, "space on my shelf"), 6).objections) == 1
    assert engine.heard(heard(3, 9, "for it"), 9).objections == ()


def test_two_people_are_no_sentence() -> None:
    engine = VisitEngine(RULES)
    engine.heard(heard(1, 3, "no"), 3)
    assert engine.heard(heard(2, 5.9, "margin on this is ten percent"), 5.9).objections == ()


def test_a_rebuilt_engine_goes_on_where_the_old_one_was() -> None:
    finals = [
        heard(1, 3, "good morning sir"),
        heard(2, 8, "there is no space on my shelf"),
        heard(3, 12, "send ten boxes of tea"),
    ]
    first = VisitEngine(RULES)
    for final in finals:
        if first.heard(final, final.end_s).choice:
            first.delivered(final.end_s)
    second = VisitEngine(RULES)
    for final in finals:
        update = second.heard(final, final.end_s, decide=False)
        assert update.choice is None
        if final.n == 2:
            second.recall("obj_no_space", 2, 8)
    second.recall("missed_scheme", None, 9)
    second.recall("not-in-the-playbook", None, 9)
    second.resume(13)
    assert second.tick(13).outcomes == ()
    assert second.conclusion() == first.conclusion()
    late = heard(4, 15, "my shelf is full")
    assert [o.reason for o in second.heard(late, 15).outcomes] == ["cooldown"]
    assert second.figures.words == first.figures.words + 4


def test_a_fresh_final_heard_by_nobody_fires_after_the_rebuild() -> None:
    engine = VisitEngine(RULES)
    engine.heard(heard(1, 10, "there is no space"), 10, decide=False)
    engine.resume(12)
    assert engine.tick(12).choice is not None


def test_no_words_and_no_playbook() -> None:
    engine = VisitEngine(CompiledPlaybook(Playbook.empty("none")))
    assert engine.heard(heard(1, 3, "..."), 3).outcomes == ()
    assert engine.heard(heard(2, 6, "there is no space"), 6).objections == ()
    engine.dismissed("x")
    assert engine.next_wake(6) is None
    assert engine.conclusion().score == 0
    assert engine.playbook.version == 0


def test_a_playbook_without_orders_in_the_summary() -> None:
    playbook = RULES.playbook
    quiet = playbook.model_copy(update={"summary": playbook.summary.model_copy(update={"orders": False})})
    engine = VisitEngine(CompiledPlaybook(quiet))
    engine.heard(heard(1, 3, "send ten boxes of tea"), 3)
    assert engine.conclusion().orders == ()


def test_questions_are_counted() -> None:
    engine = VisitEngine(RULES)
    for n, text in enumerate(("How are you? And the family?", "how many boxes", "ten boxes")):
        engine.heard(heard(n, 3.0 * n + 2, text), 3.0 * n + 2)
    assert engine.figures.questions == 3
    assert engine.figures.speech_s == 6


WORDS = "no space on my shelf the margin is low send ten boxes of tea and two give me okay yes not moving"
WORDS += (
    " old stock expired you did take back i have enough credit other company gives better scheme thank sir"
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.sampled_from(WORDS.split()), max_size=25), st.floats(0, 5)), max_size=20)
)
def test_any_words_give_the_same_decisions_again_and_within_the_limits(
    talk: list[tuple[list[str], float]],
) -> None:
    runs = []
    for _ in range(2):
        engine, at, shown = VisitEngine(RULES), 0.0, []
        decisions: list[object] = []
        for n, (words, pause) in enumerate(talk):
            at += pause + 2
            update = engine.heard(heard(n, at, " ".join(words)), at)
            decisions.append(update)
            if update.choice:
                shown.append(at)
                engine.delivered(at)
        decisions.append(engine.finish(at))
        runs.append((decisions, engine.conclusion()))
        limits = RULES.playbook.limits
        assert len(shown) <= limits.max_per_visit
        assert all(b - a >= (limits.urgent.min_gap_s or 0) for a, b in pairwise(shown))
        assert 0 <= engine.conclusion().score <= 100
    assert runs[0] == runs[1]


def test_one_update_is_cheap_however_long_the_visit_is() -> None:
    engine = VisitEngine(RULES)
    lines = ("i still have four boxes of noodles left", "our quality is better and the price is lower")
    costs = []
    for n in range(600):
        final = heard(n, 3.0 * n + 2, lines[n % 2])
        began = time.process_time()
        if engine.heard(final, final.end_s).choice:
            engine.delivered(final.end_s)
        costs.append(time.process_time() - began)
    early, late = sorted(costs[100:200])[50], sorted(costs[500:])[50]
    assert late < 0.005, "5 ms is the budget; about 0.5 ms on an idle machine"
    assert late < 3 * early + 0.001
