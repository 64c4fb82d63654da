"""One client's events connection without its I/O: what to send next, when to renew, when to close. Pure.

WebSocket and SSE are thin shells around it. Times are wall-clock milliseconds since 1970.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from fieldcoach.common.messages import EventMessage, FinalTranscript, PartialTranscript, SessionState, Summary
from fieldcoach.common.position import Position
from fieldcoach.common.telemetry import Headers

from .public_events import Json, is_public, public_event, public_partial
from .send_queue import QueuedEvent, SendQueue

SUMMARY_WAIT_MS: Final = 30_000
"""After the end the transcript is completed and an LLM may sum up; who wants it later asks for it."""
ENDED_WAIT_MS: Final = 2_000
"""A summary is normally the last event; the state that goes with it is at most a heartbeat away."""


class CloseCode(IntEnum):
    """Why the server closes (RFC 6455, 7.4, and our own from 4400)."""

    ENDED = 1000
    TOO_MANY_BAD = 1008
    GOING_AWAY = 1012
    TOO_SLOW = 1013
    TOKEN = 4401
    FORBIDDEN = 4403
    REPLACED = 4409


@dataclass(frozen=True)
class Outgoing:
    """One JSON event to send. `cause` is the durable event that it shows."""

    body: Json
    id: str | None = None
    cause: QueuedEvent | None = None


@dataclass(frozen=True)
class Closing:
    """Send nothing more; close with this code."""

    code: CloseCode


@dataclass(frozen=True)
class Renewal:
    """The next session token, and when it expires."""

    token: str
    expires_at: float
    ice_servers: tuple[Json, ...] = ()


class EventChannel:
    """Takes bus messages and replies, gives what to send.

    Args:
        session: The session's id.
        after: The client's last position; events up to it were delivered before.
        expires_at: When the token of this connection expires.
        token_life_ms: Life of a session token: it is renewed when a third is left.
        renew: Makes the next token, None when the session is too old for one.
        count_dropped: Counts what is not sent, by reason.
    """

    def __init__(
        self,
        session: str,
        after: Position,
        expires_at: float,
        token_life_ms: float,
        renew: Callable[[], Renewal | None],
        count_dropped: Callable[[str], None],
    ) -> None:
        self._session = session
        self._position = after.copy()
        self._expires_at = expires_at
        self._renew_before_ms = token_life_ms / 3
        self._renews = True
        self._is_renewal_due = False
        self._renew = renew
        self._count_dropped = count_dropped
        self._queue = SendQueue(count_dropped)
        self._live = False
        self._epoch = 0
        self._ended_at: float | None = None
        self._summary_at: float | None = None
        self._closing: CloseCode | None = None

    @property
    def closing(self) -> CloseCode | None:
        """The code with which to close at once, if that is decided."""
        return self._closing

    def __len__(self) -> int:
        return len(self._queue)

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────

    def put_event(self, event: EventMessage, headers: Headers, now: float) -> None:
        """A durable event, old or new; what the client has seen only tells us how far the visit is."""
        if self._closing is not None:
            return
        if isinstance(event, SessionState):
            self._ended_at = now if event.state == "ended" else None
        elif isinstance(event, Summary):
            self._summary_at = now
        elif isinstance(event, FinalTranscript) and not event.backfill:
            if event.epoch < self._epoch:
                # a worker that was taken over and wakes up must not speak twice
                self._count_dropped("stale-epoch")
                self._position.advance(event)
                return
            self._epoch = event.epoch
        if not self._position.advance(event) or not is_public(event):
            return
        if not self._queue.put_event(QueuedEvent(event, headers, now, str(self._position), self._live)):
            self.close(CloseCode.TOO_SLOW)

    def put_partial(self, partial: PartialTranscript) -> None:
        """The newest state of the open utterance."""
        if self._closing is None and partial.epoch >= self._epoch:
            self._queue.put_partial(partial)

    def put_reply(self, reply: Json) -> None:
        """An answer to the client's own message."""
        if self._closing is None and not self._queue.put_reply(reply):
            self.close(CloseCode.TOO_SLOW)

    def backlog_is_in(self) -> None:
        """Everything from before the connection has been put; from now on events are live."""
        self._live = True
        self._queue.fix_limit()

    def renew_soon(self) -> None:
        """The token says what is not so any more."""
        self._renews = self._is_renewal_due = True

    def close(self, code: CloseCode) -> None:
        """Close at once; the first reason stays."""
        if self._closing is None:
            self._closing = code
            self._queue.clear()

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, now: float) -> Outgoing | Closing | None:
        """The next thing to do; None when there is nothing before `next_due`."""
        if self._closing is None and now >= self._expires_at:
            self.close(CloseCode.TOKEN)
        if self._closing is not None:
            return Closing(self._closing)
        if self._renews and now >= self._token_due():
            self._is_renewal_due = False
            renewal = self._renew()
            if renewal is None:
                self._renews = False
            else:
                self._expires_at = renewal.expires_at
                return Outgoing(self._token_event(renewal, now))
        item = self._queue.take()
        if isinstance(item, QueuedEvent):
            return Outgoing(public_event(item.event, now) | {"id": item.id}, item.id, item)
        if isinstance(item, PartialTranscript):
            return Outgoing(public_partial(item))
        if item is not None:
            return Outgoing(item)
        if self._live and now >= self._end_due():
            self.close(CloseCode.ENDED)
            return Closing(CloseCode.ENDED)
        return None

    def next_due(self) -> float:
        """When `take` has something to do even if nothing is put."""
        return min(self._token_due(), self._end_due())

    def _token_due(self) -> float:
        if self._is_renewal_due:
            return 0.0
        return self._expires_at - (self._renew_before_ms if self._renews else 0)

    def _end_due(self) -> float:
        if self._summary_at is not None and self._ended_at is not None:
            return 0.0
        if self._summary_at is not None:
            return self._summary_at + ENDED_WAIT_MS
        if self._ended_at is not None:
            return self._ended_at + SUMMARY_WAIT_MS
        return float("inf")

    def _token_event(self, renewal: Renewal, now: float) -> Json:
        return {
            "type": "token",
            "session": self._session,
            "session_token": renewal.token,
            "expires_in": round((renewal.expires_at - now) / 1e3),
        } | ({"ice_servers": list(renewal.ice_servers)} if renewal.ice_servers else {})
