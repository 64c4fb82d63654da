"""What a recogniser wants done: decodes, and what goes out."""

from dataclasses import dataclass

from .jobs import Job, Kind
from .utterance import FinalText, PartialText


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A queued job is not needed any more."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Dropped:
    """An utterance in which nothing was said, and why we think so."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retried:
    """A filter fired or the engine failed; the utterance is decoded once more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The last final is out: nothing more will be said."""

    end_sample: int


Action = Job | Withdraw | PartialText | FinalText | Dropped | Retried | Complete
