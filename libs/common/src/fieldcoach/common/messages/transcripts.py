"""What the asr workers heard."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .base import Language, Message, SessionId


class Word(BaseModel):
    """One recognised word with its place on the session's clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    start_sample: int
    end_sample: int
    confidence: float = Field(ge=0, le=1)


class Timing(BaseModel):
    """Where the time of a final went, measured inside the worker.

    `heard_at`: arrival of the chunk that holds the last speech sample. Then `endpoint_ms` of waiting for
    silence, then `asr_ms` of decoding that the wait did not hide, then it was published at `published_at`.
    `decode_ms` is the whole cost of the decode, hidden or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    heard_at: float
    endpoint_ms: float = Field(ge=0)
    asr_ms: float = Field(ge=0)
    decode_ms: float = Field(ge=0)
    published_at: float


MAX_DOUBTS = 32
"""Stretches a final tells of; more would only say that none of it is certain."""


class DoubtfulSpan(BaseModel):
    """A stretch of a final that is not to be trusted.

    `word`: the engine is not sure; `concealed`: lost packets, nobody spoke these samples; `cut-off`: the
    sound ended in the middle of speech.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_sample: int
    end_sample: int
    reason: Literal["word", "concealed", "cut-off"]


class PartialTranscript(Message):
    """The open utterance so far. `committed` only grows; `tentative` may change. Latest `n` wins."""

    kind: Literal["partial"] = "partial"
    session: SessionId
    epoch: int
    utterance: int
    n: int
    first_sample: int
    end_sample: int
    committed: str
    tentative: str
    language: Language


class FinalTranscript(Message):
    """One utterance, once. Readers drop lower epochs and trim what lies before `committed_until`.

    With `backfill` it was heard afterwards, in sound that came late: it belongs before what is out already,
    its `utterance` is negative, and it fires nothing.
    """

    kind: Literal["final"] = "final"
    session: SessionId
    epoch: int
    utterance: int
    n: int
    first_sample: int
    end_sample: int
    text: str = Field(max_length=4_000)
    words: tuple[Word, ...] = ()
    language: Language
    speaker: Literal["rep", "other", "unknown"] = "unknown"
    confidence: float = Field(ge=0, le=1)
    low_confidence: bool = False
    doubts: tuple[DoubtfulSpan, ...] = Field(default=(), max_length=MAX_DOUBTS)
    concealed_ms: float = Field(default=0, ge=0)
    late_ms: float = Field(default=0, ge=0)
    backfill: bool = False
    engine: str
    model: str
    timing: Timing
