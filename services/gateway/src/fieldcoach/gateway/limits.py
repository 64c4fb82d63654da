"""Limits per user, address and connection. Pure: the clock is passed in, memory is bounded."""

import math
from collections import OrderedDict
from typing import Final

MAX_KEYS: Final = 20_000
"""Keys remembered by one limit: an attacker with many addresses must not fill the memory."""


class TokenBucket:
    """`per_minute` on average, at most that many at once."""

    __slots__ = ("_at", "_level", "_per_minute")

    def __init__(self, per_minute: int, now: float) -> None:
        self._per_minute = per_minute
        self._level = float(per_minute)
        self._at = now

    def take(self, now: float) -> float:
        """Take one; 0 if there was one, else the seconds until there is."""
        rate = self._per_minute / 60
        self._level = min(float(self._per_minute), self._level + max(0.0, now - self._at) * rate)
        self._at = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / rate


class RateLimit:
    """A bucket per key; the least recently used key is forgotten when there are too many."""

    def __init__(self, per_minute: int, max_keys: int = MAX_KEYS) -> None:
        self._per_minute = per_minute
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def retry_after_s(self, key: str, now: float) -> int:
        """0 if the key may go on, else the whole seconds to wait."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._per_minute, now)
            if len(self._buckets) > self._max_keys:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return math.ceil(bucket.take(now))


class OpenSessions:
    """How many sessions each user has open, as far as this gateway knows."""

    def __init__(self, per_user: int, max_age_s: float) -> None:
        self._per_user = per_user
        self._max_age_s = max_age_s
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._counts: dict[str, int] = {}

    def may_begin(self, user: str, now: float) -> bool:
        """Whether the user has fewer than the limit."""
        while self._sessions:
            session, (_, begun) = next(iter(self._sessions.items()))
            if now - begun < self._max_age_s:
                break
            self.ended(session)
        return self._counts.get(user, 0) < self._per_user

    def begun(self, user: str, session: str, now: float) -> None:
        """Count a new session."""
        self._sessions[session] = (user, now)
        self._counts[user] = self._counts.get(user, 0) + 1

    def knows(self, session: str) -> bool:
        """Whether the session was begun here and is open."""
        return session in self._sessions

    def ended(self, session: str) -> None:
        """Forget a session; one that is unknown is none of ours."""
        user, _ = self._sessions.pop(session, ("", 0.0))
        left = self._counts.get(user, 0) - 1
        if left > 0:
            self._counts[user] = left
        else:
            self._counts.pop(user, None)

    def __len__(self) -> int:
        return len(self._sessions)
