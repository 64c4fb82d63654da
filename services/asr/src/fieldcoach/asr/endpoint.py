"""Where an utterance begins, pauses and ends, from one speech probability per 32 ms frame.

Pure: no audio, no clock but the samples counted. Positions are samples on the session's clock.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .voice import FRAME

SPEECH: Final = 0.5
NOT_SPEECH: Final = 0.35
"""Silero's own pair: between the two, what was goes on."""
ONSET_FRAMES: Final = 3
ONSET_WINDOW: Final = 4
"""Speech begins when 3 of 4 frames exceed `SPEECH`: one click never does."""


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """Lengths in samples at 16 kHz."""

    speculate: int
    """Silence after which a final is decoded on suspicion."""
    commit: int
    """Silence that ends the utterance."""
    longest: int
    """Speech that is cut without a silence."""


class Turn(StrEnum):
    """What a frame changed."""

    START = "start"
    PAUSE = "pause"
    """Silent for `speculate`: this may be the end."""
    RESUME = "resume"
    """Speech after a pause: it was not."""
    END = "end"
    TOO_LONG = "too-long"


class Endpointer:
    """The state of one session: in speech or not, and since when."""

    def __init__(self, rules: EndpointRules) -> None:
        self._rules = rules
        self._recent: deque[tuple[int, bool]] = deque(maxlen=ONSET_WINDOW)
        self._paused = False
        self._fading = False
        self.in_speech = False
        self.onset = 0
        """First sample of the open utterance's first voiced frame."""
        self.voiced_end = 0
        """The sample after its last voiced frame."""
        self.voiced = 0
        """Samples of it in voiced frames."""

    @property
    def earliest_onset(self) -> int | None:
        """Where an utterance that has not started yet may turn out to have begun; None if nowhere."""
        return next((first for first, is_speech in self._recent if is_speech), None)

    def push(self, first: int, probability: float) -> Turn | None:
        """Take the frame that begins at sample `first`."""
        if self.in_speech:
            return self._in_speech(first, probability)
        self._recent.append((first, probability > SPEECH))
        if sum(is_speech for _, is_speech in self._recent) < ONSET_FRAMES:
            return None
        onset = self.earliest_onset
        assert onset is not None
        self._open(onset, first + FRAME, FRAME * sum(is_speech for _, is_speech in self._recent))
        return Turn.START

    def _open(self, onset: int, voiced_end: int, voiced: int) -> None:
        self.in_speech = True
        self._paused = self._fading = False
        self.onset, self.voiced_end, self.voiced = onset, voiced_end, voiced
        self._recent.clear()

    def _in_speech(self, first: int, probability: float) -> Turn | None:
        end = first + FRAME
        if probability >= SPEECH or (probability >= NOT_SPEECH and not self._fading):
            resumed, self._paused, self._fading = self._paused, False, False
            self.voiced_end = end
            self.voiced += FRAME
            if end - self.onset >= self._rules.longest:
                return Turn.TOO_LONG
            return Turn.RESUME if resumed else None
        self._fading = True
        silence = end - self.voiced_end
        if silence >= self._rules.commit:
            self.close()
            return Turn.END
        if silence >= self._rules.speculate and not self._paused:
            self._paused = True
            return Turn.PAUSE
        return None

    def cut(self, at: int) -> None:
        """The open utterance goes on as a new one that begins at sample `at`."""
        self._open(at, max(at, self.voiced_end), max(0, self.voiced_end - at))

    def close(self) -> None:
        """No utterance is open any more. `onset`, `voiced_end` and `voiced` still tell of the last one."""
        self.in_speech = self._paused = self._fading = False
        self._recent.clear()
