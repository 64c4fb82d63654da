"""Normalised words, numbers in words, and the phrase language."""

import pytest

from fieldcoach.coach.normalise import words_of
from fieldcoach.coach.numerals import read_number
from fieldcoach.coach.phrases import PhraseInvalid, compile_phrases, parse_phrase
from fieldcoach.coach.playbook import Sku, Unit, Vocabulary
from fieldcoach.coach.reading import Reader, Span


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Good morning, Sir!", "good morning sir"),
        ("I don’t have it; it isn't here.", "i do not have it it is not here"),
        ("can't cannot won't let's", "can not can not will not let us"),
        ("it's Sharma's shop, we'll see", "it is sharma shop we will see"),
        ("o'clock they're I've I'm he'd", "oclock they are i have i am he would"),
        ("10% of ₹1,500", "10 percent of rupees 1500"),
        ("ok THANKS", "okay thank you"),
        ("Cafe\u0301 CAFÉ", "café café"),
        ("नमस्ते गुप्ता जी!", "namaste gupta ji"),
        ("... !?", ""),
    ],
)
def test_words_of(text: str, words: str) -> None:
    assert " ".join(words_of(text)) == words


@pytest.mark.parametrize(
    ("text", "value", "length"),
    [
        ("one", 1, 1),
        ("twenty five boxes", 25, 2),
        ("twenty boxes", 20, 1),
        ("twenty twelve", 20, 1),
        ("one hundred", 100, 2),
        ("a hundred boxes", 100, 2),
        ("two hundred and fifty boxes", 250, 4),
        ("two hundred and boxes", 200, 2),
        ("five thousand", 5_000, 2),
        ("two thousand three hundred", 2_300, 4),
        ("seventy five thousand and ten", 75_010, 5),
        ("half dozen", 6, 2),
        ("half a dozen", 6, 3),
        ("a dozen", 12, 2),
        ("couple of", 2, 2),
        ("a couple of", 2, 3),
        ("12 boxes", 12, 1),
    ],
)
def test_numbers(text: str, value: int, length: int) -> None:
    assert read_number(text.split(), 0) == (value, length)


@pytest.mark.parametrize("text", ["box", "a box", "0", "9876543210", "hundred boxes", "half box"])
def test_no_numbers(text: str) -> None:
    assert read_number(text.split(), 0) is None


def matches(phrase: str, text: str) -> bool:
    vocabulary = Vocabulary(
        skus=(Sku(id="tea"), Sku(id="green tea")), units=(Unit(id="boxes", names=("boxes", "box")),)
    )
    parsed = parse_phrase(phrase)
    reading = Reader(vocabulary, parsed.words).read(words_of(text))
    expression = compile_phrases([parsed])
    plain, slotted = (None, expression) if parsed.has_slots else (expression, None)
    return bool(reading.find(plain, slotted))


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("no space", "there is No Space, sir"),
        ("(shelf|back room) is full", "my back room is full"),
        ("shelf is (already|) full", "shelf is full"),
        ("shelf ... full", "the shelf is already quite very full"),
        ("{sku} is not selling", "green tea is not selling"),
        ("only {number} {unit}", "only twenty five boxes"),
        ("({number}|a) {unit}", "a box"),
        ("margin is low", "margine is low"),
    ],
)
def test_a_phrase_matches(phrase: str, text: str) -> None:
    assert matches(phrase, text)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("no space", "no spacecraft"),
        ("no space", "no more space"),
        ("shelf ... full", "the shelf is one two three four full"),
        ("{sku} is not selling", "it is not selling"),
        ("margin is low", "largin is low"),  # the first letter must agree
        ("low rate", "law rate"),  # short words are not corrected
    ],
)
def test_a_phrase_does_not_match(phrase: str, text: str) -> None:
    assert not matches(phrase, text)


@pytest.mark.parametrize(
    ("phrase", "what"),
    [
        ("...", "matches anything"),
        ("(a|)", "matches anything"),
        ("(no space", "without its partner"),
        ("no {shelf}", "is no slot"),
        ("(no|{shelf}) space", "is no slot"),
    ],
)
def test_a_phrase_that_cant_be_read(phrase: str, what: str) -> None:
    with pytest.raises(PhraseInvalid, match=what):
        parse_phrase(phrase)


def test_the_longest_product_is_meant_and_spans_are_in_words() -> None:
    vocabulary = Vocabulary(skus=(Sku(id="tea"), Sku(id="green tea", names=("green tea",))))
    reading = Reader(vocabulary, ()).read(("send", "green", "tea"))
    assert [(m.value, m.first, m.end) for m in reading.mentions] == [("green tea", 1, 3)]
    slotted = compile_phrases([parse_phrase("send {sku}")])
    assert reading.find(None, slotted) == [Span(0, 3)]
    assert compile_phrases([]) is None


def test_exact_patterns_are_not_corrected() -> None:
    parsed = parse_phrase("margin is low")
    reading = Reader(Vocabulary(), parsed.words).read(words_of("margine is low"))
    assert reading.find(compile_phrases([parsed]), None, fuzzy=85)
    assert not reading.find(compile_phrases([parsed]), None, fuzzy=100)
