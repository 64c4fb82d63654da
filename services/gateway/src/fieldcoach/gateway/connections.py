"""An events connection on the bus: what it hears, what it does with the client's words, who is connected."""

import asyncio
import contextlib
import time
from typing import Final

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import MessageRejected
from fieldcoach.common.follow import SessionFollower
from fieldcoach.common.messages import EventMessage, PartialTranscript, Problem, SessionMoved
from fieldcoach.common.numbering import unix_ms
from fieldcoach.common.position import Position
from fieldcoach.common.telemetry import Headers

from .channel import CloseCode, Closing, EventChannel, Outgoing, Renewal
from .client_messages import (
    MAX_BAD,
    Acknowledge,
    Applied,
    ClientMessage,
    End,
    Pause,
    Ping,
    Resume,
    Stats,
    Tick,
    parse_client_message,
)
from .errors import BadMessage, Refused
from .limits import TokenBucket
from .problems import body, label, problem
from .sessions import Sessions
from .telemetry import DeliveryTrace, GatewayTelemetry, plausible
from .tokens import SessionClaims, SessionTokens
from .turn import TurnServers

_LONG_S: Final = 3_600.0
OLDEST_ACK_MS: Final = 15 * 60_000
"""As far back as a returning client finds events: what it says to have done before is a wrong clock."""


class ActiveConnections:
    """The one events connection of each session."""

    def __init__(self) -> None:
        self._by_session: dict[str, EventsConnection] = {}

    def __len__(self) -> int:
        return len(self._by_session)

    def add(self, session: str, connection: "EventsConnection") -> None:
        """Make it the session's connection; the one before is closed."""
        older = self._by_session.get(session)
        self._by_session[session] = connection
        if older is not None:
            older.close(CloseCode.REPLACED)

    def discard(self, session: str, connection: "EventsConnection") -> None:
        """Forget it, unless another has taken its place."""
        if self._by_session.get(session) is connection:
            del self._by_session[session]

    def close_all(self, code: CloseCode) -> None:
        """Close every connection."""
        for connection in list(self._by_session.values()):
            connection.close(code)


