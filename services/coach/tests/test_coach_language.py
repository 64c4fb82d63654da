"""The playbook language whole: the documented example as it stands, slots, figures, notes, the schema."""

from datetime import date
from pathlib import Path

import pytest

from fieldcoach.coach.cli import main, playbook_schema
from fieldcoach.coach.engine import Heard, VisitEngine
from fieldcoach.coach.errors import PlaybookInvalid
from fieldcoach.coach.playbook_file import LoadedPlaybook, parse_playbook
from fieldcoach.coach.policy import Candidate, Outcome
from fieldcoach.coach.rules import CompiledPlaybook

ROOT = Path(__file__).parents[3]
EXAMPLE = """\
schema: coach.playbook/1
id: biscuits-north
version: 7
languages: {default: en, supported: [en, hi, hi-Latn]}
limits: {min_gap_s: 20, max_per_min: 1, max_per_visit: 6, quiet_first_s: 15, text_max: 60, ttl_s: 8}
levels: {novice: {min_priority: 30}, standard: {min_priority: 50}, minimal: {min_priority: 80}}
vocabulary:                        # feeds ASR hot words and slot matching
  skus: [{id: GLX-100, names: [galaxy hundred gram, galaxy 100], must_sell: true, scheme: S12}]
  schemes: [{id: S12, say: {en: "12 plus 1 free, today only", hi-Latn: "12 pe 1 free, aaj tak"}, valid: 2099-12-31}]
stages:                            # a set with soft order; weights sum to 100
  - {id: greet, weight: 5, expect_by_s: 60, any_of: [{phrases: [good morning, namaste]}]}
  - {id: claims, weight: 10, any_of: [{phrases: [damaged stock, expired stock, kharab maal]}]}
  - {id: stock_check, weight: 20, expect_by_s: 180, any_of: [{phrases: [check the stock, how many are left, kitna stock]}]}
  - {id: must_sell, weight: 25, all_of: [{slot: sku, where: must_sell}]}
  - {id: scheme, weight: 20, all_of: [{slot: scheme}]}
  - {id: confirm_order, weight: 15, any_of: [{phrases: [confirm your order, your order is]}]}
  - {id: thanks, weight: 5, any_of: [{phrases: [thank you, dhanyavaad]}]}
objections:
  - id: no_space
    any_of: [{phrases: [no space, shelf is full, jagah nahi], fuzzy: 85}]
    none_of: [{phrases: [there is space]}]
    cue: obj_no_space
cues:
  - id: obj_no_space
    on: {objection: no_space}
    priority: 90                   # 90+ objection or compliance, 60-89 missed step, 30-59 upsell, below style
    severity: suggest              # info | suggest | warn
    cooldown_s: 90
    max_per_visit: 2
    deliver: customer_turn_end     # now | customer_turn_end | pause
    haptic: short
    title: {en: "No space?"}
    text: {en: "Offer a counter strip: 6 pieces to start"}
    llm: {mode: fill, slots: [sku, qty], deadline_ms: 900}   # off | rank | fill
  - id: missed_scheme
    on: {stage_open: scheme, after_stage: must_sell, for_s: 40}
    priority: 70
    text: {en: "Tell the scheme: {scheme.say}"}
  - id: talking_too_long
    on: {metric: monologue_s, gte: 30, sustain_s: 3, min_attribution: 0.75}
    priority: 40
    escalate: 2.0                  # the cool-down doubles each time
    text: {en: "Ask them now"}
summary: {orders: true, tips_max: 2}
forbidden_claims: ["guaranteed sale"]   # blocks any LLM text that contains one
"""  # noqa: E501 # as a manager writes it


def load(text: str = EXAMPLE) -> LoadedPlaybook:
    return parse_playbook(text.encode(), "p.yaml")


def engine(text: str = EXAMPLE, today: date | None = None) -> VisitEngine:
    return VisitEngine(CompiledPlaybook(load(text).playbook), "novice", today=today)


def say(visit: VisitEngine, n: int, start: float, end: float, text: str, speaker: str) -> tuple[Outcome, ...]:
    heard = Heard(n, start, end, text, spoken_at=end, speaker=speaker)  # type: ignore[arg-type] # a literal
    update = visit.heard(heard, end)
    if update.choice:
        visit.delivered(end)
    return update.outcomes


def fired(outcomes: tuple[Outcome, ...]) -> list[Candidate]:
    return [outcome.candidate for outcome in outcomes if outcome.shown]


def test_the_example_loads_with_warnings_only() -> None:
    loaded = load()
    assert loaded.playbook.cues[2].on.sustain_s == 3
    told = [f"{flaw.line} {flaw.field}: {flaw.what}" for flaw in loaded.warnings]
    assert "11 stages[0].any_of[0].phrases[1]: 'namaste' can match a single word" in told[0]
    assert any("cues[0].text: no text in 'hi', a supported language" in line for line in told)
    assert any("cues[0].llm: mode fill without a text" in line for line in told)
    assert not any(flaw.is_error for flaw in loaded.warnings)


def test_a_missed_scheme_is_told_in_its_own_words() -> None:
    visit = engine()
    say(visit, 1, 0, 2, "have you seen galaxy 100", "rep")
    assert visit.tick(42).choice is None  # it waits for the end of a turn
    assert [outcome.cue for outcome in fired(say(visit, 2, 43, 44, "fine", "other"))] == ["missed_scheme"]
    told = visit.text_of_cue(visit.rules.cues["missed_scheme"])
    assert told == "Tell the scheme: 12 plus 1 free, today only"


