"""Hindi in one spelling: Devanagari in Latin letters, and what spellings of romanised Hindi share."""

import re
from functools import lru_cache
from typing import Final

_CONSONANT_SOUNDS: Final = "k kh g gh n ch chh j jh n t th d dh n t th d dh n p ph b bh m y r l v sh sh s h l"
_VOWEL_SOUNDS: Final = "a i i u u e ai o au o e ri"
_CONSONANTS: Final = dict(zip("कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसहळ", _CONSONANT_SOUNDS.split(), strict=True))
_SIGNS: Final = dict(zip("ािीुूेैोौॉॅृ", _VOWEL_SOUNDS.split(), strict=True))
_VOWELS: Final = {"अ": "a", **dict(zip("आइईउऊएऐओऔऑऍऋ", _VOWEL_SOUNDS.split(), strict=True))}
_NASALS: Final = frozenset("ंँ")
_NUKTA: Final = "़"
_VIRAMA: Final = "्"
_VISARGA: Final = "ः"
_NUKTA_SOUNDS: Final = {"ph": "f", "d": "d", "dh": "dh", "j": "z"}
_DEVANAGARI: Final = re.compile("[\u0900-\u097f]")
_DIGITS: Final = str.maketrans("०१२३४५६७८९", "0123456789")

# English words of the trade that Hindi writes by ear; no rule of spelling leads back.
_LOANS: Final = {
    "stok": "stock",
    "raik": "rack",
    "skim": "scheme",
    "marjin": "margin",
    "rets": "rates",
    "ret": "rate",
    "kredit": "credit",
    "kaish": "cash",
    "pement": "payment",
    "kampni": "company",
    "kauntar": "counter",
    "kaunter": "counter",
    "shelf": "shelf",
    "ordar": "order",
    "pis": "piece",
    "karton": "carton",
    "kartan": "carton",
    "kes": "case",
    "boks": "box",
    "baiks": "box",
    "paiket": "packet",
    "paket": "packet",
    "klem": "claim",
    "fri": "free",
    "ful": "full",
    "phul": "full",
    "spes": "space",
    "dimand": "demand",
    "ekspair": "expire",
    "ekspayar": "expire",
    "ekspayri": "expiry",
    "daimej": "damage",
    "bil": "bill",
    "diskaunt": "discount",
    "ofar": "offer",
    "parsent": "percent",
    "thaink": "thank",
    "yu": "you",
    "displey": "display",
    "fotu": "photo",
    "konfarm": "confirm",
    "not": "note",
    "chek": "check",
    "lik": "leak",
    "holsel": "wholesale",
    "oke": "okay",
}


@lru_cache(maxsize=8_192)
def romanised(word: str) -> str:
    """The word in Latin letters as Hindi is typed, without the vowels that are written and not spoken."""
    if not _DEVANAGARI.search(word):
        return word
    spoken = _spoken(word.translate(_DIGITS))
    return _LOANS.get(spoken, spoken)


def _spoken(word: str) -> str:
    """Drops the inherent vowel at the end of the word and between `VC` and `CV`: `kitana` is `kitna`."""
    sounds: list[tuple[str, str, bool]] = []
    """Consonants, vowel, whether that vowel is the inherent one."""
    for letter in word:
        if letter in _CONSONANTS:
            sounds.append((_CONSONANTS[letter], "a", True))
        elif letter in _VOWELS:
            sounds.append(("", _VOWELS[letter], False))
        elif sounds and letter in _SIGNS:
            sounds[-1] = (sounds[-1][0], _SIGNS[letter], False)
        elif sounds and letter == _VIRAMA:
            sounds[-1] = (sounds[-1][0], "", False)
        elif sounds and letter == _NUKTA:
            sounds[-1] = (_NUKTA_SOUNDS.get(sounds[-1][0], sounds[-1][0]), *sounds[-1][1:])
        elif letter in _NASALS:
            sounds.append(("n", "", False))
        elif letter == _VISARGA:
            sounds.append(("h", "", False))
        else:
            sounds.append((letter, "", False))
    if len(sounds) > 1 and sounds[-1][2]:
        sounds[-1] = (sounds[-1][0], "", False)
    for at in range(len(sounds) - 2, 0, -1):
        (_, before, _), (consonant, _, inherent), (following, vowel, _) = sounds[at - 1 : at + 2]
        if inherent and before and following and vowel:
            sounds[at] = (consonant, "", False)
    return "".join(consonant + vowel for consonant, vowel, _ in sounds)


_FOLDS: Final = tuple(
    (re.compile(pattern), stand_in)
    for pattern, stand_in in (
        ("chh", "ch"),
        ("chch|cch", "ch"),
        ("ph", "f"),
        ("sh", "s"),
        ("w", "v"),
        ("z", "j"),
        ("ck", "k"),
        ("q", "k"),
        ("c(?!h)", "k"),
        ("ee", "i"),
        ("oo", "u"),
        (r"(.)\1+", r"\1"),
        ("iy", "i"),
        ("[ae]i", "e"),
        ("m(?=[bp])", "n"),
        ("(?<=[eo])h$", ""),
        ("(?<=[eou])n$", ""),
        ("(?<=h[i])n$", ""),
    )
)


@lru_cache(maxsize=8_192)
def sound_of(word: str) -> str:
    """What all romanised spellings of a word share: `nahi`, `nahin` and `naheen`."""
    for pattern, stand_in in _FOLDS:
        word = pattern.sub(stand_in, word)
    return word
