"""What a hypothesis must pass before anybody reads it.

Whisper fills noise with sentences of its training data, and silence with loops. The rules and their
thresholds are Whisper's own: no-speech and log probability drop, compression ratio and repeated tokens retry,
a list of stock phrases drops only where hardly anything was voiced. More words than the voiced time holds
drop too.
"""

import re
import unicodedata
import zlib
from enum import StrEnum
from typing import Final

from .engines.base import Hypothesis

NO_SPEECH: Final = 0.6
LOW_LOGPROB: Final = -1.0
MAX_COMPRESSION: Final = 2.4
LOOP_TOKENS: Final = 3
"""Nobody says the same token three times with nothing else around it."""
HARDLY_VOICED_S: Final = 0.5
WORDS_PER_SECOND: Final = 6.0
SPARE_WORDS: Final = 2.0
"""Nobody says more words than these in the time that was voiced (the visits' fastest line has 4 a second).
A model that was trained on sentences makes one of 6 words out of a click of 0.2 s."""
STOCK_PHRASES: Final = frozenset(
    {
        "thank you",
        "thanks for watching",
        "thank you for watching",
        "please subscribe",
        "bye",
        "you",
        "धन्यवाद",
    }
)
"""What Whisper says on silence and clicks. People say some of these too: hence the condition."""

_SPACES = re.compile(r"\s+")


class Verdict(StrEnum):
    """What to do with a hypothesis."""

    KEEP = "keep"
    EMPTY = "empty"
    NO_SPEECH = "no-speech"
    STOCK_PHRASE = "stock-phrase"
    TOO_FAST = "too-fast"
    REPETITIVE = "repetitive"
    LOOP = "loop"

    @property
    def is_drop(self) -> bool:
        """Nothing was said."""
        return self in {Verdict.EMPTY, Verdict.NO_SPEECH, Verdict.STOCK_PHRASE, Verdict.TOO_FAST}

    @property
    def is_retry(self) -> bool:
        """Something was said, but not this."""
        return self in {Verdict.REPETITIVE, Verdict.LOOP}


def compression_ratio(text: str) -> float:
    """Length over zlib length, each code point taken as one byte.

    Over UTF-8 bytes 82 % of correct Hindi windows look like loops: three bytes a letter, two of them alike.
    """
    if not text:
        return 1.0
    alphabet: dict[str, int] = {}
    mapped = bytes(alphabet.setdefault(letter, len(alphabet)) % 256 for letter in text)
    return len(mapped) / len(zlib.compress(mapped))


def judge(hypothesis: Hypothesis, voiced_s: float) -> Verdict:
    """The first rule that fires. `voiced_s` is the speech that voice detection found."""
    if not hypothesis.text:
        return Verdict.EMPTY
    unlikely = hypothesis.no_speech_prob > NO_SPEECH
    if unlikely and hypothesis.avg_logprob < LOW_LOGPROB:
        return Verdict.NO_SPEECH
    if (unlikely or voiced_s < HARDLY_VOICED_S) and plain(hypothesis.text) in STOCK_PHRASES:
        return Verdict.STOCK_PHRASE
    if len(hypothesis.text.split()) > SPARE_WORDS + WORDS_PER_SECOND * voiced_s:
        return Verdict.TOO_FAST
    if compression_ratio(hypothesis.text) > MAX_COMPRESSION:
        return Verdict.REPETITIVE
    if len(hypothesis.tokens) >= LOOP_TOKENS and len(set(hypothesis.tokens)) == 1:
        return Verdict.LOOP
    return Verdict.KEEP


def plain(text: str) -> str:
    """Lower case without punctuation; vowel signs (category M) stay, which a plain word pattern strips."""
    kept = (
        letter if unicodedata.category(letter)[0] in "LMN" else " "
        for letter in unicodedata.normalize("NFC", text)
    )
    return _SPACES.sub(" ", "".join(kept)).strip().lower()
