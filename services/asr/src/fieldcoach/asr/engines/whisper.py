"""Whisper through faster-whisper and CTranslate2, with a window that fits the utterance.

`WhisperModel.transcribe` pays for a 30 s window whatever was said: an utterance of 2 s costs 13 times what
it must. CTranslate2 takes fewer mel frames, so the segment goes into the next bucket that holds it and a
second of silence. The silence is added to the waveform: zeros in the mel are a sound, not silence.
"""

import logging
from pathlib import Path
from typing import Any, Final

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import DecodeFailed, EngineBroken
from .base import HeardWord, Hypothesis, Pcm, Segment

log = logging.getLogger(__name__)

FULL_WINDOW_S: Final = 30
BUCKETS_S: Final = (3, 5, 8, 15, FULL_WINDOW_S)
"""Few sizes, so that CTranslate2's buffers are reused; 3 s holds most short lines."""
TRAILING_SILENCE_S: Final = 1.0
"""Without it Whisper cuts or repeats the last word."""
RETRY_BEAM: Final = 3
MAX_TOKENS: Final = 224
"""Half of Whisper's text context: its own cap."""
TOKENS_PER_SECOND: Final = 25
"""Above the fastest language measured (Hindi, p95 20 a second): only a loop says more."""
_MIN_TOKENS: Final = 24


def window_seconds(n_samples: int, adaptive: bool) -> int:
    """The bucket for a segment: the first that holds it and the trailing silence, at most 30 s."""
    if not adaptive:
        return FULL_WINDOW_S
    needed = n_samples / SAMPLE_RATE + TRAILING_SILENCE_S
    return next((bucket for bucket in BUCKETS_S if bucket >= needed), FULL_WINDOW_S)


class WhisperEngine:
    """One model, `threads` decodes at a time, each on one core."""

    name = "whisper"
    can_retry = True

    def __init__(self, directory: Path, model: str, threads: int, adaptive: bool, word_times: bool) -> None:
        self.model = model
        self.languages: tuple[str, ...] = ()
        self._directory = directory
        self._threads = threads
        self._adaptive = adaptive
        self._word_times = word_times
        self._whisper: Any = None
        self._tokenizers: dict[str, Any] = {}
        self._suppressed: list[int] = []

    def open(self) -> None:
        """Load from the directory. Nothing is fetched here."""
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        try:
            self._whisper = WhisperModel(
                str(self._directory),
                device="cpu",
                compute_type="int8",
                cpu_threads=1,
                num_workers=self._threads,
                local_files_only=True,
            )
        except Exception as error:  # CTranslate2 raises RuntimeError, tokenizers a bare Exception
            raise EngineBroken(
                f"ASR_MODEL: {self._directory} is not a Whisper model for CTranslate2 ({error}); "
                "convert it with ct2-transformers-converter, or set ASR_MODEL=outlet-en"
            ) from error
        self.languages = tuple(self._whisper.supported_languages)
        multilingual = self._whisper.model.is_multilingual
        for language in self.languages:
            self._tokenizers[language] = Tokenizer(
                self._whisper.hf_tokenizer, multilingual, task="transcribe", language=language
            )
        self._suppressed = get_suppressed_tokens(self._tokenizers[self.languages[0]], [-1])
        silence = np.zeros(SAMPLE_RATE, np.float32)
        self.decode(Segment("", 0, silence, self.languages[0], is_final=False))

    def close(self) -> None:
        """Free the model's memory."""
        self._whisper = None

    def decode(self, segment: Segment) -> Hypothesis:
        """Greedy, without timestamps or previous text; a retry takes 30 s and a beam."""
        tokenizer = self._tokenizers[segment.language]
        try:
            return self._decode(segment, tokenizer)
        except (RuntimeError, ValueError) as error:
            raise DecodeFailed(f"whisper: {type(error).__name__}") from error

    def _decode(self, segment: Segment, tokenizer: Any) -> Hypothesis:
        seconds = window_seconds(len(segment.pcm), self._adaptive and not segment.is_retry)
        encoded = self._whisper.encode(self._features(segment.pcm, seconds))
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        wanted = min(MAX_TOKENS, _MIN_TOKENS + round(TOKENS_PER_SECOND * len(segment.pcm) / SAMPLE_RATE))
        result = self._whisper.model.generate(
            encoded,
            [prompt],
            beam_size=RETRY_BEAM if segment.is_retry else 1,
            # CTranslate2 caps new tokens at min(max_length / 2, max_length - prompt)
            max_length=max(2 * wanted, len(prompt) + wanted),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppressed,
        )[0]
        tokens = tuple(result.sequences_ids[0])
        text = " ".join(tokenizer.decode(list(tokens)).split())
        # the score is the mean over the tokens; Whisper's own figure counts the end token too
        avg_logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
        words: tuple[HeardWord, ...] = ()
        if self._word_times and segment.is_final and text:
            words = self._align(tokenizer, tokens, encoded, len(segment.pcm))
        return Hypothesis(
            text=text,
            tokens=tokens,
            words=words,
            confidence=float(np.exp(min(0.0, avg_logprob))),
            avg_logprob=float(avg_logprob),
            no_speech_prob=float(result.no_speech_prob),
        )

    def _features(self, pcm: Pcm, seconds: int) -> Pcm:
        n = seconds * SAMPLE_RATE
        window = np.zeros(n, np.float32)
        window[: min(n, len(pcm))] = pcm[:n]
        mel: Pcm = self._whisper.feature_extractor(window, padding=0).astype(np.float32, copy=False)
        return mel

    def _align(
        self, tokenizer: Any, tokens: tuple[int, ...], encoded: Any, n_samples: int
    ) -> tuple[HeardWord, ...]:
        text_tokens = [token for token in tokens if token < tokenizer.eot]
        frames = n_samples // self._whisper.feature_extractor.hop_length
        aligned = self._whisper.find_alignment(tokenizer, [text_tokens], encoded, frames)[0]
        return tuple(
            HeardWord(
                text=word["word"].strip(),
                start=min(n_samples, round(word["start"] * SAMPLE_RATE)),
                end=min(n_samples, round(word["end"] * SAMPLE_RATE)),
                confidence=min(1.0, max(0.0, float(word["probability"]))),
            )
            for word in aligned
            if word["word"].strip()
        )
