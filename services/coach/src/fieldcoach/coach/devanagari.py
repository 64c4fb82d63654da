"""Hindi in two scripts and many spellings: Devanagari written in Latin letters, and what spellings share.

`romanised` writes a word as people type it (`कितना` → `kitna`), which takes leaving out the vowels that are
written and not spoken. `spelling_key` is the same for the ways in which one word is spelt (`nahi`, `nahin`,
`naheen`): a key to find a known word by, never a word to show.
"""

import re
from functools import lru_cache
from typing import Final

_VOWEL_SOUNDS: Final = ("aa", "i", "ee", "u", "oo", "ri", "e", "ai", "o", "au", "o", "e")
_SIGNS: Final = dict(zip("ािीुूृेैोौॉॅ", _VOWEL_SOUNDS, strict=True))
_VOWELS: Final = {"अ": "a", **dict(zip("आइईउऊऋएऐओऔऑऍ", _VOWEL_SOUNDS, strict=True))}
_CONSONANT_SOUNDS: Final = "k kh g gh n ch chh j jh n t th d dh n t th d dh n p ph b bh m y r l v sh sh s h"
_CONSONANTS: Final = dict(zip("कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसह", _CONSONANT_SOUNDS.split(" "), strict=True))
_NASAL: Final = "ंँ"
_VIRAMA: Final = "्"
_NUKTA: Final = "़"
_DIGITS: Final = str.maketrans("०१२३४५६७८९", "0123456789")
_SPOKEN: Final = re.compile(r"[aeiou]")


@lru_cache(maxsize=8_192)
def romanised(word: str) -> str:
    """A word of Devanagari in Latin letters; whatever else it holds stays."""
    parts: list[str] = []
    silent: list[bool] = []
    """Of each part, whether it is the vowel that every consonant carries unless another is written."""
    letters = word.translate(_DIGITS).replace(_NUKTA, "")
    for at, letter in enumerate(letters):
        following = letters[at + 1 : at + 2]
        if letter in _CONSONANTS:
            parts.append(_CONSONANTS[letter])
            silent.append(False)
            if following not in _SIGNS and following != _VIRAMA:
                parts.append("a")
                silent.append(True)
        elif letter != _VIRAMA:
            parts.append(_SIGNS.get(letter) or _VOWELS.get(letter) or ("n" if letter in _NASAL else letter))
            silent.append(False)
    spoken = "".join(_without_silent(parts, silent))
    # a last long vowel is typed short: `kitna`, `nahi`
    return re.sub(r"(?<=.)aa$", "a", re.sub(r"(?<=.)ee$", "i", spoken))


def _without_silent(parts: list[str], silent: list[bool]) -> list[str]:
    """A consonant's own vowel is silent at the end of a word, and in V C _ C V, from the end."""
    kept = list(parts)
    vowels = [bool(_SPOKEN.match(part)) for part in parts]
    last = len(parts) - 1
    if silent and silent[last] and sum(vowels) > 1:
        kept[last], vowels[last] = "", False
    for at in range(last - 1, 1, -1):
        around = (at - 2, at - 1, at + 1, at + 2)
        if silent[at] and around[3] <= last and [vowels[n] for n in around] == [True, False, False, True]:
            kept[at], vowels[at] = "", False
    return kept


_FOLDS: Final = tuple(
    (re.compile(pattern), folded)
    for pattern, folded in (
        (r"chh", "ch"),
        (r"ck|q", "k"),
        (r"ph", "f"),
        (r"w", "v"),
        (r"z", "j"),
        (r"sh", "s"),
        (r"x", "ks"),
        (r"(?<=[aeiou]{2})n$|(?<=[a-z]{2}[ieou])n$", ""),  # nahin, hain, hoon; not din, dukan
        (r"aa+", "a"),
        (r"ee+|ii+|ea", "i"),
        (r"oo+|uu+", "u"),
        (r"ai|ei|ay|ey", "e"),
        (r"au|ou", "o"),
        (r"(?<=[aeiou])h$", ""),
        (r"(ch|th|dh|kh|gh|bh|jh)\1+", r"\1"),
        (r"([b-df-hj-np-tv-z])\1+", r"\1"),
        (r"(?<=.)a", ""),
    )
)


@lru_cache(maxsize=16_384)
def spelling_key(word: str) -> str:
    """Equal for the spellings of a word in Latin letters; empty if too little is left to tell words apart."""
    key = word
    for pattern, folded in _FOLDS:
        key = pattern.sub(folded, key)
    return key if len(key) > 1 else ""
