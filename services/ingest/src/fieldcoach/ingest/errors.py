"""Errors of the ingest.

FieldCoachError
└── IngestError
    ├── OfferRejected       an SDP offer that can't be used; carries the problem to show
    ├── MediaFailed         ICE or DTLS did not come up; retryable by a new offer
    └── NoMediaAddress      no address to offer to phones; a setting is wrong
"""

from fieldcoach.common.errors import FieldCoachError
from fieldcoach.common.messages import Problem


class IngestError(FieldCoachError):
    """Root of the ingest's errors."""


class OfferRejected(IngestError):
    """The offer can't be used. `problem` says which part and what to change."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.type}: {problem.detail}")
        self.problem = problem


class MediaFailed(IngestError):
    """The transport did not come up or went away. `stage` is `ice` or `dtls`."""

    retryable = True

    def __init__(self, stage: str) -> None:
        super().__init__(f"no media: {stage}")
        self.stage = stage


class NoMediaAddress(IngestError):
    """No socket could be bound for media."""
