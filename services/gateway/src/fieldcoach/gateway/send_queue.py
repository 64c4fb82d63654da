"""What waits to be sent to one client: bounded, and what a newer message replaces goes first. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fieldcoach.common.messages import EventMessage, FinalTranscript, PartialTranscript
from fieldcoach.common.telemetry import Headers

from .public_events import Json

MAX_EVENTS: Final = 256
"""Durable events of several minutes of talk: whoever is that far behind does better to come back."""
MAX_REPLIES: Final = 32
"""Replies are asked for one by one; more means that somebody writes and never reads."""


@dataclass(frozen=True)
class QueuedEvent:
    """A durable event on its way to the client.

    `id` is the client's position after it; `received_at` is in ms since 1970; `live` is False for what
    the client missed before it connected.
    """

    event: EventMessage
    headers: Headers
    received_at: float
    id: str
    live: bool


QueueItem = Json | QueuedEvent | PartialTranscript


class SendQueue:
    """Replies first, then durable events in order, then the newest partial."""

    def __init__(self, count_dropped: Callable[[str], None], max_events: int = MAX_EVENTS) -> None:
        self._count_dropped = count_dropped
        self._limit = max_events
        self._max_events: int | None = None
        self._replies: deque[Json] = deque()
        self._events: deque[QueuedEvent] = deque()
        self._partial: PartialTranscript | None = None
        self._closed_utterance = (0, -1)

    def __len__(self) -> int:
        return len(self._replies) + len(self._events) + (self._partial is not None)

    def fix_limit(self) -> None:
        """The backlog is in: from now on the limit counts, on top of it.

        What a returning client has missed is bounded by the event stream, and comes at once.
        """
        self._max_events = len(self._events) + self._limit

    def put_reply(self, reply: Json) -> bool:
        """Queue an answer; False when there are too many."""
        if len(self._replies) >= MAX_REPLIES:
            return False
        self._replies.append(reply)
        return True

    def put_event(self, item: QueuedEvent) -> bool:
        """Queue a durable event; False when there are too many."""
        if self._max_events is not None and len(self._events) >= self._max_events:
            return False
        self._events.append(item)
        if isinstance(item.event, FinalTranscript) and not item.event.backfill:
            self._closed_utterance = max(self._closed_utterance, (item.event.epoch, item.event.utterance))
            if self._partial is not None and self._is_closed(self._partial):
                self._drop("settled")
        return True

    def put_partial(self, partial: PartialTranscript) -> None:
        """Keep the newest partial; one whose final is out already would only confuse."""
        if self._is_closed(partial):
            self._count_dropped("settled")
            return
        if self._partial is not None:
            if _order(partial) <= _order(self._partial):
                self._count_dropped("out-of-order")
                return
            self._drop("replaced")
        self._partial = partial

    def take(self) -> QueueItem | None:
        """The next thing to send."""
        if self._replies:
            return self._replies.popleft()
        if self._events:
            return self._events.popleft()
        partial, self._partial = self._partial, None
        return partial

    def clear(self) -> None:
        """Forget everything: nobody will read it."""
        self._replies.clear()
        self._events.clear()
        self._partial = None

    def _is_closed(self, partial: PartialTranscript) -> bool:
        return (partial.epoch, partial.utterance) <= self._closed_utterance

    def _drop(self, reason: str) -> None:
        self._partial = None
        self._count_dropped(reason)


def _order(partial: PartialTranscript) -> tuple[int, int, int]:
    return partial.epoch, partial.utterance, partial.n
