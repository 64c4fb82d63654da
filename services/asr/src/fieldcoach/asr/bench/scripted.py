"""An engine that knows what is played: it says the words of a script whose sound lies in the segment.

Each session plays the same visit in a loop from a place of its own (`fieldcoach.common.looped`). A word
names its line, its round and its place in the line, so a transcript tells what was said once, twice or never.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.looped import LoopedScript

from ..engines.base import Hypothesis, Segment, decode_or_none

AUDIBLE: Final = 0.002
"""Of full scale, within 250 ms of a word's middle: a long hole that was filled with silence says nothing. A
stop consonant is silent for 100 ms, and a starved ingest may place the sound another 100 ms later."""
_NEAR: Final = SAMPLE_RATE // 4


@dataclass
class ScriptedEngine:
    """Says at once what a real engine would have to find out."""

    script: LoopedScript
    name: str = "scripted"
    model: str = "visit"
    languages: tuple[str, ...] = ("en",)
    takes_hot_words: bool = False
    is_remote: bool = False
    can_retry: bool = False

    def open(self) -> None:
        """There is no model."""

    def close(self) -> None:
        """There is no model."""

    def decode(self, segment: Segment) -> Hypothesis:
        """The words whose middle is heard. Without word times, as the embedded model."""
        first, pcm = segment.first_sample, segment.pcm
        said = [
            word.text
            for word in self.script.words(segment.session, first, first + len(pcm))
            if np.abs(pcm[max(0, word.sample - first - _NEAR) : word.sample - first + _NEAR]).max() > AUDIBLE
        ]
        return Hypothesis(" ".join(said), tokens=tuple(range(len(said))), confidence=0.9, avg_logprob=-0.1)

    def decode_many(self, segments: Sequence[Segment]) -> list[Hypothesis | None]:
        """One after the other."""
        return [decode_or_none(self, segment) for segment in segments]


def load_script(visit: Path) -> LoopedScript:
    """The lines of a recorded visit."""
    return LoopedScript.from_json(visit.read_text())
