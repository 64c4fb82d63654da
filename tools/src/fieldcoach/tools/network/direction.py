"""One direction of an impaired link: a packet and its moment in, the moments of its arrival out."""

import random
from collections import deque

from .conditions import Conditions
from .counts import Counts
from .loss import GilbertElliott


class Direction:
    """Times in seconds on any clock that never goes back. The same seed and packets give the same fates.

    Each impairment draws from a sequence of its own, so that switching one on does not change the others.
    """

    def __init__(self, conditions: Conditions, seed: str) -> None:
        self._draws = {name: random.Random(f"{seed}/{name}") for name in ("loss", "delay", "order", "copy")}
        self._on_link: deque[float] = deque()
        """When each packet that waits for the link or is on it will have left it, in order."""
        self._latest = float("-inf")
        """The last arrival of those that keep the order."""
        self._latest_of_all = float("-inf")
        self._was_lost = False
        self.counts = Counts()
        self.change(conditions)

    def change(self, conditions: Conditions, is_new_path: bool = False) -> None:
        """Other conditions from now on; what is on its way arrives as planned.

        On a new path, as of another network, nothing waits for it.
        """
        if is_new_path:
            self._on_link.clear()
            self._latest = float("-inf")
        self._conditions = conditions
        self._loss = GilbertElliott(conditions.loss, conditions.burst, self._draws["loss"])

    def send(self, now: float, udp_bytes: int) -> list[float]:
        """When the packet arrives: never (empty), once, or twice. Never before `now`."""
        counts = self.counts
        counts.sent += 1
        counts.sent_bytes += udp_bytes
        if self._conditions.is_down:
            counts.outage += 1
            self._was_lost = False
            return []
        left = self._transmit(now, udp_bytes)
        if left is None:
            counts.queue_full += 1
            return []
        if self._loss.next_is_lost():
            counts.lost += 1
            counts.bursts += not self._was_lost
            self._was_lost = True
            return []
        self._was_lost = False
        arrivals = [self._arrival(left)]
        if self._draws["copy"].random() < self._conditions.duplicate:
            counts.duplicated += 1
            arrivals.append(left + self._delay())
        counts.delivered += 1
        counts.delay_s += arrivals[0] - now
        counts.max_delay_s = max(counts.max_delay_s, arrivals[0] - now)
        return arrivals

    def _transmit(self, now: float, udp_bytes: int) -> float | None:
        """When the packet has left the sender; None if the queue is full."""
        queue = self._on_link
        while queue and queue[0] <= now:
            queue.popleft()
        if self._conditions.rate_kbps is None:
            # what waits for a link that has become fast is as late as it was: its order stays
            return max(now, queue[-1]) if queue else now
        if len(queue) >= self._conditions.queue_packets:
            return None
        begun = max(now, queue[-1]) if queue else now
        queue.append(begun + self._conditions.transmission_s(udp_bytes))
        return queue[-1]

    def _arrival(self, left: float) -> float:
        arrival = left + self._delay()
        if self._draws["order"].random() >= self._conditions.reorder:
            self._latest = arrival = max(self._latest, arrival)
        self.counts.reordered += arrival < self._latest_of_all
        self._latest_of_all = max(self._latest_of_all, arrival)
        return arrival

    def _delay(self) -> float:
        jitter = self._conditions.jitter_ms
        return max(0.0, self._conditions.delay_ms + self._draws["delay"].uniform(-jitter, jitter)) / 1e3
