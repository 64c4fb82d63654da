"""Any server that speaks OpenAI's transcription API: the cloud's, or one of your own.

A decode is one upload of the segment as WAV. The server may be slow, wrong, away or out of patience (429):
each is one failed decode, which the recogniser tries once more and then says so. Nothing is retried here: a
partial that comes late is worth nothing, and a final has the recogniser's own second try.
"""

import io
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import DecodeFailed, EngineAway, EngineBroken
from .base import HeardWord, Hypothesis, Segment, decode_or_none

MAX_CHARS: Final = 4_000
"""What a final may hold; more than anybody says in 30 s."""
HOT_WORDS: Final = 40
CONTEXT_CHARS: Final = 200
NAMES: Final = {
    "english": "en",
    "hindi": "hi",
    "assamese": "as",
    "bengali": "bn",
    "gujarati": "gu",
    "kannada": "kn",
    "malayalam": "ml",
    "marathi": "mr",
    "nepali": "ne",
    "punjabi": "pa",
    "sinhala": "si",
    "tamil": "ta",
    "telugu": "te",
    "urdu": "ur",
}
"""OpenAI tells the language by its English name, other servers by its code."""


@dataclass(frozen=True, slots=True)
class OpenAiOptions:
    """Where the server is."""

    url: str
    key: str
    model: str
    languages: tuple[str, ...]
    timeout_s: float = 3.0
    """For the whole answer: a final that takes longer is tried once more, then given up."""


class OpenAiEngine:
    """`decode` blocks on the network: the number of threads is the number of uploads at a time."""

    name = "openai"
    can_retry = True
    takes_hot_words = True
    is_remote = True

    def __init__(self, options: OpenAiOptions) -> None:
        self.model = options.model
        self.languages = options.languages
        self._options = options
        self._client: Any = None
        self._format = "verbose_json"

    def open(self) -> None:
        """Ask for a second of silence, and find out whether the server tells of words and probabilities."""
        import openai

        self._client = openai.OpenAI(
            base_url=self._options.url,
            api_key=self._options.key or "none",
            timeout=self._options.timeout_s,
            max_retries=0,
        )
        silence = Segment("", 0, np.zeros(SAMPLE_RATE, np.float32), self.languages[0], is_final=False)
        try:
            try:
                self._ask(silence)
            except openai.BadRequestError:  # newer models of OpenAI know the plain answer only
                self._format = "json"
                self._ask(silence)
        except (openai.OpenAIError, ValueError, DecodeFailed) as error:
            self.close()
            kind = EngineAway if _is_away(error) else EngineBroken
            raise kind(
                f"ASR_OPENAI_URL={self._options.url} does not transcribe ({_reason(error)}); check the "
                f"address, ASR_OPENAI_KEY and ASR_OPENAI_MODEL={self.model}"
            ) from error

    def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def decode_many(self, segments: Sequence[Segment]) -> list[Hypothesis | None]:
        """One after the other: the API takes one file a request."""
        return [decode_or_none(self, segment) for segment in segments]

    def decode(self, segment: Segment) -> Hypothesis:
        """One request."""
        import openai

        try:
            return self._ask(segment)
        except (openai.OpenAIError, ValueError) as error:  # what is no JSON at all comes as it is
            raise DecodeFailed(f"openai: {_reason(error)}") from error

    def _ask(self, segment: Segment) -> Hypothesis:
        """The language is the server's to find where the session allows several, and only among those."""
        if segment.choice is None or self._format != "verbose_json":
            return self._ask_in(segment, segment.language)[0]
        heard, found = self._ask_in(segment, None)
        detected = NAMES.get(found, found)
        if detected not in segment.choice.allowed:
            return self._ask_in(segment, segment.language)[0]
        told = {detected: 1.0}
        language = segment.choice.decide(told).current
        return replace(heard, language=language, language_probabilities=told)

    def _ask_in(self, segment: Segment, language: str | None) -> tuple[Hypothesis, str]:
        """One request: what was heard, and in which language by the server's own word."""
        client = self._client
        if client is None:
            raise DecodeFailed("openai: closed")
        wants_words = segment.is_final and self._format == "verbose_json"
        answer = client.audio.transcriptions.create(
            file=("segment.wav", wav_of(segment), "audio/wav"),
            model=self.model,
            prompt=_prompt(segment),
            response_format=self._format,
            temperature=0.4 if segment.is_retry else 0.0,
            **({"language": language} if language else {}),
            **({"timestamp_granularities": ["word", "segment"]} if wants_words else {}),
        )
        try:
            told = answer if isinstance(answer, Mapping) else answer.model_dump()
            return _hypothesis(told, len(segment.pcm)), str(told.get("language") or "").lower()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DecodeFailed(f"openai: the answer is no transcription ({type(error).__name__})") from error


def wav_of(segment: Segment) -> bytes:
    """16 kHz mono s16."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.clip(np.rint(segment.pcm * 32_768), -32_768, 32_767).astype("<i2").tobytes())
    return out.getvalue()


def _prompt(segment: Segment) -> str:
    if segment.is_retry:
        return ""
    hot = ", ".join(segment.hot_words[:HOT_WORDS])
    return " ".join(part for part in (hot, segment.context[-CONTEXT_CHARS:]) if part)


def _hypothesis(answer: Mapping[str, Any], n_samples: int) -> Hypothesis:
    """What the server told, held against what it can know.

    Raises:
        TypeError, ValueError, KeyError: it is no transcription.
    """
    text = answer["text"]
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        raise ValueError("text")
    text = " ".join(text.split())
    segments = answer.get("segments") or ()
    logprobs = [float(one.get("avg_logprob") or 0.0) for one in segments]
    avg_logprob = min(0.0, sum(logprobs) / len(logprobs)) if logprobs else 0.0
    words = tuple(
        HeardWord(
            str(word["word"]).strip(),
            *_within(float(word["start"]), float(word["end"]), n_samples),
            confidence=float(np.exp(avg_logprob)),
        )
        for word in answer.get("words") or ()
        if str(word["word"]).strip()
    )
    return Hypothesis(
        text=text,
        tokens=tuple(token for one in segments for token in one.get("tokens") or ()),
        words=words if [word.text for word in words] == text.split() else (),
        confidence=float(np.exp(avg_logprob)),
        avg_logprob=avg_logprob,
        no_speech_prob=max((float(one.get("no_speech_prob") or 0.0) for one in segments), default=0.0),
    )


def _within(start_s: float, end_s: float, n_samples: int) -> tuple[int, int]:
    start = min(n_samples, max(0, round(start_s * SAMPLE_RATE)))
    return start, min(n_samples, max(start, round(end_s * SAMPLE_RATE)))


def _is_away(error: Exception) -> bool:
    """No answer, too many requests, or trouble of its own: none of it is about how we ask."""
    import openai

    status = getattr(error, "status_code", None)
    return isinstance(error, openai.APIConnectionError) or status == 429 or (status or 0) >= 500


def _reason(error: Exception) -> str:
    """The kind and status of an error, without the server's own words: they may repeat what was said."""
    status = getattr(error, "status_code", None)
    return type(error).__name__ + (f" {status}" if status else "")
