"""Hindi in two scripts and many spellings: words, numbers, orders, objections."""

from pathlib import Path

import pytest

from fieldcoach.coach.devanagari import romanised, spelling_key
from fieldcoach.coach.engine import Heard, VisitEngine
from fieldcoach.coach.numerals import read_hindi_number
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.rules import CompiledPlaybook

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def rules() -> CompiledPlaybook:
    return CompiledPlaybook(load_playbook(ROOT / "playbooks" / "outlet-hi.yaml").playbook)


def engine_after(rules: CompiledPlaybook, *lines: str) -> VisitEngine:
    engine = VisitEngine(rules, "standard", "hi-Latn")
    for n, text in enumerate(lines):
        engine.heard(Heard(n, 4.0 * n, 4.0 * n + 2, text, spoken_at=4.0 * n + 2), 4.0 * n + 2)
    return engine


@pytest.mark.parametrize(
    ("devanagari", "latin"),
    [
        ("नमस्ते", "namaste"),
        ("कितना", "kitna"),
        ("नहीं", "naheen"),
        ("धन्यवाद", "dhanyavaad"),
        ("जगह", "jagah"),
        ("अगले", "agle"),
        ("बचा", "bacha"),
        ("स्टॉक", "stok"),
        ("१२", "12"),
        ("ok", "ok"),
    ],
)
def test_devanagari_as_people_type_it(devanagari: str, latin: str) -> None:
    assert romanised(devanagari) == latin


@pytest.mark.parametrize(
    "spellings",
    ["nahi nahin naheen nahee", "hai hain", "jagah jaga", "dhanyavaad dhanyawad", "stock stok", "accha acha"],
)
def test_spellings_of_one_word_share_a_key(spellings: str) -> None:
    assert len({spelling_key(word) for word in spellings.split()}) == 1


@pytest.mark.parametrize("words", ["din dukan", "chalta chalti", "do das", "teen tel", "maal mil"])
def test_other_words_do_not(words: str) -> None:
    assert len({spelling_key(word) for word in words.split()}) == 2


@pytest.mark.parametrize(
    ("text", "value", "length"),
    [
        ("chhe piece", 6, 1),
        ("pachas", 50, 1),
        ("do sau pachas packet", 250, 3),
        ("paanch sau", 500, 2),
        ("ek hazaar do sau", 1_200, 4),
        ("dedh sau", 150, 2),
        ("dhai hazaar", 2_500, 2),
        ("adha darjan", 6, 2),
        ("do darjan piece", 24, 2),
        ("teen char", 3, 1),
    ],
)
def test_numbers(text: str, value: int, length: int) -> None:
    assert read_hindi_number(text.split(), 0) == (value, length)


@pytest.mark.parametrize("text", ["sau", "dedh", "namaste", "darjan"])
def test_no_number(text: str) -> None:
    assert read_hindi_number(text.split(), 0) is None


@pytest.mark.parametrize(
    ("lines", "orders"),
    [
        (["das packet biscuit bhej do"], [("biscuits", 10, "packets")]),
        (["दस पैकेट बिस्किट भेज दो"], [("biscuits", 10, "packets")]),
        (
            ["chaar carton noodles aur do peti cola likh do"],
            [("noodles", 4, "cartons"), ("cola", 2, "cases")],
        ),
        (["do tin sarson ka tel bhej do"], [("mustard oil", 2, "tins")]),
        (["cola chhe peti bhej dijiye"], [("cola", 6, "cases")]),
        (["das packet namkeen bhej do", "is baar sirf chhe packet bhejo"], [("namkeen", 6, "packets")]),
        (["das packet namkeen bhej do", "aath kar do"], [("namkeen", 8, "packets")]),
        (
            ["das packet namkeen bhej do", "paanch peti cola likho", "cola mat bhejna"],
            [("namkeen", 10, "packets")],
        ),
        (["paanch peti cola likh doon", "haan theek hai"], [("cola", 5, "cases")]),
        (["kitna cola bacha hai", "do peti cola bacha hai"], []),
        (["das peti cola loge to ek free milega"], []),
    ],
)
def test_orders(rules: CompiledPlaybook, lines: list[str], orders: list[tuple[str, int, str]]) -> None:
    found = engine_after(rules, *lines).orders
    assert [(line.sku, line.qty, line.unit) for line in found] == orders


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        ("bhai jagah hi nahi hai kahan rakhun", "no_space"),
        ("रैक पूरा भरा है", "no_space"),
        ("yeh shampoo bilkul nahi bikta", "slow_mover"),
        ("iska rate bahut zyada hai", "price_margin"),
        ("इसमें मार्जिन बहुत कम है", "price_margin"),
        ("abhi paise nahi hain", "credit"),
        ("dusri company wale zyada scheme dete hain", "competitor"),
        ("doosree kampani wale zyaada skeem dete hain", "competitor"),
        ("दूसरी कंपनी वाले ज्यादा स्कीम देते हैं", "competitor"),
        ("pichli baar packet phate hue nikle", "damaged_expired"),
        ("abhi to maal pada hua hai", "enough_stock"),
    ],
)
def test_objections(rules: CompiledPlaybook, text: str, objection: str) -> None:
    assert [mark.id for mark in engine_after(rules, text).conclusion().objections] == [objection]


@pytest.mark.parametrize(
    "text",
    [
        "gaadi khadi karne ki jagah nahi hai",
        "aaj mausam bahut kharab hai",
        "kal match dekha kya",
        "bachche school gaye hain",
        "petrol ka daam bahut badh gaya",
        "hamari company ka margin zyada hai",
    ],
)
def test_small_talk_raises_nothing(rules: CompiledPlaybook, text: str) -> None:
    assert engine_after(rules, text).conclusion().objections == ()
