"""Server-made identifiers: 26 characters of `[a-z0-9]`, safe in a NATS subject, a URL and a log line."""

import re
import secrets
import string

from .errors import InvalidToken

_ALPHABET = string.ascii_lowercase + string.digits
_ID = re.compile(r"[a-z0-9]{26}")
_REGION = re.compile(r"[a-z0-9]{1,16}")


def new_id() -> str:
    """A random id with 134 bits: it can't be guessed, and carries no meaning."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(26))


def require_id(value: str, field: str = "id") -> str:
    """Return `value` if it is one of our ids, else raise `InvalidToken`."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidToken(field, value)
    return value


def require_region(value: str) -> str:
    """Return `value` if it may be the region token of a subject, else raise `InvalidToken`."""
    if not isinstance(value, str) or not _REGION.fullmatch(value):
        raise InvalidToken("region", value)
    return value
