"""Hindi and Hinglish in words that `outlet-hi` was not written from."""

from pathlib import Path

import pytest

from fieldcoach.coach.engine import Heard, VisitEngine
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.rules import CompiledPlaybook

RULES = CompiledPlaybook(load_playbook(Path(__file__).parents[3] / "playbooks/outlet-hi.yaml").playbook)


def hear(*lines: str) -> VisitEngine:
    engine = VisitEngine(RULES)
    for number, text in enumerate(lines, start=1):
        at = 4.0 * number
        engine.heard(Heard(number, at, at + 2, text, at + 2), at + 2)
    return engine


def objections(text: str) -> list[str]:
    return [mark.id for mark in VisitEngine(RULES).heard(Heard(1, 0, 2, text, 2), 2).objections]


def stages(text: str) -> list[str]:
    return [mark.id for mark in VisitEngine(RULES).heard(Heard(1, 0, 2, text, 2), 2).stages]


@pytest.mark.parametrize(
    ("lines", "order"),
    [
        (("namkeen ke das packet bhej do",), ("10 packets namkeen",)),
        (("chaar carton noodles likh do",), ("4 cartons noodles",)),
        (("do peti cola aur teen packet sabun bhej dijiye",), ("2 cases cola", "3 packets soap")),
        (("das packet namkeen likh do", "is baar sirf chhe"), ("6 packets namkeen",)),
        (("das packet namkeen likh do", "chhe kar do"), ("6 packets namkeen",)),
        (("do peti cola aur teen packet sabun bhej do", "cola mat bhejna"), ("3 packets soap",)),
        (("paanch dabbe biscuit likh du", "haan likh do"), ("5 boxes biscuits",)),
        (("paanch dabbe biscuit likh du", "nahi abhi nahi"), ()),
        (("चार कार्टन नूडल्स लिख दो",), ("4 cartons noodles",)),
        (("mujhe chahiye pachees packet namak",), ("25 packets salt",)),
        (("do dabbe biscuit bache hain",), ()),
        (("agar teen percent doge to paanch peti cola loonga",), ()),
        (("paanch peti cola loonga agar teen percent doge",), ()),
    ],
)
def test_order_lines(lines: tuple[str, ...], order: tuple[str, ...]) -> None:
    assert tuple(f"{line.qty} {line.unit} {line.sku}" for line in hear(*lines).orders) == order


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("no_space", "bhaiya jagah hi nahin hai"),
        ("no_space", "रैक पूरा भरा हुआ है"),
        ("no_space", "kahan rakhun itni chhoti dukaan mein"),
        ("no_space", "मेरी दुकान बहुत छोटी है"),
        ("slow_mover", "yeh to bikta hi nahi"),
        ("slow_mover", "do mahine se pada hua hai"),
        ("slow_mover", "कोई पूछता ही नहीं"),
        ("slow_mover", "is ki demand bahut kam hai"),
        ("price_margin", "isme mujhe kuch nahi bachta"),
        ("price_margin", "aapka rate bahut zyaada hai"),
        ("price_margin", "मार्जिन बहुत कम है"),
        ("price_margin", "बहुत महंगा है"),
        ("credit", "abhi paise nahi hain"),
        ("credit", "pandrah din ka udhaar chahiye"),
        ("credit", "उधार दोगे तो ही लूंगा"),
        ("credit", "paise baad mein dunga"),
        ("competitor", "dusri company zyada discount de rahi hai"),
        ("competitor", "wholesale mein sasta milta hai"),
        ("competitor", "उनकी स्कीम अच्छी है"),
        ("damaged_expired", "teen packet toote hue the"),
        ("damaged_expired", "माल खराब निकला"),
        ("damaged_expired", "expiry date nikal gayi hai"),
        ("enough_stock", "abhi bahut maal pada hai"),
        ("enough_stock", "pehle purana khatam ho jaye"),
        ("enough_stock", "अभी कुछ नहीं चाहिए"),
        ("enough_stock", "zaroorat nahi hai abhi"),
    ],
)
def test_an_objection_is_heard_and_no_other(kind: str, text: str) -> None:
    assert objections(text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "gaadi khadi karne ki jagah nahi hai",
        "aaj petrol bahut mehnga hai",
        "mera phone nahi chalta",
        "credit card se payment karunga",
        "mausam kharab hai aaj",
        "bete ki naukri dusri company mein lagi hai",
        "chai nahi chahiye dhanyavaad",
        "koi kharab maal hai kya",
        "kaun sa size nahi chala",
        "kal cricket match dekha kya",
        "kitna maal pada hai",
        "sab theek hai aap sunao",
        "हमारी स्कीम दूसरी कंपनी से अच्छी है",
    ],
)
def test_small_talk_and_the_salesperson_raise_nothing(text: str) -> None:
    assert objections(text) == []


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ("greet", "namaskar bhaiya"),
        ("greet", "और गुप्ता जी आप कैसे हैं"),
        ("claims", "kharab packet badal deta hoon"),
        ("stock_check", "zara shelf dekh leta hoon"),
        ("stock_check", "नमक के कितने पैकेट बचे हैं"),
        ("merchandise", "counter ke saamne strip laga deta hoon"),
        ("must_sell", "hand wash ki ek peti likh du"),
        ("scheme", "baarah pe ek free hai"),
        ("scheme", "is hafte dus percent discount hai"),
        ("collect", "pichhla bill clear kar dijiye"),
        ("confirm_order", "to aapka order confirm karta hoon"),
    ],
)
def test_a_stage_is_done(stage: str, text: str) -> None:
    assert stages(text) == [stage]


def test_hindi_spelling_is_not_for_an_english_playbook() -> None:
    english = CompiledPlaybook(load_playbook(Path(__file__).parents[3] / "playbooks/outlet-en.yaml").playbook)
    reading = english.reader.read(("do", "not", "send", "das", "boxes"))
    assert [mention.kind for mention in reading.mentions] == ["unit"]
