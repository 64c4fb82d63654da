"""What the decoders are asked to do, and by when."""

from dataclasses import dataclass
from enum import StrEnum

from .engines.base import Hypothesis


class Kind(StrEnum):
    """Why a stretch is decoded."""

    FINAL = "final"
    """The utterance has ended: somebody waits for this. Never dropped."""
    SPECULATIVE = "speculative"
    """It may have ended: decoded while the endpointer still waits for silence."""
    PARTIAL = "partial"
    """It goes on: worth having soon, or not at all."""


DEADLINE_S = {Kind.FINAL: 0.6, Kind.SPECULATIVE: 0.8, Kind.PARTIAL: 1.5}
"""After the last speech sample for the first two, after being asked for the third."""


@dataclass(frozen=True, slots=True)
class Job:
    """One decode of one session's utterance."""

    session: str
    utterance: int
    serial: int
    """Rises with every job of the session: an answer to an older question is recognised."""
    kind: Kind
    deadline: float
    is_retry: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    """A finished decode. `hypothesis` is None when the engine gave up. Times are monotonic seconds."""

    hypothesis: Hypothesis | None
    started_at: float
    ended_at: float
    together: int = 1
    """Decodes in the same batch, which share its time."""

    @property
    def cost_s(self) -> float:
        """Its share of the engine's time."""
        return (self.ended_at - self.started_at) / self.together
