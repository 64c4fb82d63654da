"""The gateway's error tree.

GatewayError
├── Refused            a request gets a problem instead of an answer
├── TokenRefused       a token is missing, invalid or expired; carries which
├── BadMessage         a client's WebSocket message that can't be used; carries the problem
├── IngestGone         nobody answers for the ingest of a session; another one may take it
└── AddressUnavailable HOST and PORT can't be listened on
"""

from collections.abc import Mapping
from typing import Literal

from fieldcoach.common.errors import FieldCoachError
from fieldcoach.common.messages import Problem


class GatewayError(FieldCoachError):
    """Root of the gateway's errors."""


class Refused(GatewayError):
    """The answer to a request is a problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{problem.type}: {problem.detail}")
        self.problem = problem
        self.headers = dict(headers or {})
        self.retryable = problem.retry_after_s is not None


class TokenRefused(GatewayError):
    """A token that opens nothing. `why` is a metrics label, never shown to the client."""

    def __init__(self, kind: Literal["token-missing", "token-invalid", "token-expired"], why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.kind = kind
        self.why = why


class BadMessage(GatewayError):
    """A WebSocket message that had no effect."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.type}: {problem.field}")
        self.problem = problem


class IngestGone(GatewayError):
    """The session's ingest is not on the bus any more."""


class AddressUnavailable(GatewayError):
    """The listening socket can't be had. The message names the variable and the fix."""
