"""Follow one session's durable events: live from the bus, what came before from the event stream."""

from collections.abc import Callable
from contextlib import suppress

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from .bus import Bus
from .committed import CommittedTranscript, Verdict
from .errors import MessageRejected
from .messages import EventMessage, decode_event
from .position import Position
from .telemetry import Headers

Deliver = Callable[[EventMessage, Headers], None]


class SessionFollower:
    """Delivers each event after `position` once, in each writer's order; catches up after an outage.

    Used by everybody who must not miss an event: a gateway for its phone, a coach for its visit. A replay
    rebuilds the reader's state from the beginning, which redelivery of single messages could not do.
    """

    def __init__(self, bus: Bus, session: str, deliver: Deliver, position: Position | None = None) -> None:
        self._bus = bus
        self._session = session
        self._deliver = deliver
        self.position = position.copy() if position else Position()
        self._transcript = CommittedTranscript()
        self._subscriptions: list[Subscription] = []
        self._held: list[tuple[EventMessage, Headers]] | None = None
        self._forget: list[Callable[[], None]] = []
        self._stopped = False

    async def start(self) -> None:
        """Subscribe, then replay; live events wait until the replay is through."""
        self._held = []
        for subject in self._bus.subjects.events_of(self._session):
            self._subscriptions.append(await self._bus.subscribe(subject, self._receive))
        self._forget = [self._bus.on_reconnect(self._catch_up), self._bus.on_disconnect(self._hold)]
        await self._catch_up()

    async def stop(self) -> None:
        """Unsubscribe. Nothing is delivered afterwards."""
        forget, self._forget = self._forget, []
        for each in forget:
            each()
        subscriptions, self._subscriptions = self._subscriptions, []
        self._stopped = True
        for subscription in subscriptions:
            with suppress(NatsError):  # the connection is closing, and its subscriptions with it
                await subscription.unsubscribe()

    def _hold(self) -> None:
        """From the moment of the break: what comes first after it must not pass what was missed."""
        if self._held is None:
            self._held = []

    async def _catch_up(self) -> None:
        self._hold()
        replayed = await self._bus.replay(self._bus.subjects.events_of(self._session))
        if not self._bus.is_connected:
            return  # the next reconnect catches up
        held, self._held = self._held, None
        for event, headers in replayed:
            self._pass(event, headers)
        for event, headers in held or ():  # None: a second reconnect's replay has passed them on
            self._pass(event, headers)

    def _receive(self, _subject: str, payload: bytes, headers: Headers) -> None:
        event = decode_event(payload)
        if event.session != self._session:
            raise MessageRejected(event.kind, "session")
        if self._held is not None:
            self._held.append((event, headers))
        else:
            self._pass(event, headers)

    def _pass(self, event: EventMessage, headers: Headers) -> None:
        if self._stopped:
            return
        accepted, verdict = self._accept(event)
        if not self.position.advance(event):
            return
        if accepted is None or verdict == "trimmed":
            self._bus.faults.add(f"{event.kind}-{verdict}")
        if accepted is not None:
            self._deliver(accepted, headers)

    def _accept(self, event: EventMessage) -> tuple[EventMessage | None, Verdict]:
        # what lies before the position counts too: it says how far the session is transcribed
        if event.kind == "final":
            return self._transcript.accept(event)
        if event.kind == "transcript.complete" and self._transcript.is_old(event.epoch):
            return None, "old-epoch"
        return event, "whole"
