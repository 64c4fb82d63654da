"""Whisper through faster-whisper and CTranslate2, with a window that fits the utterance.

`WhisperModel.transcribe` pays for a 30 s window whatever was said: an utterance of 2 s costs 13 times what
it must. CTranslate2 takes fewer mel frames, so the segment goes into the next bucket that holds it and a
second of silence. The silence is added to the waveform: zeros in the mel are a sound, not silence.

Several segments may be one batch, also of several sessions. CTranslate2 asks that all have the same window
and the start-of-transcript token at the same place, so those that are alike go together.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import DecodeFailed, EngineBroken
from .base import HeardWord, Hypothesis, Segment, decode_or_none
from .mel import LogMel
from .window import FINE_S, window_seconds

RETRY_BEAM: Final = 3
MAX_TOKENS: Final = 224
"""Half of Whisper's text context: its own cap."""
TOKENS_PER_SECOND: Final = 25
"""Above the fastest language measured (Hindi, p95 20 a second): only a loop says more."""
_MIN_TOKENS: Final = 24
CONTEXT_TOKENS: Final = 48
"""Of previous text, and as many again of hot words: names and units need no more."""


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """How the model is run."""

    threads: int = 1
    """Decodes at a time, one core each."""
    buckets: tuple[int, ...] = FINE_S
    """Windows in seconds, the smallest that fits is taken; none: 30 s always."""
    word_times: bool = True
    """By the model's alignment heads; those of `outlet-en` were never trained for it."""
    takes_context: bool = True
    """Whether the model knows prompts; `outlet-en` has never seen one."""
    device: str = "cpu"
    compute_type: str = "int8"


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The decoder's input up to where it must answer."""

    tokens: list[int]
    start: int
    """Where the start-of-transcript token stands: equal in all items of a batch."""


class WhisperEngine:
    """One model, `threads` decodes at a time, each on one core."""

    name = "whisper"
    can_retry = True
    is_remote = False

    def __init__(self, directory: Path, model: str, options: WhisperOptions) -> None:
        self.model = model
        self.languages: tuple[str, ...] = ()
        self.takes_hot_words = options.takes_context
        self._directory = directory
        self._options = options
        self._whisper: Any = None
        self._log_mel: LogMel | None = None
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
                device=self._options.device,
                compute_type=self._options.compute_type,
                cpu_threads=1,
                num_workers=self._options.threads,
                local_files_only=True,
            )
            self._log_mel = LogMel.of(self._whisper.feature_extractor)
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
        """Greedy, without timestamps; a retry takes 30 s, a beam, and nothing of what was said before."""
        try:
            return self._decode([segment], self._window(segment))[0]
        except (RuntimeError, ValueError) as error:
            raise DecodeFailed(f"whisper: {type(error).__name__}") from error

    def decode_many(self, segments: Sequence[Segment]) -> list[Hypothesis | None]:
        """In batches of those that are alike; where one fails, each of it alone. None has failed."""
        answers: list[Hypothesis | None] = [None] * len(segments)
        alike: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
        for place, segment in enumerate(segments):
            alike[self._window(segment), segment.is_retry].append(place)
        for (seconds, _), places in alike.items():
            try:
                found: list[Hypothesis | None] = [*self._decode([segments[n] for n in places], seconds)]
            except (RuntimeError, ValueError):
                # one bad item fails them all
                found = [decode_or_none(self, segments[n]) for n in places]
            for place, hypothesis in zip(places, found, strict=True):
                answers[place] = hypothesis
        return answers

    def _window(self, segment: Segment) -> int:
        return window_seconds(len(segment.pcm), () if segment.is_retry else self._options.buckets)

    def _decode(self, segments: Sequence[Segment], seconds: int) -> list[Hypothesis]:
        """Segments of one window: encoded together, and decoded together where their prompts allow it."""
        assert self._log_mel is not None
        features = np.stack([self._log_mel(one.pcm, seconds * SAMPLE_RATE) for one in segments])
        encoded = self._whisper.encode(features)
        detected = self._detect(segments, encoded)
        languages = [
            one.choice.decide(found).current if one.choice and found else one.language
            for one, found in zip(segments, detected, strict=True)
        ]
        prompts = [self._prompt(one, language) for one, language in zip(segments, languages, strict=True)]
        if len({prompt.start for prompt in prompts}) > 1:  # previous texts differ in length: leave them out
            prompts = [
                self._prompt(one, language, with_context=False)
                for one, language in zip(segments, languages, strict=True)
            ]
        wanted = max(
            min(MAX_TOKENS, _MIN_TOKENS + round(TOKENS_PER_SECOND * len(one.pcm) / SAMPLE_RATE))
            for one in segments
        )
        results = self._whisper.model.generate(
            encoded,
            [prompt.tokens for prompt in prompts],
            beam_size=RETRY_BEAM if segments[0].is_retry else 1,
            # CTranslate2 caps new tokens at min(max_length / 2, max_length - prompt)
            max_length=max(2 * wanted, max(len(prompt.tokens) for prompt in prompts) + wanted),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppressed,
        )
        return [
            self._hypothesis(one, result, language, found, encoded if len(segments) == 1 else None)
            for one, result, language, found in zip(segments, results, languages, detected, strict=True)
        ]

    def _detect(self, segments: Sequence[Segment], encoded: Any) -> list[dict[str, float]]:
        """Probabilities of the languages that each segment's session allows; empty where nobody asks."""
        if not self._whisper.model.is_multilingual or all(one.choice is None for one in segments):
            return [{} for _ in segments]
        return [
            {}
            if one.choice is None
            else {
                language: probability
                for language, probability in ((token[2:-2], probability) for token, probability in found)
                if language in one.choice.allowed
            }
            for one, found in zip(segments, self._whisper.model.detect_language(encoded), strict=True)
        ]

    def _prompt(self, segment: Segment, language: str, *, with_context: bool = True) -> _Prompt:
        tokenizer = self._tokenizers[language]
        before: list[int] = []
        if self._options.takes_context and with_context and not segment.is_retry:
            hot = tokenizer.encode(" " + ", ".join(segment.hot_words)) if segment.hot_words else []
            said = tokenizer.encode(" " + segment.context) if segment.context else []
            if hot or said:
                before = [tokenizer.sot_prev, *hot[:CONTEXT_TOKENS], *said[-CONTEXT_TOKENS:]]
        return _Prompt([*before, *tokenizer.sot_sequence, tokenizer.no_timestamps], len(before))

    def _hypothesis(
        self,
        segment: Segment,
        result: Any,
        language: str,
        detected: dict[str, float],
        encoded: Any | None,
    ) -> Hypothesis:
        tokenizer = self._tokenizers[language]
        tokens = tuple(result.sequences_ids[0])
        text = " ".join(tokenizer.decode(list(tokens)).split())
        # the score is the mean over the tokens; Whisper's own figure counts the end token too
        avg_logprob = result.scores[0] * len(tokens) / (len(tokens) + 1) if tokens else -inf
        words: tuple[HeardWord, ...] = ()
        if self._options.word_times and segment.is_final and text and encoded is not None:
            words = self._align(tokenizer, tokens, encoded, len(segment.pcm))
        return Hypothesis(
            text=text,
            tokens=tokens,
            words=words,
            confidence=float(np.exp(min(0.0, avg_logprob))),
            avg_logprob=float(avg_logprob),
            no_speech_prob=float(result.no_speech_prob),
            language=language,
            language_probabilities=detected,
        )

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
