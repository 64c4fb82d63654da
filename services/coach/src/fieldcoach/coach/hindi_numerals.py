"""Numbers in Hindi words, in one romanised spelling each (`hindi.sound_of` finds the others)."""

from collections.abc import Sequence
from typing import Final

_WORDS: Final = (
    "ek do teen chaar paanch,paach chhe,chhah,chhay saat aath nau das "
    "gyarah,gyara barah,bara terah chaudah pandrah,pandra solah,sola satrah,satra atharah,athara unnis bees "
    "ikkis bais teis chaubis pachees chhabbis sattais atthais untis tees "
    "ikattis battis taintis chauntis paintis chhattis saintis adtis untalis chalees "
    "iktalis bayalis taintalis chauvalis paintalis chhiyalis saintalis adtalis unchas pachaas "
    "ikyavan bavan tirpan chauvan pachpan chhappan sattavan atthavan unsath saath "
    "ikasath basath tirsath chausath painsath chhiyasath sadsath adsath unhattar sattar "
    "ikhattar bahattar tihattar chauhattar pachhattar chhihattar satattar athattar unasi assi "
    "ikyasi bayasi tirasi chaurasi pachasi chhiyasi satasi athasi navasi nabbe "
    "ikyanve baanve tiranve chauranve pachanve chhiyanve sattanve atthanve ninyanve"
)
"""One to ninety-nine; after a comma another spelling."""
_BELOW_HUNDRED: Final = {
    word: number
    for number, words in enumerate(
        _WORDS.split(),
        start=1,
    )
    for word in words.split(",")
}
_FRACTIONS: Final = {"sava": 1.25, "dedh": 1.5, "dhai": 2.5}
_HALF: Final = "aadha"
_SCALES: Final = {"darjan": 12, "sau": 100, "hazaar": 1_000}
HINDI_NUMBER_WORDS: Final = frozenset({*_BELOW_HUNDRED, *_FRACTIONS, _HALF, "sau", "hazaar"})
_STEMS: Final = frozenset(
    {"de", "likh", "bhej", "kar", "rakh", "daal", "dal", "laga", "bata", "dikha", "hata", "chhod", "utar"}
    | {"bhar", "nikal", "badal", "rehne", "jod", "note", "confirm", "la", "ghata", "badha", "bana", "mangwa"}
)
"""`do` after these is `give`, not two."""


def read_hindi_number(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """The number that begins at `at`: its value and how many words it takes; None if there is none."""
    word, after = words[at], words[at + 1] if at + 1 < len(words) else ""
    if word == _HALF and after == "darjan":
        return 6, 2
    if word in _FRACTIONS and after in _SCALES:
        return int(_FRACTIONS[word] * _SCALES[after]), 2
    if word == "saath" and at and words[at - 1] in {"ke", "mere", "aapke", "hamare"}:
        return None  # `with`, which sounds like sixty
    if word == "do" and at and words[at - 1] in _STEMS:
        return None
    value, end = _read_hundreds(words, at)
    if value and end < len(words) and words[end] == "hazaar":
        rest, rest_end = _read_hundreds(words, end + 1)
        value, end = value * 1_000 + rest, rest_end if rest else end + 1
    return (value, end - at) if value else None


def _read_hundreds(words: Sequence[str], at: int) -> tuple[int, int]:
    value, end = _below_hundred(words, at)
    if end < len(words) and words[end] == "sau":
        rest, rest_end = _below_hundred(words, end + 1)
        return (value or 1) * 100 + rest, rest_end if rest else end + 1
    return value, end


def _below_hundred(words: Sequence[str], at: int) -> tuple[int, int]:
    value = _BELOW_HUNDRED.get(words[at], 0) if at < len(words) else 0
    return value, at + 1 if value else at
