"""Spoken text as plain words: one spelling for what sounds the same."""

import re
import unicodedata
from typing import Final

from .devanagari import romanised

_PLAIN: Final = re.compile(r"[a-z0-9]+")
_APOSTROPHES: Final = str.maketrans({"’": "'", "ʼ": "'", "`": "'"})
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{2,3}\b)")

# Whisper writes contractions, the embedded model never does; playbooks are written without them.
_WHOLE: Final = {
    "can't": "can not",
    "cannot": "can not",
    "cant": "can not",
    "won't": "will not",
    "wont": "will not",
    "let's": "let us",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "havent": "have not",
    "hasnt": "has not",
    "ok": "okay",
    "rs": "rupees",
    "thanks": "thank you",
    "gonna": "going to",
}
_ENDINGS: Final = (
    ("n't", " not"),
    ("'ll", " will"),
    ("'ve", " have"),
    ("'re", " are"),
    ("'m", " am"),
    ("'d", " would"),
)
_IS: Final = frozenset({"it", "that", "this", "there", "here", "what", "how", "where", "who", "he", "she"})


def words_of(text: str) -> tuple[str, ...]:
    """The words of `text`: NFC, case folded, without punctuation, contractions written out.

    Devanagari is written in Latin letters; letters of other scripts stay, with their vowel signs (which
    `str.isalnum` would drop).
    """
    folded = unicodedata.normalize("NFC", text).casefold().translate(_APOSTROPHES)
    folded = _THOUSANDS.sub("", folded).replace("%", " percent ").replace("₹", " rupees ")
    spread = " ".join(_written_out(raw) for raw in folded.split())
    if spread.isascii():
        return tuple(_PLAIN.findall(spread))
    kept = "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in spread)
    return tuple(romanised(word) for word in kept.split())


def _written_out(raw: str) -> str:
    word = raw.strip(".,;:!?\"'()[]")
    if word in _WHOLE:
        return _WHOLE[word]
    if "'" not in word:
        return word
    for ending, full in _ENDINGS:
        if word.endswith(ending):
            return word.removesuffix(ending) + full
    stem, _, ending = word.rpartition("'")
    if ending == "s":
        return f"{stem} is" if stem in _IS else stem
    return word.replace("'", "")
