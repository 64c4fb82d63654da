"""The shared part of every service's error tree.

FieldCoachError
├── SettingsInvalid        a setting is missing or wrong; says which and what to set
├── InvalidToken           an id or region that may not stand in a subject
├── MessageRejected        bytes from the bus that are not what the subject promises
└── BusUnavailable         no answer or no connection; retryable
    └── BackPressure       the connection is up but full; retryable
"""


class FieldCoachError(Exception):
    """Root of all our errors. Each service derives its own root from it."""

    retryable = False


class SettingsInvalid(FieldCoachError):
    """A setting is missing or wrong. The message names the variable and the fix."""


class InvalidToken(FieldCoachError):
    """A value that may not stand in a NATS subject."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(f"{field}: {str(value)[:40]!r} is not a valid subject token")
        self.field = field


class MessageRejected(FieldCoachError):
    """A bus message of another version, type or length. `reason` is a metrics label."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


class BusUnavailable(FieldCoachError):
    """The bus can't be reached, or nobody answered a request."""

    retryable = True


class BackPressure(BusUnavailable):
    """The connection's send buffer is full; the caller keeps the message and tries later."""