class EventsConnection:
    """Joins one client's channel with the bus. A shell (WebSocket or SSE) moves its JSON."""

    def __init__(
        self,
        claims: SessionClaims,
        after: Position,
        *,
        bus: Bus,
        sessions: Sessions,
        tokens: SessionTokens,
        active: ActiveConnections,
        telemetry: GatewayTelemetry,
        token_ttl_s: int,
        messages_per_minute: int,
        turn: TurnServers,
    ) -> None:
        self._turn = turn
        self._claims = claims
        self._bus = bus
        self._sessions = sessions
        self._tokens = tokens
        self._active = active
        self._telemetry = telemetry
        self._trace = DeliveryTrace(telemetry)
        self._channel = EventChannel(
            claims.sid,
            after,
            expires_at=claims.exp * 1e3,
            token_life_ms=token_ttl_s * 1e3,
            renew=self._renew,
            count_dropped=telemetry.dropped.add,
        )
        self._follower = SessionFollower(bus, claims.sid, self._receive_event)
        self._partials: Subscription | None = None
        self._changed = asyncio.Event()
        self.closing = asyncio.Event()
        """Set when the connection must close at once, also while a send is stuck."""
        self._messages = TokenBucket(messages_per_minute, time.monotonic())
        self._bad = 0
        self._media_seen: dict[str, int] = {}

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Take the session's place, subscribe, and catch up with what was missed.

        Raises:
            BusUnavailable: no connection to the bus.
        """
        self._active.add(self._claims.sid, self)
        self._partials = await self._bus.subscribe(
            self._bus.subjects.partial(self._claims.sid), self._receive_partial
        )
        await self._follower.start()
        self._channel.backlog_is_in()
        self._changed.set()

    async def stop(self) -> None:
        """Leave the bus."""
        self._active.discard(self._claims.sid, self)
        await self._follower.stop()
        if self._partials is not None:
            with contextlib.suppress(NatsError):  # the connection itself is gone
                await self._partials.unsubscribe()

    def close(self, code: CloseCode) -> None:
        """Close as soon as the shell can."""
        self._channel.close(code)
        self._notice()

    # ── from the bus ─────────────────────────────────────────────────────────────────────────────────────

    def _receive_event(self, event: EventMessage, headers: Headers) -> None:
        if isinstance(event, SessionMoved):
            self._sessions.heard_moved(event)
            if event.ingest != self._claims.ingest:
                self._channel.renew_soon()
        self._channel.put_event(event, headers, unix_ms())
        self._notice()

    def _receive_partial(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        partial = PartialTranscript.decode(payload)
        if partial.session != self._claims.sid:
            raise MessageRejected("partial", "session")
        self._channel.put_partial(partial)
        self._notice()

    @property
    def code(self) -> CloseCode | None:
        """The code to close with, once that is decided."""
        return self._channel.closing

    def _notice(self) -> None:
        self._changed.set()
        if self._channel.closing is not None:
            self.closing.set()

    def _renew(self) -> Renewal | None:
        here = self._claims.model_copy(update={"ingest": self._sessions.ingest_of(self._claims)})
        renewed = self._tokens.renew(here)
        if renewed is None:
            return None
        token, self._claims = renewed
        servers = self._turn.for_session(self._claims.sid, time.time())
        return Renewal(token, self._claims.exp * 1e3, tuple(server.model_dump() for server in servers))

    # ── to the client ────────────────────────────────────────────────────────────────────────────────────

    async def next(self, wait_s: float = _LONG_S) -> Outgoing | Closing | None:
        """The next event to send, or the word to close; None if there is neither within `wait_s`."""
        give_up = time.monotonic() + wait_s
        while True:
            self._changed.clear()
            item = self._channel.take(unix_ms())
            if item is not None:
                return item
            due_s = min((self._channel.next_due() - unix_ms()) / 1e3, give_up - time.monotonic())
            try:
                async with asyncio.timeout(max(0.0, due_s)):
                    await self._changed.wait()
            except TimeoutError:
                if time.monotonic() >= give_up:
                    return None

    def sent(self, item: Outgoing) -> None:
        """The event has left for the socket."""
        self._telemetry.events.add(item.body["type"])
        if item.cause is not None:
            self._trace.delivered(item.cause, unix_ms())

    def count_close(self, code: CloseCode) -> None:
        """Count a close of ours."""
        self._telemetry.closes.add(str(int(code)))

    # ── from the client ──────────────────────────────────────────────────────────────────────────────────

    async def receive(self, text: str | None) -> None:
        """Act on one message of the client; what can't be used is answered and counted."""
        received_at = unix_ms()
        wait_s = self._messages.take(time.monotonic())
        try:
            if wait_s:
                raise BadMessage(
                    problem("too-many", "too many messages a minute", retry_after_s=int(wait_s) + 1)
                )
            await self._act(parse_client_message(text), received_at)
        except BadMessage as bad:
            self._bad += 1
            self._reply_problem(bad.problem)
            if self._bad > MAX_BAD:
                self._channel.close(CloseCode.TOO_MANY_BAD)
        except Refused as refused:
            self._reply_problem(refused.problem)
        self._notice()

    async def _act(self, message: ClientMessage, received_at: float) -> None:
        match message:
            case Ping():
                self._channel.put_reply(
                    {"type": "pong", "session": self._claims.sid, "t": message.t, "server_at": received_at}
                )
            case Acknowledge():
                await self._acknowledge(message, received_at)
            case Tick():
                await self._sessions.tick(self._claims, message)
            case Applied():
                await self._sessions.applied(self._claims, message)
            case Pause() | Resume():
                await self._sessions.signal(self._claims, message.type)
            case End():
                await self._sessions.end(self._claims)
            case Stats():
                self._record_stats(message)

    async def _acknowledge(self, ack: Acknowledge, received_at: float) -> None:
        if ack.action == "shown":
            at = self._trace.shown(ack.cue_id, ack.at, received_at)
        else:
            at = plausible(ack.at, received_at - OLDEST_ACK_MS, received_at)
        await self._sessions.acknowledge(self._claims, ack, at)

    def _record_stats(self, stats: Stats) -> None:
        if stats.rtt_ms is not None:
            self._telemetry.client_rtt.record_ms(stats.rtt_ms)
        for name in ("packets_sent", "bytes_sent", "header_bytes_sent", "retransmitted"):
            value = getattr(stats, name)
            if value is None:
                continue
            # counters start again with a new peer connection
            before = self._media_seen.get(name, 0)
            self._telemetry.client_media.add(name, value - before if value >= before else value)
            self._media_seen[name] = value

    def _reply_problem(self, shown: Problem) -> None:
        self._telemetry.bad_messages.add(label(shown))
        self._channel.put_reply(error_event(self._claims.sid, shown))


def error_event(session: str, shown: Problem) -> dict[str, object]:
    """A problem as an event: its `type` moves to `problem`, as `type` says what kind of event this is."""
    members = body(shown)
    members["problem"] = members.pop("type")
    return {"type": "error", "session": session} | members
