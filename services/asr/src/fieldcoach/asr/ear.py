"""Where one session hears: its sound on its clock, and the turns that voice detection finds in it."""

from collections.abc import Iterator

import numpy as np

from .endpoint import Endpointer, EndpointRules, Turn
from .timeline import Timeline
from .voice import FRAME, VoiceDetector


class Ear:
    """Timeline, detector and endpointer of a session, kept in step. Positions are samples on its clock."""

    def __init__(self, rules: EndpointRules, pre_roll: int, detector: VoiceDetector) -> None:
        self.endpointer = Endpointer(rules)
        self._pre_roll = pre_roll
        self._detector = detector
        self._timeline: Timeline | None = None
        self._seen = 0
        """Samples before this have been through voice detection."""
        self._floor = 0
        """No pre-roll reaches back over this: it belongs to the utterance before."""

    @property
    def has_begun(self) -> bool:
        """Whether any sound has come."""
        return self._timeline is not None

    @property
    def timeline(self) -> Timeline:
        """The recent sound, once there is any."""
        assert self._timeline is not None
        return self._timeline

    def begin(self, at: int) -> None:
        """Sound comes from here on; what was before is over."""
        self._timeline = Timeline(at)
        self._seen = self._floor = at
        self.endpointer.close()
        self._detector.reset()

    def turns(self) -> Iterator[Turn]:
        """What the whole frames that are there change, one after the other."""
        frames = (self.timeline.head - self._seen) // FRAME
        if frames:
            pcm = self.timeline.read(self._seen, self._seen + frames * FRAME)
            for probability in self._detector(np.ascontiguousarray(pcm)):
                turn = self.endpointer.push(self._seen, probability)
                self._seen += FRAME
                if turn is not None:
                    yield turn

    def with_pre_roll(self, onset: int) -> int:
        """Where the decode of an utterance with this onset begins."""
        return max(self._floor, onset - self._pre_roll)

    def close(self, floor: int) -> None:
        """The open utterance is over, and all before `floor` is its own."""
        self._floor = floor
        self.endpointer.close()

    @property
    def keep_from(self) -> int:
        """The oldest sample that an utterance which has not begun may need."""
        earliest = self.endpointer.earliest_onset
        return self.with_pre_roll(self._seen if earliest is None else earliest)
