"""The limits of cues in virtual time, and as properties over any candidates."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcoach.coach.playbook import CueRule, Limits, Playbook, Trigger, Urgent
from fieldcoach.coach.policy import MINUTE_S, Candidate, Choice, CuePolicy, Outcome

NONE: frozenset[str] = frozenset()
WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "fox"]


def rule(id_: str, priority: int = 95, **more: object) -> CueRule:
    fields = {
        "id": id_,
        "on": Trigger(objection="x"),
        "priority": priority,
        "text": {"en": f"say {id_} now {id_}{id_}"},
    }
    return CueRule.model_validate(fields | more)


def policy_of(*rules: CueRule, limits: Limits | None = None, level: str = "standard") -> CuePolicy:
    playbook = Playbook(
        schema_="coach.playbook/1", id="p", version=1, cues=rules, limits=limits or Limits(quiet_first_s=0)
    )
    return CuePolicy(playbook, level, "en")  # type: ignore[arg-type] # a literal


def candidate(cue: str, at: float, **more: object) -> Candidate:
    base = Candidate(cue=cue, evidence=f"{cue}@{at}", raised_at=at, position_s=at, objection="x")
    return replace(base, **more)  # type: ignore[arg-type] # fields by name


class Script:
    """Drives a policy: offers, ticks, settles."""

    def __init__(self, policy: CuePolicy) -> None:
        self.policy = policy
        self.shown: list[tuple[str, float]] = []
        self.dropped: list[tuple[str, str, str | None]] = []
        self.choice: Choice | None = None

    def offer(self, one: Candidate, now: float | None = None, done: frozenset[str] = NONE) -> None:
        now = one.raised_at if now is None else now
        self._note(self.policy.offer(one, now, done))
        self.tick(now, done=done)

    def tick(
        self,
        now: float,
        turn: bool = True,
        done: frozenset[str] = NONE,
        quiet: float = 0,
        settle: bool = True,
    ) -> None:
        outcomes, self.choice = self.policy.choose(now, done, turn, quiet)
        self._note(outcomes)
        if self.choice:
            self._note([self.choice.outcome])
            if settle:
                self.policy.settle(now)

    def _note(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.shown:
                self.shown.append((outcome.candidate.cue, outcome.at))
            else:
                self.dropped.append((outcome.candidate.cue, outcome.reason, outcome.waited_for))


def test_a_candidate_is_shown_at_once() -> None:
    script = Script(policy_of(rule("a")))
    script.offer(candidate("a", 3))
    assert script.shown == [("a", 3)]
    assert script.policy.shown_count == 1
    assert script.policy.next_wake(3) is None


def test_within_the_gap_it_waits_and_is_late_but_alive() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=6, max_per_min=5)
    script = Script(policy_of(rule("a"), rule("b"), limits=limits))
    script.offer(candidate("a", 10))
    script.offer(candidate("b", 12))
    assert script.policy.next_wake(12) == 16
    script.tick(15.9)
    assert script.shown == [("a", 10)]
    script.tick(16)
    assert script.shown == [("a", 10), ("b", 16)]


def test_past_its_time_to_live_it_expires() -> None:
    script = Script(policy_of(rule("a"), rule("b"), limits=Limits(quiet_first_s=0, min_gap_s=20)))
    script.offer(candidate("a", 10))
    script.offer(candidate("b", 12))
    assert script.policy.next_wake(12) == pytest.approx(20, abs=0.01)
    script.tick(20.001)
    assert script.dropped == [("b", "expired", "min_gap")]


def test_one_a_minute() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=1, max_per_min=1, ttl_s=100)
    script = Script(policy_of(rule("a"), rule("b"), limits=limits))
    script.offer(candidate("a", 10))
    script.offer(candidate("b", 15))
    script.tick(69.9)
    assert len(script.shown) == 1
    script.tick(70)
    assert script.shown[-1] == ("b", 70)


def test_urgent_cues_have_their_own_gap_and_no_quiet_start() -> None:
    limits = Limits(urgent=Urgent(min_gap_s=5, max_per_min=3))
    script = Script(policy_of(rule("a"), rule("b"), rule("low", 70), limits=limits))
    script.offer(candidate("a", 2))
    script.offer(candidate("b", 7))
    script.offer(candidate("low", 14))
    assert script.shown == [("a", 2), ("b", 7)]
    script.tick(22.5)
    assert script.dropped == [("low", "expired", "quiet_first")]


def test_the_quiet_start_holds_what_is_not_urgent() -> None:
    script = Script(policy_of(rule("low", 70), limits=Limits(ttl_s=20)))
    script.offer(candidate("low", 10))
    assert script.policy.next_wake(10) == 15
    script.tick(15)
    assert script.shown == [("low", 15)]


def test_the_quiet_start_is_on_the_sessions_clock() -> None:
    script = Script(policy_of(rule("low", 70), limits=Limits(ttl_s=20)))
    script.offer(candidate("low", 1_000_010, position_s=10))
    assert script.policy.next_wake(1_000_010) == 1_000_015


def test_the_most_important_first_and_one_at_a_time() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=3, max_per_min=9)
    script = Script(policy_of(rule("a", 91), rule("b", 95), limits=limits))
    script.policy.offer(candidate("a", 5), 5, NONE)
    script.policy.offer(candidate("b", 5), 5, NONE)
    script.tick(5)
    script.tick(8)
    assert script.shown == [("b", 5), ("a", 8)]


def test_cooldown_escalates() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=0, max_per_min=9, max_per_visit=9)
    script = Script(policy_of(rule("a", cooldown_s=10, escalate=2.0, max_per_visit=3), limits=limits))
    for at in (0, 9, 10, 29, 30, 99):
        script.offer(candidate("a", at))
    assert script.shown == [("a", 0), ("a", 10), ("a", 30)]
    assert [reason for _, reason, _ in script.dropped] == ["cooldown", "cooldown", "max_per_cue"]


def test_the_visit_has_a_limit() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=0, max_per_min=9, max_per_visit=2)
    script = Script(policy_of(*(rule(word) for word in WORDS), limits=limits))
    for at, word in enumerate(WORDS[:3]):
        script.offer(candidate(word, at))
    assert script.dropped == [(WORDS[2], "max_per_visit", None)]


@pytest.mark.parametrize("distrust", ["low_confidence", "concealed", "late"])
def test_words_that_are_not_trusted(distrust: str) -> None:
    script = Script(policy_of(rule("a")))
    script.offer(candidate("a", 3, distrust=distrust))
    assert script.dropped == [("a", distrust, None)]


def test_levels() -> None:
    for level, shown in (("novice", 1), ("standard", 0), ("minimal", 0)):
        script = Script(policy_of(rule("a", 40), level=level))
        script.offer(candidate("a", 3))
        assert len(script.shown) == shown


def test_a_cue_dismissed_twice_is_muted() -> None:
    script = Script(policy_of(rule("a")))
    script.policy.dismissed("a")
    script.policy.dismissed("a")
    script.offer(candidate("a", 3))
    assert script.dropped == [("a", "muted", None)]


def test_a_step_that_is_done_needs_no_cue() -> None:
    script = Script(policy_of(rule("a")))
    script.policy.offer(candidate("a", 3, objection=None, stage="scheme"), 3, NONE)
    script.tick(4, done=frozenset({"scheme"}))
    assert script.dropped == [("a", "stage_done", None)]


def test_the_same_evidence_fires_once() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=0, max_per_min=9)
    script = Script(policy_of(rule("a", cooldown_s=0), limits=limits))
    script.offer(candidate("a", 3, evidence="7"))
    script.offer(candidate("a", 4, evidence="7"))
    assert script.dropped == [("a", "no_new_evidence", None)]


def test_the_same_advice_in_other_words_is_a_duplicate() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=0, max_per_min=9)
    texts = [{"en": "offer a small strip at the counter"}, {"en": "offer a strip at the counter"}]
    script = Script(policy_of(rule("a", text=texts[0]), rule("b", text=texts[1]), limits=limits))
    script.offer(candidate("a", 3))
    script.offer(candidate("b", 4))
    assert script.dropped == [("b", "duplicate", None)]


def test_newer_evidence_takes_the_place_of_what_waits() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=6, max_per_min=9)
    script = Script(policy_of(rule("a"), rule("b"), limits=limits))
    script.offer(candidate("a", 1))
    script.offer(candidate("b", 2))
    script.offer(candidate("b", 6))
    script.tick(7)
    assert script.dropped == [("b", "superseded", "min_gap")]
    assert script.choice is not None
    assert script.choice.outcome.candidate.raised_at == 6


def test_unasked_advice_waits_for_the_end_of_a_turn_or_a_pause() -> None:
    limits = Limits(quiet_first_s=0, ttl_s=30)
    turn = Script(policy_of(rule("a", 70), limits=limits))
    turn.policy.offer(candidate("a", 10, objection=None), 10, NONE)
    turn.tick(10, turn=False)
    assert not turn.shown
    turn.tick(12, turn=True)
    assert turn.shown == [("a", 12)]
    pause = Script(policy_of(rule("a", 70, deliver="pause"), limits=limits))
    pause.policy.offer(candidate("a", 10, objection=None), 10, NONE)
    pause.tick(10, turn=False, quiet=9)
    assert not pause.shown
    assert pause.policy.next_wake(10) == 12
    pause.tick(12, turn=False, quiet=9)
    assert pause.shown == [("a", 12)]
    now = Script(policy_of(rule("a", 70, deliver="now"), limits=limits))
    now.policy.offer(candidate("a", 10, objection=None), 10, NONE)
    now.tick(10, turn=False, quiet=10)
    assert now.shown == [("a", 10)]


def test_until_the_chosen_cue_is_out_nothing_else_is_chosen() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=0, max_per_min=9)
    script = Script(policy_of(rule("a"), rule("b"), limits=limits))
    script.policy.offer(candidate("a", 1), 1, NONE)
    script.tick(1, settle=False)
    script.offer(candidate("b", 1.5))
    assert len(script.shown) == 1
    script.policy.settle(1.9)
    script.tick(1.9)
    assert script.shown[-1] == ("b", 1.9)
    script.policy.settle(2)  # nothing in flight: no effect


def test_another_candidate_instead_or_none() -> None:
    limits = Limits(quiet_first_s=0, min_gap_s=5, max_per_min=9)
    script = Script(policy_of(rule("a"), rule("b", 92), limits=limits))
    script.policy.offer(candidate("a", 1), 1, NONE)
    script.policy.offer(candidate("b", 1), 1, NONE)
    script.tick(1, settle=False)
    assert script.choice is not None
    assert [other.cue for other in script.choice.others] == ["b"]
    outcomes = script.policy.exchange(script.choice, "b", 1.4)
    assert [(o.candidate.cue, o.shown, o.reason) for o in outcomes] == [
        ("a", False, "llm_other"),
        ("b", True, "fired"),
    ]
    script.policy.settle(1.5)
    assert script.policy.shown_count == 1
    script.offer(candidate("a", 7))
    assert script.choice is not None
    script.policy.recall("b", None, 7)  # keeps the order of `shown`
    nothing = Script(policy_of(rule("a"), limits=limits))
    nothing.policy.offer(candidate("a", 1), 1, NONE)
    nothing.tick(1, settle=False)
    assert nothing.choice is not None
    assert [o.reason for o in nothing.policy.exchange(nothing.choice, None, 1.4)] == ["llm_none"]
    assert nothing.policy.shown_count == 0


def test_what_an_earlier_process_has_shown_counts() -> None:
    script = Script(policy_of(rule("a"), rule("b"), limits=Limits(quiet_first_s=0)))
    script.policy.offer(candidate("a", 3, evidence="7"), 3, NONE)
    script.policy.recall("a", "7", 3.1)
    script.policy.forget_before(100)
    script.offer(candidate("a", 20, evidence="8"))
    script.offer(candidate("b", 21))
    assert script.dropped == [("a", "cooldown", None)]
    assert script.policy.next_wake(21) == pytest.approx(29, abs=0.01)
    script.policy.recall("gone-from-the-playbook", None, 22)


def test_the_end_of_the_visit_drops_what_waits() -> None:
    script = Script(policy_of(rule("a"), rule("b"), limits=Limits(quiet_first_s=0)))
    script.offer(candidate("a", 3))
    script.offer(candidate("b", 4))
    assert [(o.reason, o.waited_for) for o in script.policy.end(5)] == [("visit_ended", "min_gap")]


@settings(max_examples=300, deadline=None)
@given(
    limits=st.builds(
        Limits,
        min_gap_s=st.floats(0, 30),
        max_per_min=st.integers(1, 4),
        max_per_visit=st.integers(0, 6),
        quiet_first_s=st.floats(0, 20),
        ttl_s=st.floats(1, 40),
        urgent=st.builds(
            Urgent,
            min_gap_s=st.none() | st.floats(0, 30),
            max_per_min=st.none() | st.integers(1, 4),
            quiet_first_s=st.floats(0, 5),
        ),
    ),
    priorities=st.lists(st.integers(50, 100), min_size=6, max_size=6),
    cooldown=st.floats(0, 60),
    steps=st.lists(st.tuples(st.floats(0, 15), st.sampled_from([*WORDS, "tick"])), max_size=60),
)
def test_limits_are_never_broken(
    limits: Limits, priorities: list[int], cooldown: float, steps: list[tuple[float, str]]
) -> None:
    rules = {w: rule(w, p, cooldown_s=cooldown) for w, p in zip(WORDS, priorities, strict=True)}
    script = Script(policy_of(*rules.values(), limits=limits))
    now, offered = 0.0, 0
    for wait, what in steps:
        target = now + wait
        while (wake := script.policy.next_wake(now)) is not None and now < wake <= target:
            now = wake
            script.tick(now)
        now = target
        if what == "tick":
            script.tick(now)
        else:
            script.offer(candidate(what, now))
            offered += 1
    ends = script.policy.end(now)
    assert len(script.shown) + len(script.dropped) + len(ends) == offered, "one outcome for each candidate"
    assert len(script.shown) <= limits.max_per_visit
    tolerance = 1e-5
    for place, (cue, at) in enumerate(script.shown):
        urgent = rules[cue].priority >= limits.urgent.min_priority
        gap, most = limits.min_gap_s, limits.max_per_min
        if urgent and limits.urgent.min_gap_s is not None:
            gap = limits.urgent.min_gap_s
        if urgent and limits.urgent.max_per_min is not None:
            most = limits.urgent.max_per_min
        assert at >= (limits.urgent.quiet_first_s if urgent else limits.quiet_first_s) - tolerance
        if place:
            assert at - script.shown[place - 1][1] >= gap - tolerance
        assert sum(at - other < MINUTE_S - tolerance for _, other in script.shown[: place + 1]) <= most
        same = [other for c, other in script.shown[:place] if c == cue]
        assert len(same) < rules[cue].max_per_visit
        if same:
            assert at - same[-1] >= cooldown - tolerance
