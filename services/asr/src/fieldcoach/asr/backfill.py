"""One missing range that came afterwards: a recogniser of its own, and only the words that are new.

The sound reaches over the edges of the hole, since a word that is heard in halves is heard wrong; the words
over there, and what the live decoder made of the hole, are said already (`unsaid`). That can only be told
when the live transcript is past the hole.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE, Flag, PcmChunk
from fieldcoach.common.messages import BackfillAudio

from .actions import Action
from .doubts import doubts_within
from .engines.base import HeardWord, Segment
from .jobs import Decoded, Job
from .recogniser import Rules, SessionRecogniser
from .said import SaidWords, placed
from .unsaid import BAND, unsaid
from .utterance import FinalText
from .voice import VoiceDetector

PATIENCE_S: Final = 5.0
"""Decodes of a range are due so much later than live ones, and therefore come after them."""
STEP: Final = SAMPLE_RATE // 5
"""So much is listened to at once: 1 ms of voice detection, between which live sound is heard."""
UTTERANCES: Final = 1_000
"""Of one range at most; they are numbered downwards, so that none ends an open utterance."""
SETTLED: Final = 3 * SAMPLE_RATE // 4
"""A live word at the hole's end may be placed so much behind it."""


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
        self._finals: list[FinalText] = []

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

    def add(self, final: FinalText) -> None:
        """The recogniser has an utterance."""
        self._finals.append(final)

    def can_tell(self, told_until: float, head: int) -> bool:
        """Whether the live transcript, of which all is out up to the first, is past the hole.

        `head` is how far its sound has come: of what may not come for long nothing is waited for.
        """
        end = self._audio.hole_end_sample
        return told_until >= end and told_until >= min(end + SETTLED, head)

    def news(self, said: SaidWords) -> list[FinalText]:
        """What of the utterances was not said yet, as finals that go in between what was."""
        audio = self._audio
        spoken = [placed(one.text, one.words, one.first_sample, one.end_sample) for one in self._finals]
        heard = [word for words in spoken for word in words]
        end = audio.first_sample + len(self._pcm) // 2
        around = said.around(audio.first_sample - BAND, end + BAND)
        news: list[FinalText] = []
        for place in unsaid(heard, around, audio.hole_first_sample, audio.hole_end_sample):
            at = 0
            for final, words in zip(self._finals, spoken, strict=True):
                mine = [new for new in place if at <= new.number < at + len(words)]
                at += len(words)
                if mine:
                    news.append(self._final(final, tuple(new.word for new in mine), len(words), len(news)))
        return news

    def _final(self, final: FinalText, words: tuple[HeardWord, ...], of: int, number: int) -> FinalText:
        first = max(0, words[0].start)
        end = max(first + 1, words[-1].end)
        return replace(
            final,
            utterance=-(self._audio.range * UTTERANCES + number % UTTERANCES + 1),
            first_sample=first,
            end_sample=end,
            text=final.text if len(words) == of else " ".join(word.text.strip() for word in words),
            words=words if final.words else (),
            doubts=doubts_within(final.doubts, words, first, end),
        )
