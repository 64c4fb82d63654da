"""One missing range that came afterwards: a recogniser of its own, and only the words that are new.

The sound reaches over the edges of the hole, since a word that is heard in halves is heard wrong; the words
over there were said by the live transcript already. A word belongs where its middle lies.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE, Flag, PcmChunk
from fieldcoach.common.messages import BackfillAudio

from .actions import Action
from .engines.base import Segment
from .jobs import Decoded, Job
from .recogniser import Rules, SessionRecogniser
from .utterance import FinalText
from .voice import VoiceDetector

PATIENCE_S: Final = 5.0
"""Decodes of a range are due so much later than live ones, and therefore come after them."""
STEP: Final = SAMPLE_RATE // 5
"""So much is listened to at once: 1 ms of voice detection, between which live sound is heard."""
UTTERANCES: Final = 1_000
"""Of one range at most; they are numbered downwards, so that none ends an open utterance."""


class BackfillRun:
    """The transcription of one range. `key` names it to the scheduler."""

    def __init__(
        self,
        audio: BackfillAudio,
        pcm: bytes,
        languages: tuple[str, ...],
        rules: Rules,
        detector: VoiceDetector,
        received_at: float,
        *,
        can_retry: bool,
    ) -> None:
        self.key = f"{audio.session}+{audio.range}"
        self._audio = audio
        self._pcm = pcm
        self._received_at = received_at
        self._recogniser = SessionRecogniser(
            self.key, languages, rules, detector, can_retry=can_retry, patience_s=PATIENCE_S
        )
        self._recogniser.partial_interval_s = inf

    def listen(self) -> Iterator[list[Action]]:
        """Pass the sound to the recogniser step by step, then its end."""
        audio, length = self._audio, len(self._pcm) // 2
        for seq, at in enumerate(range(0, length, STEP)):
            pcm = self._pcm[2 * at : 2 * min(at + STEP, length)]
            place = audio.first_sample + at
            chunk = PcmChunk(audio.session, 0, seq, place, len(pcm) // 2, Flag.BACKFILL, pcm)
            yield self._recogniser.push(chunk, self._received_at)
        yield self._recogniser.finish(self._received_at)

    def begin(self, job: Job) -> Segment | None:
        """As the recogniser's; the segment is the session's."""
        segment = self._recogniser.begin(job)
        return None if segment is None else replace(segment, session=self._audio.session)

    def end(self, job: Job, decoded: Decoded, now: float) -> list[Action]:
        """As the recogniser's."""
        return self._recogniser.end(job, decoded, now)

    def late_ms(self, now: float) -> float:
        """How long after it was spoken the range is told."""
        return self._audio.late_ms + (now - self._received_at) * 1e3

    def new_words(self, final: FinalText) -> FinalText | None:
        """What of an utterance lies in the hole; None if nothing does."""
        first, end = self._audio.hole_first_sample, self._audio.hole_end_sample
        words = tuple(word for word in final.words if first <= (word.start + word.end) / 2 < end)
        middle = (final.first_sample + final.end_sample) / 2
        if not (words if final.words else first <= middle < end):
            return None
        begin = max(first, final.first_sample)
        text = final.text
        if len(words) < len(final.words):
            text = " ".join(word.text.strip() for word in words)
        return replace(
            final,
            utterance=-(self._audio.range * UTTERANCES + final.utterance % UTTERANCES),
            first_sample=begin,
            end_sample=max(begin + 1, min(end, final.end_sample)),
            text=text,
            words=words,
            doubts=tuple(doubt for doubt in final.doubts if doubt.first < end and doubt.end > begin),
        )
