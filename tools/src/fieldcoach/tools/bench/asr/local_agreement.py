"""LocalAgreement-2 over 30 s windows, as whisper_streaming does it: the peer that we are measured against.

Our own implementation of the algorithm of Macháček, Dabre and Bojar, "Turning Whisper into Real-Time
Transcription System" (2023), and of its defaults: the buffer is decoded whole every second; words that two
successive decodes have in common are committed; beyond 15 s the buffer is cut at the end of the last decoded
segment whose words are all committed. Words carry the times that the model's alignment gives them.
Pure: sound and a decoder in, words out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final = 16_000
STEP_S: Final = 1.0
"""Its `--min-chunk-size`."""
TRIM_S: Final = 15.0
"""Its `--buffer_trimming_sec` for segments."""
_SLACK_S: Final = 0.1
"""A word that begins so little before the last committed one's end may still be new."""
_NEAR_S: Final = 1.0
_LONGEST_REPEAT: Final = 5

Pcm = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TimedWord:
    """Seconds from the beginning of what it was decoded in, or of the session."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decode of a buffer: its words, and where its segments end."""

    words: list[TimedWord]
    segment_ends: list[float]


Decode = Callable[[Pcm], Decoded]


@dataclass(slots=True)
class LocalAgreement2:
    """One session."""

    decode: Decode
    committed: list[TimedWord] = field(default_factory=list)
    _buffer: Pcm = field(default_factory=lambda: np.zeros(0, np.float32))
    _buffer_at: float = 0.0
    """Where the buffer begins, in seconds of the session."""
    _tail: list[TimedWord] = field(default_factory=list)
    """What the decode before said beyond the committed words."""
    _in_buffer: list[TimedWord] = field(default_factory=list)
    """Committed words whose sound is still in the buffer."""

    def hear(self, pcm: Pcm) -> None:
        """The next stretch: decode all that is in the buffer, commit what is agreed on."""
        self._buffer = np.concatenate([self._buffer, pcm])
        decoded = self.decode(self._buffer)
        new = self._beyond_committed(decoded.words)
        agreed = 0
        while agreed < min(len(new), len(self._tail)) and new[agreed].text == self._tail[agreed].text:
            agreed += 1
        self.committed += new[:agreed]
        self._in_buffer += new[:agreed]
        self._tail = new[agreed:]
        if len(self._buffer) > TRIM_S * SAMPLE_RATE:
            self._trim(decoded.segment_ends)

    def finish(self) -> str:
        """Nothing more comes: the last tail counts too."""
        return " ".join(word.text for word in [*self.committed, *self._tail])

    def _beyond_committed(self, words: list[TimedWord]) -> list[TimedWord]:
        known_to = self.committed[-1].end if self.committed else 0.0
        placed = [
            TimedWord(word.start + self._buffer_at, word.end + self._buffer_at, word.text) for word in words
        ]
        new = [word for word in placed if word.start > known_to - _SLACK_S]
        if new and abs(new[0].start - known_to) < _NEAR_S:
            # times are rough: words that were committed may seem to begin after themselves
            for n in range(1, min(len(self._in_buffer), len(new), _LONGEST_REPEAT) + 1):
                if [word.text for word in self._in_buffer[-n:]] == [word.text for word in new[:n]]:
                    return new[n:]
        return new

    def _trim(self, segment_ends: list[float]) -> None:
        if not self.committed or len(segment_ends) < 2:
            return
        known_to = self.committed[-1].end
        # never the last segment: it may go on
        cuts = [end for end in segment_ends[:-1] if end + self._buffer_at <= known_to]
        if cuts:
            at = cuts[-1]
            self._buffer = self._buffer[round(at * SAMPLE_RATE) :]
            self._buffer_at += at
            self._in_buffer = [word for word in self._in_buffer if word.end > self._buffer_at]
