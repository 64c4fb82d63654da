"""Credentials for the TURN server: TURN REST (draft-uberti-behave-turn-rest-00), coturn's `use-auth-secret`.

The user name is `<expiry, seconds since 1970>:<session>`, the password the HMAC-SHA1 of it in base64. The
TURN server knows only the secret, and what a phone gets is of no use after five minutes. Pure.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from .models import IceServer

MAX_TTL_S: Final = 300
"""An allocation that stands is kept; only a new one needs fresh credentials."""


class TurnServers:
    """`urls` empty: there is no TURN server."""

    def __init__(self, urls: Sequence[str], secret: str, ttl_s: int = MAX_TTL_S) -> None:
        self._urls = list(urls)
        self._secret = secret.encode()
        self._ttl_s = ttl_s

    def for_session(self, session: str, now: float) -> list[IceServer]:
        """The ICE servers of a session; `now` in seconds since 1970."""
        if not self._urls:
            return []
        username = f"{int(now) + self._ttl_s}:{session}"
        digest = hmac.new(self._secret, username.encode(), hashlib.sha1).digest()
        return [IceServer(urls=self._urls, username=username, credential=base64.b64encode(digest).decode())]
