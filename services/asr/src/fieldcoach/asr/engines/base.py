"""What every engine offers, and what passes in and out of it.

An engine decodes one whole segment at a time and keeps no session: partials are decodes of the open
utterance so far, finals are decodes of the ended one. A remote engine (an HTTP API) or a scripted one
fits the same interface, because a segment says whose it is and where on the session's clock it lies.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import DecodeFailed
from ..language import LanguageChoice

log = logging.getLogger(__name__)

Pcm = npt.NDArray[np.float32]
"""Mono samples in -1..1 at 16 kHz."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of speech to decode."""

    session: str
    first_sample: int
    """Of `pcm[0]`, on the session's clock."""
    pcm: Pcm
    language: str
    is_final: bool
    """A partial may be cheaper (no word times)."""
    is_retry: bool = False
    """A filter has fired on the first decode: take the whole window and search wider."""
    choice: LanguageChoice | None = None
    """Detect the language and decide by this; None: it is `language`."""
    context: str = ""
    """What was said just before, for an engine that can make use of it."""
    hot_words: tuple[str, ...] = ()
    """Names and terms that are likely here."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One word inside a segment."""

    text: str
    start: int
    """Samples from the segment's first."""
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What an engine heard in a segment. Fields that an engine can't know keep their neutral value."""

    text: str
    tokens: tuple[int, ...] = ()
    words: tuple[HeardWord, ...] = ()
    confidence: float = 1.0
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    language: str = ""
    """In which it was decoded; empty: as asked."""
    language_probabilities: Mapping[str, float] = field(default_factory=dict)
    """Of the allowed languages, where `Segment.choice` asked for them."""


class Engine(Protocol):
    """A speech recogniser. `decode` is called from several threads at once."""

    name: str
    model: str
    languages: tuple[str, ...]
    """What the model can hear."""
    takes_hot_words: bool
    """Whether it can be told what words to expect."""
    is_remote: bool
    """Whether it computes elsewhere: then its time is what it costs, and not ours."""
    can_retry: bool
    """Whether a second decode of the same segment can give another answer."""

    def open(self) -> None:
        """Load the model and decode once, so that the first speaker does not pay for it.

        Raises:
            EngineBroken: the files are not a model that this engine can load.
        """

    def decode(self, segment: Segment) -> Hypothesis:
        """Decode one segment; blocks.

        Raises:
            DecodeFailed: the engine gave up on it.
        """

    def decode_many(self, segments: Sequence[Segment]) -> list[Hypothesis | None]:
        """Decode several at once, also of several sessions; None is one that failed. Blocks."""

    def close(self) -> None:
        """Let the model go."""


def decode_or_none(engine: Engine, segment: Segment) -> Hypothesis | None:
    """One decode of a batch: a failure is told and costs the others nothing."""
    try:
        return engine.decode(segment)
    except DecodeFailed as error:
        log.warning("decode failed", extra={"error": str(error), "session": segment.session})
        return None
