"""Both directions of a phone's link through the phases of its day: packets and clock in, deliveries out."""

import heapq
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from .counts import Counts
from .direction import Direction
from .profiles import Phase, Schedule

MAX_IN_FLIGHT = 10_000
"""Packets on their way, both directions together: 100 s of a phone's audio. More are counted and dropped."""

T = TypeVar("T")


class Way(Enum):
    """Seen from the phone."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Delivery(Generic[T]):
    """A packet that is due. `address` is the number of the phone's address when it was sent."""

    due: float
    way: Way
    address: int
    packet: T
    is_copy: bool


class ImpairedLink(Generic[T]):
    """Knows no socket. `T` is whatever travels; the link looks at its size alone.

    Before `start` the first phase is in force and its time does not run.
    """

    def __init__(self, schedule: Schedule, seed: int = 0) -> None:
        self._schedule = schedule
        self._place = 0
        self._started_at: float | None = None
        self._phase_ends: float | None = None
        self._address = 0
        first = schedule.phases[0]
        self._directions = {
            Way.UP: Direction(first.uplink, f"{seed}/up"),
            Way.DOWN: Direction(first.downlink, f"{seed}/down"),
        }
        self._in_flight: list[tuple[float, int, Delivery[T]]] = []
        self._order = 0  # deliveries of the same moment keep their order

    @property
    def schedule(self) -> Schedule:
        """What is played."""
        return self._schedule

    @property
    def phase(self) -> Phase:
        """The one in force."""
        return self._schedule.phases[self._place]

    @property
    def address(self) -> int:
        """Counts the phone's addresses, from 0."""
        return self._address

    @property
    def in_flight(self) -> int:
        """Packets on their way."""
        return len(self._in_flight)

    @property
    def next_due(self) -> float | None:
        """When `take` has something to give, or the phase changes."""
        arrival = self._in_flight[0][0] if self._in_flight else None
        return min((t for t in (arrival, self._phase_ends) if t is not None), default=None)

    def counts(self, way: Way) -> Counts:
        """What happened to the packets of one way."""
        return self._directions[way].counts

    def start(self, now: float) -> None:
        """The first phase begins; a second call does nothing."""
        if self._started_at is None:
            self._started_at = now
            self._phase_ends = self._end_of(self.phase, now)
            self._advance(now)

    def send(self, way: Way, packet: T, udp_bytes: int, now: float) -> None:
        """A packet enters the link."""
        self._advance(now)
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            self.drop(way, udp_bytes, is_old_address=False)
            return
        for copy, due in enumerate(self._directions[way].send(now, udp_bytes)):
            self._order += 1
            delivery = Delivery(due, way, self._address, packet, copy > 0)
            heapq.heappush(self._in_flight, (due, self._order, delivery))

    def drop(self, way: Way, udp_bytes: int, is_old_address: bool) -> None:
        """Count a packet that can't enter: of an address that the phone no longer has, or of one too many."""
        counts = self._directions[way].counts
        counts.sent += 1
        counts.sent_bytes += udp_bytes
        counts.old_address += is_old_address
        counts.overflow += not is_old_address

    def take(self, now: float) -> list[Delivery[T]]:
        """Everything that is due, oldest first."""
        taken = []
        while self._in_flight and self._in_flight[0][0] <= now:
            due, _, delivery = heapq.heappop(self._in_flight)
            self._advance(due)
            if delivery.way is Way.DOWN and delivery.address != self._address:
                counts = self._directions[Way.DOWN].counts
                if not delivery.is_copy:
                    counts.delivered -= 1
                    counts.old_address += 1
                continue
            taken.append(delivery)
        self._advance(now)
        return taken

    def _advance(self, now: float) -> None:
        while self._phase_ends is not None and self._phase_ends <= now:
            began = self._phase_ends
            self._place += 1
            phase = self.phase
            self._phase_ends = self._end_of(phase, began)
            self._address += phase.is_new_address
            self._directions[Way.UP].change(phase.uplink, phase.is_new_address)
            self._directions[Way.DOWN].change(phase.downlink, phase.is_new_address)

    def _end_of(self, phase: Phase, began: float) -> float | None:
        is_last = phase is self._schedule.phases[-1]
        return None if is_last or phase.seconds is None else began + phase.seconds