def test_a_scheme_that_ended_is_told_no_more() -> None:
    visit = engine(today=date(2100, 1, 1))
    say(visit, 1, 0, 2, "have you seen galaxy 100", "rep")
    assert visit.text_of_cue(visit.rules.cues["missed_scheme"]) is None
    assert [outcome.reason for outcome in visit.tick(43).outcomes] == ["unfilled"]


def test_telling_the_scheme_as_it_is_written_does_the_stage() -> None:
    visit = engine()
    say(visit, 1, 0, 2, "it is 12 plus 1 free", "rep")
    assert "scheme" in visit.done
    assert visit.schemes_told == 1
    assert visit.must_sell_coverage == 0


def talk(visit: VisitEngine, until: float, speaker: str) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for number in range(int(until // 4)):
        at = number * 4.0
        outcomes += say(visit, number, at, at + 3.5, "this is a very good product for you", speaker)
    return outcomes


def test_a_monologue_calls_after_its_sustain_time_and_once() -> None:
    outcomes = talk(engine(), 60, "rep")
    assert [(outcome.reason, outcome.position_s) for outcome in outcomes] == [("fired", 35.5)]


def test_unknown_speakers_call_nothing_and_unsure_ones_are_told_apart() -> None:
    assert talk(engine(), 60, "unknown") == []
    visit = engine()
    say(visit, 100, -60, -30, "who is this", "unknown")
    assert {outcome.reason for outcome in talk(visit, 60, "rep")} == {"unknown_speaker"}


def test_who_must_have_raised_the_objection() -> None:
    text = EXAMPLE.replace("on: {objection: no_space}", "on: {objection: no_space, speaker: other}")
    for speaker, reason in (("other", "fired"), ("rep", "wrong_speaker"), ("unknown", "unknown_speaker")):
        outcomes = say(engine(text), 1, 20, 22, "there is no space", speaker)
        assert [outcome.reason for outcome in outcomes] == [reason], speaker


def test_a_stage_ticked_off_by_hand_is_done_and_its_cue_is_not_called_for() -> None:
    visit = engine()
    say(visit, 1, 0, 2, "have you seen galaxy 100", "rep")
    assert visit.tick_off("scheme", True, 10)
    assert (visit.stages["scheme"].at_s, visit.conclusion().score) == (10, 45)
    assert visit.next_wake(10) is None
    assert visit.tick_off("scheme", False, 11)
    assert visit.conclusion().score == 25
    say(visit, 2, 20, 22, "it is 12 plus 1 free", "rep")
    assert "scheme" in visit.done
    assert not visit.tick_off("no_such_stage", True, 30)


def test_a_stage_is_expected_by_its_time() -> None:
    cue = "  - {id: missed_stock, on: {stage_open: stock_check}, priority: 70, text: {en: Count}}\nsummary"
    visit = engine(EXAMPLE.replace("\nsummary", "\n" + cue))
    say(visit, 1, 0, 2, "hello", "rep")
    assert visit.next_wake(2) == 180


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("gte: 30, ", "", "a metric needs either gte or lte"),
        (
            "metric: monologue_s, gte: 30",
            "metric: loudness, gte: 30",
            "cues[2].on.metric: 'loudness' does not fit",
        ),
        ("{objection: no_space}", "{objection: no_space, gte: 3}", "belong to metric"),
        (
            "today only",
            "today only and not a day later at all",
            "70 characters when filled, more than text_max",
        ),
        ("{scheme.say}", "{sceme.say}", "a rule's text has no slot {sceme.say}. Fix: use one of sku, scheme"),
        ("orders: true", "orders: true, promises: [{id: a, any_of: []}]", "summary.promises[0].any_of"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, told: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(PlaybookInvalid) as caught:
        load(EXAMPLE.replace(old, new))
    assert told in str(caught.value)


def test_promises_and_claims_are_noted_with_their_words() -> None:
    notes = """\
summary:
  promises: [{id: take_back, any_of: [{phrases: ["we will take ... back"]}]}]
  claims: [{id: unsettled, any_of: [{phrases: [you did not settle]}]}]
"""
    visit = engine(EXAMPLE.replace("summary: {orders: true, tips_max: 2}\n", notes))
    say(visit, 1, 0, 2, "you did not settle my claim", "other")
    say(visit, 2, 3, 5, "we will take them back", "rep")
    late = Heard(3, 6, 8, "really we will take it all back", spoken_at=8, is_late=True)
    visit.heard(late, 20)
    conclusion = visit.conclusion()
    assert [(mark.id, mark.at_s) for mark in conclusion.claims] == [("unsettled", 2)]
    assert [(mark.id, mark.text) for mark in conclusion.promises] == [("take_back", late.text)]


def test_the_committed_schema_is_the_models() -> None:
    committed = (ROOT / "playbooks" / "playbook.schema.json").read_text()
    assert committed == playbook_schema() + "\n", (
        "run: fieldcoach playbook schema > playbooks/playbook.schema.json"
    )
    assert '"schema"' in committed


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(EXAMPLE)
    transcript = tmp_path / "t.json"
    transcript.write_text('{"lines": [{"start": 20, "end": 22, "text": "no space", "speaker": "shop"}]}')
    assert main(["lint", str(file)]) == 0
    assert "good. Playbook biscuits-north version 7: 7 stages" in capsys.readouterr().out
    assert main(["try", str(file), str(transcript)]) == 0
    assert "fired  [objection no_space at 22.00]  “Offer a counter strip" in capsys.readouterr().out
    file.write_text(EXAMPLE.replace("weight: 5,", "weight: 6,", 1))
    assert main(["lint", str(file)]) == 1
    assert "weights sum to 101" in capsys.readouterr().err
