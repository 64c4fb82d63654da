"""A visit played in a loop by many sessions at once: what each of them says, and when. For benchmarks.

Who plays, who hears and who counts are three processes of three packages. They agree on a session's script
by its id alone, so nothing about it has to be sent.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from .audio import SAMPLE_RATE

STEP: Final = SAMPLE_RATE * 6 // 50
"""120 ms: sessions begin at a multiple of every packet time."""
SPOKEN: Final = 0.1, 0.85
"""Of a line's length: it begins and ends with sound that fades, which nobody calls speech."""


@dataclass(frozen=True, slots=True)
class PlayedWord:
    """One word, told by the sample of its middle on the session's clock."""

    text: str
    line: str
    sample: int


@dataclass(frozen=True, slots=True)
class LoopedScript:
    """Lines as (first sample, end sample, number of words), and the length of the recording in samples."""

    lines: tuple[tuple[int, int, int], ...]
    length: int

    @classmethod
    def from_json(cls, text: str) -> "LoopedScript":
        """From the description of a recorded visit, cut to whole steps."""
        visit: dict[str, Any] = json.loads(text)
        length = int(visit["seconds"] * SAMPLE_RATE) // STEP * STEP
        lines = (_place(line) for line in visit["lines"] if line["end"] * SAMPLE_RATE < length)
        return cls(tuple(lines), length)

    def offset(self, session: str) -> int:
        """The sample of the recording with which this session begins."""
        return zlib.crc32(session.encode()) % (self.length // STEP) * STEP

    def words(self, session: str, first: int, end: int) -> Iterator[PlayedWord]:
        """The words whose middle lies in this stretch of the session's clock, in order."""
        offset = self.offset(session)
        for number in range((first + offset) // self.length, (end + offset) // self.length + 1):
            begin = number * self.length - offset
            for n, (start, stop, count) in enumerate(self.lines):
                for word in range(count):
                    sample = begin + start + (stop - start) * (2 * word + 1) // (2 * count)
                    if first <= sample < end:
                        yield PlayedWord(f"r{number}l{n}w{word}", f"r{number}l{n}", sample)


def _place(line: dict[str, Any]) -> tuple[int, int, int]:
    start, length = line["start"], line["end"] - line["start"]
    first, end = (round((start + share * length) * SAMPLE_RATE) for share in SPOKEN)
    return first, end, len(line["text"].split())
