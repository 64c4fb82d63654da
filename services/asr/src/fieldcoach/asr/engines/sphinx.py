"""PocketSphinx with the US English model of its wheel: weak, but it runs with nothing fetched."""

import queue
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import DecodeFailed, EngineBroken
from .base import HeardWord, Hypothesis, Segment, decode_or_none

_FRAME: Final = SAMPLE_RATE // 100
"""Its segments are counted in frames of 10 ms."""


class SphinxEngine:
    """A decoder per thread, each with its own copy of the model: they can't be shared."""

    name = "sphinx"
    model = "en-us"
    languages: tuple[str, ...] = ("en",)
    takes_hot_words = False
    is_remote = False
    can_retry = False
    """It has no temperature and no window: a second decode says the same."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._decoders: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def open(self) -> None:
        """Load the model once per thread (about 0.5 s and 70 MB each)."""
        from pocketsphinx import Decoder

        try:
            for _ in range(self._threads):
                self._decoders.put(Decoder(samprate=float(SAMPLE_RATE), loglevel="FATAL"))
        except (RuntimeError, ValueError) as error:
            raise EngineBroken(f"pocketsphinx can't load its English model: {error}") from error

    def close(self) -> None:
        """Let the decoders go."""
        self._decoders = queue.SimpleQueue()

    def decode_many(self, segments: Sequence[Segment]) -> list[Hypothesis | None]:
        """One after the other: it knows no batches."""
        return [decode_or_none(self, segment) for segment in segments]

    def decode(self, segment: Segment) -> Hypothesis:
        """The whole segment as one utterance."""
        decoder = self._decoders.get()
        try:
            return self._decode(decoder, segment)
        except RuntimeError as error:
            raise DecodeFailed(f"sphinx: {error}") from error
        finally:
            self._decoders.put(decoder)

    def _decode(self, decoder: Any, segment: Segment) -> Hypothesis:
        pcm = np.clip(segment.pcm * 32_768, -32_768, 32_767).astype("<i2")
        decoder.start_utt()
        decoder.process_raw(pcm.tobytes(), full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return Hypothesis("")
        logmath = decoder.get_logmath()
        words = tuple(
            HeardWord(
                text=_plain(segment_.word),
                start=segment_.start_frame * _FRAME,
                end=min(len(pcm), (segment_.end_frame + 1) * _FRAME),
                confidence=min(1.0, max(0.0, logmath.exp(segment_.prob))),
            )
            for segment_ in decoder.seg()
            if _is_word(segment_.word)
        )
        confidence = float(np.mean([word.confidence for word in words])) if words else 0.0
        return Hypothesis(" ".join(word.text for word in words), words=words, confidence=confidence)


def _is_word(entry: str) -> bool:
    return not entry.startswith(("<", "[", "+"))


def _plain(entry: str) -> str:
    """`read(2)` is the second pronunciation of `read`."""
    return entry.partition("(")[0]
