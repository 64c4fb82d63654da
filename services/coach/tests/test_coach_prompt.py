"""What the model is asked and believed, personal data, the breaker."""

import json
from pathlib import Path

import pytest

from fieldcoach.coach.breaker import Breaker
from fieldcoach.coach.engine import Conclusion, ObjectionMark, StageMark
from fieldcoach.coach.errors import LlmFailed
from fieldcoach.coach.orders import Line
from fieldcoach.coach.playbook import CueLlm, CueRule, Playbook
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.prompt import (
    Turn,
    cue_prefix,
    cue_question,
    filled_text,
    makes_forbidden_claim,
    read_cue_answer,
    read_summary_answer,
    recent_turns,
    summary_question,
)
from fieldcoach.coach.redaction import redact

ROOT = Path(__file__).parents[3]
PLAYBOOK = load_playbook(ROOT / "playbooks/outlet-en.yaml").playbook
CUES = {cue.id: cue for cue in PLAYBOOK.cues}
FACTS = Conclusion(
    score=65,
    tips=("Tell the scheme.",),
    text="",
    stages=(StageMark("greet", 1),),
    objections=(ObjectionMark("no_space", 3),),
    orders=(Line("tea", 12, "boxes"),),
    unplaced_orders=0,
)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("call 98765 43210 now", "call [number] now"),
        ("call +91-98765-43210", "call [number]"),
        ("nine eight seven six five four three two one zero please", "[number] please"),
        ("double nine, eight seven six five four three", "[number]"),
        ("aadhaar 1234 5678 9012", "aadhaar [number]"),
        ("pan ABCDE1234F", "pan [id]"),
        ("mail ravi.k@shop.co.in today", "mail [email] today"),
        ("mail ravi at gmail dot com", "mail [email]"),
        ("mera number nau aath saat chhe paanch char teen do ek shunya hai", "mera number [number] hai"),
        ("नौ आठ सात छह पांच चार तीन दो एक शून्य पर", "[number] पर"),
        ("nine eight 7 6 five four three 21", "[number]"),
        ("call ९८७६५४३२१० now", "call [number] now"),
        ("ek do teen dabba", "ek do teen dabba"),
        ("send 12 boxes for 1,500 rupees", "send 12 boxes for 1,500 rupees"),
        ("two or three boxes", "two or three boxes"),
    ],
)
def test_personal_data_is_replaced(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def test_the_question_holds_data_and_a_fixed_prefix() -> None:
    turns = [Turn(n * 4.0, f"line {n} call 9876543210") for n in range(30)]
    first = cue_question(PLAYBOOK, [CUES["obj_no_space"]], turns, frozenset({"greet"}), "en")
    second = cue_question(PLAYBOOK, [CUES["obj_credit"]], turns[:3], frozenset(), "en")
    assert first.messages[0] == second.messages[0], "byte-identical, so that servers cache it"
    assert cue_prefix(PLAYBOOK, "en") == first.messages[0]["content"]
    state = json.loads(first.messages[1]["content"])
    assert len(state["turns"]) == 12
    assert state["turns"][-1] == {"speaker": "unknown", "text": "line 29 call [number]"}
    assert state["candidates"] == ["obj_no_space"]
    assert first.schema["properties"]["cue_id"]["enum"] == ["obj_no_space", "none"]
    assert first.schema["properties"]["slots"]["required"] == ["sku"]
    assert second.schema["properties"]["slots"]["properties"] == {}


def test_only_recent_turns() -> None:
    assert [turn["text"] for turn in recent_turns([Turn(1, "a"), Turn(60, "b")])] == ["b"]
    assert recent_turns([]) == []


def test_only_a_candidate_or_none_is_believed() -> None:
    candidates = [CUES["obj_no_space"]]
    answer = read_cue_answer(
        '{"cue_id": "obj_no_space", "slots": {"sku": "tea"}, "confidence": 0.9}', candidates
    )
    assert answer.slots == {"sku": "tea"}
    assert read_cue_answer('{"cue_id": "none"}', candidates).cue_id == "none"
    for text in (
        "",
        "sure!",
        "[]",
        '{"cue_id": "obj_credit"}',
        '{"cue_id": "obj_no_space", "text": "guaranteed sale"}',
        '{"cue_id": "obj_no_space", "confidence": 7}',
    ):
        with pytest.raises(LlmFailed, match="wrong"):
            read_cue_answer(text, candidates)


def test_slots_come_from_the_vocabulary() -> None:
    cue = CUES["obj_no_space"]
    assert filled_text(PLAYBOOK, cue, {"sku": "Cream Biscuit"}, "en") == (
        "Offer a counter strip of cream biscuits: 6 to start"
    )
    others: tuple[dict[str, str | None], ...] = ({"sku": "free beer"}, {"sku": None}, {}, {"qty": "6"})
    for slots in others:
        assert filled_text(PLAYBOOK, cue, slots, "en") is None
    assert filled_text(PLAYBOOK, CUES["obj_credit"], {"sku": "tea"}, "en") is None


def cue_with(text: str) -> CueRule:
    return CUES["obj_no_space"].model_copy(
        update={"llm": CueLlm(mode="fill", slots=("sku",), text={"en": text})}
    )


def test_a_filled_text_that_is_too_long_or_claims_too_much_is_not_used() -> None:
    assert filled_text(PLAYBOOK, cue_with("x" * 58 + "{sku}"), {"sku": "tea"}, "en") is None
    assert filled_text(PLAYBOOK, cue_with("Guaranteed sale of {sku}"), {"sku": "tea"}, "en") is None
    assert (
        filled_text(PLAYBOOK, cue_with("Show {sku} in {unit}"), {"sku": "tea", "unit": "boxes"}, "en") is None
    )
    assert makes_forbidden_claim(PLAYBOOK, "It's a Guaranteed  sale!")
    assert not makes_forbidden_claim(Playbook.empty("p"), "guaranteed sale")


def test_the_summary_is_asked_from_facts() -> None:
    question = summary_question(PLAYBOOK, FACTS, [Turn(1, "a"), Turn(600, "b")], "en")
    content = json.loads(question.messages[1]["content"])
    assert content["facts"]["orders"] == [{"sku": "tea", "qty": 12, "unit": "boxes"}]
    assert "greet" not in content["facts"]["missed"]
    assert len(content["turns"]) == 2


def test_the_summary_may_hold_no_number_of_its_own() -> None:
    good = read_summary_answer(PLAYBOOK, FACTS, '{"text": "12 boxes of tea, score 65.", "tips": ["a", "b"]}')
    assert good.tips == ("a", "b")
    for text in (
        "no",
        '{"text": ""}',
        '{"text": "13 boxes"}',
        '{"text": "fine", "tips": ["sell 40 more"]}',
        '{"text": "a guaranteed sale"}',
        '{"text": "fine", "tips": ["a", "b", "c"]}',
    ):
        with pytest.raises(LlmFailed, match="wrong"):
            read_summary_answer(PLAYBOOK, FACTS, text)


def test_the_breaker_opens_after_three_failures_until_a_probe_succeeds() -> None:
    breaker = Breaker()
    for _ in range(2):
        breaker.failed(0)
    breaker.succeeded()
    for _ in range(3):
        assert not breaker.is_open
        assert breaker.probe_in(0) is None
        breaker.failed(0)
    assert breaker.is_open
    assert (breaker.probe_in(10), breaker.probe_in(40)) == (20, 0)
    breaker.failed(40)
    assert breaker.probe_in(40) == 30
    breaker.succeeded()
    assert not breaker.is_open
