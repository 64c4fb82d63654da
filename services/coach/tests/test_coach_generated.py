"""Generated playbooks and transcripts: no crash, and no limit is ever broken. `--generated N` for more."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldcoach.coach.engine import Heard, VisitEngine
from fieldcoach.coach.playbook import Level, Playbook
from fieldcoach.coach.policy import Outcome
from fieldcoach.coach.replay import Run
from fieldcoach.coach.rules import CompiledPlaybook

SHARE = 300
"""Of examples in the suite."""
WORDS = ("no", "space", "price", "high", "not", "selling", "ten", "boxes", "soap", "send", "please", "yes")
EPSILON = 1e-6

phrase = st.lists(st.sampled_from(WORDS), min_size=2, max_size=4).map(" ".join)
phrases = st.lists(phrase, min_size=1, max_size=4, unique=True)


@st.composite
def playbooks(draw: st.DrawFn) -> Playbook:
    seconds = st.sampled_from([0.0, 1.0, 5.0, 20.0, 60.0])
    count = draw(st.integers(1, 4))
    urgent = draw(
        st.fixed_dictionaries(
            {"min_priority": st.integers(80, 100)},
            optional={"min_gap_s": seconds, "max_per_min": st.integers(1, 4), "quiet_first_s": seconds},
        )
    )
    cues = [
        {
            "id": f"cue{n}",
            "on": {"objection": f"objection{n}"},
            "priority": draw(st.integers(0, 100)),
            "cooldown_s": draw(seconds),
            "escalate": draw(st.sampled_from([1.0, 2.0])),
            "max_per_visit": draw(st.integers(1, 4)),
            "deliver": draw(st.sampled_from(["now", "customer_turn_end", "pause"])),
            "text": {"en": f"advice {n} {draw(phrase)}"},
        }
        for n in range(count)
    ]
    cues.append(
        {
            "id": "missed",
            "on": {"stage_open": "close", "after_stage": "open", "for_s": draw(seconds)},
            "priority": draw(st.integers(0, 100)),
            "text": {"en": "a step is missing"},
        }
    )
    return Playbook.model_validate(
        {
            "schema": "coach.playbook/1",
            "id": "made",
            "version": 1,
            "limits": {
                "min_gap_s": draw(seconds),
                "max_per_min": draw(st.integers(1, 4)),
                "max_per_visit": draw(st.integers(0, 8)),
                "quiet_first_s": draw(seconds),
                "ttl_s": draw(st.sampled_from([1.0, 8.0, 30.0])),
                "urgent": urgent,
            },
            "vocabulary": {"skus": [{"id": "soap"}], "units": [{"id": "boxes", "names": ["boxes"]}]},
            "ordering": {"order": draw(phrases), "propose": draw(phrases), "agree": ["yes"]},
            "stages": [
                {"id": "open", "weight": 50, "any_of": [{"phrases": draw(phrases)}]},
                {"id": "close", "weight": 50, "all_of": [{"phrases": draw(phrases)}, {"slot": "sku"}]},
            ],
            "objections": [
                {"id": f"objection{n}", "any_of": [{"phrases": draw(phrases)}], "cue": f"cue{n}"}
                for n in range(count)
            ],
            "cues": cues,
        }
    )


utterance = st.tuples(
    st.floats(0.0, 40.0),
    st.floats(0.2, 8.0),
    st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join),
    st.booleans(),
    st.sampled_from([0.0, 0.0, 0.0, 2.0]),
)


@pytest.fixture(scope="module")
def examples(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--generated")) or SHARE


def test_no_crash_and_no_limit_broken(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(playbooks(), st.lists(utterance, max_size=25), st.sampled_from(["novice", "standard", "minimal"]))
    def check(
        playbook: Playbook, utterances: list[tuple[float, float, str, bool, float]], level: Level
    ) -> None:
        run = Run(VisitEngine(CompiledPlaybook(playbook), level))
        at = 0.0
        for n, (pause, length, text, doubtful, concealed) in enumerate(utterances):
            start, at = at + pause, at + pause + length
            run.advance(at)
            heard = Heard(
                n, start, at, text, spoken_at=at, low_confidence=doubtful, concealed_s=min(concealed, length)
            )
            run.note(run.engine.heard(heard, run.now))
        run.advance(at + 60)
        run.note(run.engine.finish(run.now))
        assert run.engine.conclusion().score in range(101)
        limits_hold(playbook, level, [outcome for outcome in run.outcomes if outcome.shown])

    check()


def limits_hold(playbook: Playbook, level: Level, shown: list[Outcome]) -> None:
    limits, rules = playbook.limits, {cue.id: cue for cue in playbook.cues}
    assert len(shown) <= limits.max_per_visit
    for place, outcome in enumerate(shown):
        rule = rules[outcome.candidate.cue]
        is_urgent = rule.priority >= limits.urgent.min_priority
        gap, per_minute, quiet = limits.min_gap_s, limits.max_per_min, limits.quiet_first_s
        if is_urgent:
            urgent = limits.urgent
            gap = gap if urgent.min_gap_s is None else urgent.min_gap_s
            per_minute = per_minute if urgent.max_per_min is None else urgent.max_per_min
            quiet = urgent.quiet_first_s
        assert rule.priority >= playbook.levels.min_priority(level)
        assert outcome.candidate.distrust is None
        assert outcome.position_s >= quiet - EPSILON
        assert outcome.at - outcome.candidate.raised_at <= (rule.ttl_s or limits.ttl_s) + EPSILON
        if place:
            assert outcome.at - shown[place - 1].at >= gap - EPSILON
        if place >= per_minute:
            assert outcome.at - shown[place - per_minute].at >= 60 - EPSILON
    for cue, rule in rules.items():
        times = [outcome.at for outcome in shown if outcome.candidate.cue == cue]
        assert len(times) <= rule.max_per_visit
        for n, (earlier, later) in enumerate(pairwise(times)):
            assert later - earlier >= rule.cooldown_s * rule.escalate**n - EPSILON
    evidence = [(outcome.candidate.cue, outcome.candidate.evidence) for outcome in shown]
    assert len(evidence) == len(set(evidence))
