"""The NATS connection of a service: bounded, honest about back-pressure, and alive across restarts.

The client's own reconnect buffer is off: it is not reliability (1,082 accepted messages were lost in a
1.5 s outage with the default settings). A hot publisher asks `can_publish` and otherwise keeps its chunk;
durable events wait in a bounded outbox here.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError, SlowConsumerError
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from .errors import BackPressure, BusUnavailable, MessageRejected
from .messages import MAX_EVENT_BYTES, EventMessage, Message, decode_event, message_id
from .subjects import Subjects
from .telemetry import Counters, Headers

log = logging.getLogger(__name__)

MAX_PENDING_BYTES = 256 * 1024
OUTBOX_EVENTS = 2_000
OUTBOX_RETRY_S = 0.05
"""A full send buffer (256 KiB) is out in milliseconds once the loop turns."""
REPLAY_TRIES = 3
"""A server that has just come back makes consumers for everybody at once, and one may take more than 2 s."""
RESEND_S = 20.0
"""Events sent so shortly before the connection broke are sent again: a server that was killed may have taken
them with it. It is noticed at once if its host lives, else by two pings, after 15 s."""

M = TypeVar("M", bound=Message)
Handler = Callable[[str, bytes, Headers], None]
Responder = Callable[[bytes], Awaitable[Message]]


class Bus:
    """One connection. Handlers are plain functions that only move data; they are never awaited."""

    def __init__(self, url: str, region: str, name: str) -> None:
        self.subjects = Subjects(region)
        self._servers = [part.strip() for part in url.split(",") if part.strip()]
        self._name = name
        self._nc = Client()
        self._js: JetStreamContext | None = None
        self._outbox: deque[tuple[str, bytes, dict[str, str]]] = deque()
        self._sent_lately: deque[tuple[float, tuple[str, bytes, dict[str, str]]]] = deque(
            maxlen=OUTBOX_EVENTS
        )
        self._flushing = asyncio.Lock()
        self._retrying = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_reconnect: list[Callable[[], Awaitable[None]]] = []
        self._on_disconnect: list[Callable[[], None]] = []
        self._was_connected = False
        self._has_stream = False  # since the present connection was made: it was looked after
        self._said_waiting = False
        self.faults = Counters("bus_faults", description="What went wrong on the bus, by reason")

    # ── connection ───────────────────────────────────────────────────────────────────────────────────────

    async def connect(self) -> None:
        """Wait until the bus is there, saying so once; then make sure that the event stream exists."""
        await self._nc.connect(  # with these options it tries for ever
            servers=self._servers,
            name=self._name,
            ping_interval=5,
            max_outstanding_pings=2,
            reconnect_time_wait=random.uniform(0.1, 0.5),  # type: ignore[arg-type] # a float works: it is slept
            max_reconnect_attempts=-1,
            connect_timeout=2,
            pending_size=0,
            flush_timeout=2,
            drain_timeout=10,
            error_cb=self._count_error,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
        )
        self._was_connected = True
        log.info(
            "connected to NATS",
            extra={"server": self._nc.connected_url.netloc if self._nc.connected_url else ""},
        )
        self._js = self._nc.jetstream(timeout=2)
        await self.ensure_streams()
        self._has_stream = True

    async def ensure_streams(self) -> None:
        """Create the event stream, or leave it as it is. Without JetStream everything else still works."""
        assert self._js is not None
        config = StreamConfig(
            name=self.subjects.event_stream,
            subjects=self.subjects.event_subjects(),
            storage=StorageType.MEMORY,
            retention=RetentionPolicy.LIMITS,
            max_age=15 * 60,
            max_msgs_per_subject=512,
            max_msg_size=MAX_EVENT_BYTES,
            duplicate_window=120,
        )
        try:
            await self._js.add_stream(config)
        except (APIError, NatsError, TimeoutError) as error:
            self.faults.add("stream-unavailable")
            log.warning(
                "no event stream; a returning phone will miss old events", extra={"error": str(error)}
            )

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Call `callback` after each reconnect; returns the function that takes it back."""
        self._on_reconnect.append(callback)
        return lambda: self._on_reconnect.remove(callback)

    def on_disconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the connection is lost; returns the function that takes it back."""
        self._on_disconnect.append(callback)
        return lambda: self._on_disconnect.remove(callback)

    async def drain(self) -> None:
        """Stop receiving, send what waits, close."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._nc.is_connected:
            try:
                await self._flush_outbox()
                await self._nc.drain()
            except (NatsError, TimeoutError):
                self.faults.add("drain")
        if not self._nc.is_closed:
            await self._nc.close()

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up now."""
        return bool(self._nc.is_connected)

    @property
    def can_publish(self) -> bool:
        """Whether a publish would go out now; otherwise the caller keeps its message."""
        return bool(self._nc.is_connected) and self._nc.pending_data_size < MAX_PENDING_BYTES

    @property
    def has_unsent_events(self) -> bool:
        """Whether durable events wait in the outbox, or are on their way out of it."""
        return bool(self._outbox) or self._flushing.locked()

    # ── publish ──────────────────────────────────────────────────────────────────────────────────────────

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> None:
        """Send once, without waiting for anybody.

        Raises:
            BackPressure: the send buffer holds more than 256 KiB.
            BusUnavailable: not connected.
        """
        if not self._nc.is_connected:
            raise BusUnavailable("not connected to NATS")
        if self._nc.pending_data_size >= MAX_PENDING_BYTES:
            raise BackPressure("the send buffer is full")
        try:
            await self._nc.publish(subject, payload, headers=headers)
        except NatsError as error:
            raise BusUnavailable(type(error).__name__) from error

    async def publish_event(self, event: EventMessage, headers: Headers | None = None) -> None:
        """Send a durable event; while the bus is away it waits in the outbox (bounded, oldest dropped)."""
        payload = event.encode()
        if len(payload) > MAX_EVENT_BYTES:
            self.faults.add("event-too-long")
            log.error("event too long", extra={"kind": event.kind, "bytes": len(payload)})
            return
        if len(self._outbox) >= OUTBOX_EVENTS:
            self._outbox.popleft()
            self.faults.add("outbox-overflow")
        self._outbox.append(
            (self._event_subject(event), payload, {**(headers or {}), "Nats-Msg-Id": message_id(event)})
        )
        await self._flush_outbox()

    async def _flush_outbox(self) -> None:
        async with self._flushing:  # two writers at once would change the order
            # without the stream a reader that comes back later than we would never see it
            while self._outbox and self._has_stream:
                event = self._outbox.popleft()
                try:
                    await self.publish(*event)
                except BusUnavailable as error:
                    self._outbox.appendleft(event)
                    if isinstance(error, BackPressure):
                        self._flush_later()
                    return  # else the reconnect flushes
                self._sent_lately.append((time.monotonic(), event))

    def _flush_later(self) -> None:
        # no event may follow that would take the waiting ones along: the last of a visit is its summary
        if not self._retrying:
            self._retrying = True
            self.spawn(self._flush_after(OUTBOX_RETRY_S))

    async def _flush_after(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self._retrying = False
        await self._flush_outbox()

    def _event_subject(self, event: EventMessage) -> str:
        match event.kind:
            case "final" | "transcript.complete":  # one writer, one subject: no reader sees them out of order
                return self.subjects.final(event.session)
            case "cue" | "checklist" | "metrics" | "summary":
                return self.subjects.cue(event.session)
            case _:
                return self.subjects.control(event.session)

    # ── subscribe, request ───────────────────────────────────────────────────────────────────────────────

    async def subscribe(self, subject: str, handler: Handler, queue: str = "") -> Subscription:
        """Call `handler(subject, payload, headers)` for each message. What it rejects is counted."""

        async def receive(msg: Msg) -> None:
            try:
                handler(msg.subject, msg.data, msg.headers or {})
            except MessageRejected as rejected:
                self.faults.add(f"rejected-{rejected.reason}")
            except Exception:  # an error must not kill the subscription's task
                self.faults.add("handler")
                log.exception("handler failed", extra={"subject_kind": msg.subject.split(".")[3:4]})

        try:
            return await self._nc.subscribe(subject, queue=queue, cb=receive)
        except NatsError as error:
            raise BusUnavailable(type(error).__name__) from error

    async def serve(self, subject: str, responder: Responder) -> Subscription:
        """Answer requests, each in its own task, so that a slow one delays nobody."""

        async def answer(msg: Msg) -> None:
            try:
                reply = await responder(msg.data)
                if self._nc.is_connected and msg.reply:
                    await self._nc.publish(msg.reply, reply.encode())
            except MessageRejected as rejected:
                self.faults.add(f"rejected-{rejected.reason}")
            except Exception:  # the requester times out; we go on
                self.faults.add("responder")
                log.exception("responder failed")

        async def receive(msg: Msg) -> None:
            self.spawn(answer(msg))

        return await self._nc.subscribe(subject, cb=receive)

    async def request(self, subject: str, message: Message, reply: type[M], timeout_s: float) -> M:
        """Ask and wait.

        Raises:
            BusUnavailable: no connection, nobody there (`no-responders`), or no answer in time (`timeout`).
            MessageRejected: an answer that is none.
        """
        if not self._nc.is_connected:
            raise BusUnavailable("not-connected")
        try:
            answer = await self._nc.request(subject, message.encode(), timeout=timeout_s)
        except NoRespondersError as error:
            raise BusUnavailable("no-responders") from error
        except (NatsError, TimeoutError) as error:
            raise BusUnavailable("timeout") from error
        return reply.decode(answer.data)

    def spawn(self, work: Any) -> None:
        """Run a coroutine in a task that `drain` ends."""
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ── replay ───────────────────────────────────────────────────────────────────────────────────────────

    async def replay(self, subjects: list[str]) -> list[tuple[EventMessage, Headers]]:
        """What the event stream holds of these subjects, oldest first; empty without a stream.

        What is no event of this version is left out and counted. One short-lived consumer per subject:
        several filters in one need a server of 2.10.
        """
        if self._js is None or not self._nc.is_connected:
            return []
        found: list[tuple[int, bytes, Headers]] = []
        for subject in subjects:
            for _ in range(REPLAY_TRIES):
                try:
                    found += await self._replay_one(self._js, subject)
                    break
                except NotFoundError:
                    self.faults.add("stream-missing")
                    break
                except (APIError, NatsError, TimeoutError) as error:
                    self.faults.add("replay")
                    log.warning("replay failed", extra={"error": type(error).__name__})
        found.sort(key=lambda entry: entry[0])
        events: list[tuple[EventMessage, Headers]] = []
        for _, payload, headers in found:
            try:
                events.append((decode_event(payload), headers))
            except MessageRejected as rejected:
                self.faults.add(f"rejected-{rejected.reason}")
        return events

    async def _replay_one(self, js: JetStreamContext, subject: str) -> list[tuple[int, bytes, Headers]]:
        subscription = await js.subscribe(subject, stream=self.subjects.event_stream, ordered_consumer=True)
        found: list[tuple[int, bytes, Headers]] = []
        try:
            info = await subscription.consumer_info()
            expected = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
            while len(found) < expected:
                msg = await subscription.next_msg(timeout=2)
                found.append((msg.metadata.sequence.stream, msg.data, msg.headers or {}))
        finally:
            await subscription.unsubscribe()
        return found

    # ── callbacks of the client ──────────────────────────────────────────────────────────────────────────

    async def _count_error(self, error: Exception) -> None:
        # awaited inside the client's read loop: it may only count
        if not self._was_connected and not self._said_waiting:
            self._said_waiting = True
            log.warning("waiting for NATS", extra={"servers": self._servers, "error": type(error).__name__})
        self.faults.add("slow-consumer" if isinstance(error, SlowConsumerError) else "connection")

    async def _disconnected(self) -> None:
        self.faults.add("disconnected")
        self._has_stream = False
        for callback in list(self._on_disconnect):
            callback()
        self._send_again(time.monotonic() - RESEND_S)

    def _send_again(self, since: float) -> None:
        """Put what was sent since then before what waits. Who has an event knows it by its number."""
        again = [item for sent_at, item in self._sent_lately if sent_at >= since]
        self._sent_lately.clear()
        self._outbox.extendleft(reversed(again))

    async def _reconnected(self) -> None:
        self.faults.add("reconnected")
        self.spawn(self._after_reconnect())

    async def _after_reconnect(self) -> None:
        await self.ensure_streams()
        self._has_stream = True
        await self._flush_outbox()
        for callback in list(self._on_reconnect):
            await callback()
