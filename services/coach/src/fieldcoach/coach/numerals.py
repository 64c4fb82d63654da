"""Numbers in words, as people say quantities: one to nine hundred and ninety-nine thousand."""

from collections.abc import Sequence
from typing import Final

_ONES: Final = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
}
_TENS: Final = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_DOZEN: Final = frozenset({"dozen", "dozens"})
NUMBER_WORDS: Final = frozenset(_ONES) | frozenset(_TENS) | {"hundred", "thousand", "half", "couple"} | _DOZEN
_HINDI_WORDS: Final = (
    "ek do teen chaar paanch chhe saat aath nau das gyarah barah terah chaudah pandrah solah satrah "
    "atharah unnis bees ikkis bais teis chaubis pachchis chhabbis sattais atthais untis tees iktis "
    "battis taintis chauntis paintis chhattis saintis adtis untalis chalis iktalis bayalis tainalis "
    "chavalis paintalis chhiyalis saintalis adtalis unchas pachas ikyavan bavan tirpan chauvan "
    "pachpan chhappan sattavan atthavan unsath saath iksath basath tirsath chaunsath painsath "
    "chhiyasath sadsath adsath unhattar sattar ikhattar bahattar tihattar chauhattar pachhattar "
    "chhihattar satattar athattar unasi assi ikyasi bayasi tirasi chaurasi pachasi chhiyasi sattasi "
    "athasi navasi nabbe ikyanve banve tiranve chauranve pachanve chhiyanve sattanve atthanve "
    "ninyanve "
)
_HINDI: Final = {word: number for number, word in enumerate(_HINDI_WORDS.split(), start=1)}
"""Each number to ninety-nine has its own word."""
_HINDI_ALSO: Final = {
    "char": 4,
    "panch": 5,
    "chhah": 6,
    "chah": 6,
    "che": 6,
    "pachis": 25,
    "bis": 20,
    "tis": 30,
    "sath": 60,
}
_HINDI_SHARES: Final = {"dedh": 1.5, "dhai": 2.5, "adhai": 2.5, "sava": 1.25, "adha": 0.5, "aadha": 0.5}
_HINDI_POWERS: Final = {"sau": 100, "hazaar": 1_000, "hajar": 1_000, "darjan": 12, "darzan": 12}
HINDI_NUMBER_WORDS: Final = frozenset({*_HINDI, *_HINDI_ALSO, *_HINDI_SHARES, *_HINDI_POWERS})
MAX_QUANTITY: Final = 999_999
"""More digits than that are a phone number or a misreading, not a quantity."""


def read_number(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """The number that begins at `at`: its value and how many words it takes; None if there is none.

    `a dozen` and `half a dozen` before another word count as 12 and 6; `couple of` as 2.
    """
    special = _read_special(words, at)
    if special:
        return special
    if words[at].isascii() and words[at].isdigit():
        value = int(words[at]) if len(words[at]) <= 6 else 0
        return (value, 1) if value else None
    total, end = _read_below_thousand(words, at)
    if end == at:
        return None
    if end < len(words) and words[end] == "thousand":
        rest, rest_end = _read_below_thousand(words, _after_and(words, end + 1))
        thousands = total * 1_000
        return (thousands + rest, rest_end - at) if rest else (thousands, end + 1 - at)
    return total, end - at


def read_hindi_number(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """As `read_number`, in Hindi: `dedh sau` is 150, `do sau pachas` 250, `do darjan piece` 24 pieces."""
    share = _HINDI_SHARES.get(words[at])
    if share is not None:
        power = _HINDI_POWERS.get(words[at + 1]) if at + 1 < len(words) else None
        return (int(share * power), 2) if power else None
    total, part, end = 0, 0, at
    while end < len(words):
        number = _HINDI.get(words[end]) or _HINDI_ALSO.get(words[end])
        power = _HINDI_POWERS.get(words[end])
        if number and part % 100 == 0:
            part += number
        elif power and part and power != 100:
            total, part = total + part * power, 0
        elif power and 0 < part < 100:
            part *= power
        else:
            break
        end += 1
    value = total + part
    return (value, end - at) if 0 < value <= MAX_QUANTITY else None


def _read_special(words: Sequence[str], at: int) -> tuple[int, int] | None:
    ahead = tuple(words[at : at + 3])
    if ahead[:2] == ("half", "dozen"):
        return 6, 2
    if ahead == ("half", "a", "dozen"):
        return 6, 3
    if ahead[:2] == ("a", "dozen"):
        return 12, 2
    if ahead == ("a", "couple", "of"):
        return 2, 3
    if ahead[:2] == ("couple", "of"):
        return 2, 2
    if ahead[:2] == ("a", "hundred"):
        return 100, 2
    return None


def _read_below_thousand(words: Sequence[str], at: int) -> tuple[int, int]:
    value, end = _read_below_hundred(words, at)
    if value and value < 100 and end < len(words) and words[end] == "hundred":
        value, end = value * 100, end + 1
        rest, rest_end = _read_below_hundred(words, _after_and(words, end))
        if rest:
            value, end = value + rest, rest_end
    return value, end


def _read_below_hundred(words: Sequence[str], at: int) -> tuple[int, int]:
    if at >= len(words):
        return 0, at
    if words[at] in _TENS:
        ones = _ONES.get(words[at + 1], 0) if at + 1 < len(words) else 0
        return (_TENS[words[at]] + ones, at + 2) if 0 < ones < 10 else (_TENS[words[at]], at + 1)
    if words[at] in _ONES:
        return _ONES[words[at]], at + 1
    return 0, at


def _after_and(words: Sequence[str], at: int) -> int:
    return at + 1 if at < len(words) and words[at] == "and" else at
