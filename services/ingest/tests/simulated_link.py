"""A phone, a link and the adaptation in virtual time: rate, bounded queue, delay, jitter, bursts of loss."""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from fieldcoach.ingest.adaptation import Adaptation, Command
from fieldcoach.ingest.arrivals import OVERHEAD_BYTES
from fieldcoach.ingest.hold import KEEP_ALIVE_S, PAUSED
from fieldcoach.ingest.profile import START, SendProfile

TOC = {20: bytes([9 << 3]), 40: bytes([10 << 3]), 60: bytes([11 << 3]), 120: bytes([(11 << 3) | 1])}
"""Opus: SILK wide band, one frame of 20, 40 or 60 ms, two of 60."""
TICK = 0.01
RTT_EVERY = 5.0


@dataclass(frozen=True)
class Link:
    """Kilobits a second, one-way delay and jitter in seconds, loss in bursts, length of the queue."""

    rate: float = 5_000.0
    delay: float = 0.04
    jitter: float = 0.0
    loss: float = 0.0
    burst: float = 1.0
    queue: int | None = None
    is_up: bool = True

    @property
    def queue_length(self) -> int:
        """The design's bound: about 100 ms of 1500 B packets, and 4 at least."""
        return self.queue if self.queue is not None else max(4, int(self.rate * 100 / 12_000))


LINKS = {
    "4g": Link(5_000, 0.04, 0.01, 0.001),
    "3g": Link(330, 0.12, 0.04, 0.03, 3),
    "edge": Link(100, 0.42, 0.10, 0.04, 4),
    "2g-good": Link(32, 0.5, 0.1, 0.01),
    "2g-bad": Link(18, 0.65, 0.15, 0.07, 4),
}


class Scene:
    """Runs a call. `rungs` is (seconds, rung) of every command; `delivered` counts speech packets."""

    def __init__(self, link: Link, seed: int = 1, talk: Callable[[float], bool] = lambda _t: True) -> None:
        self.link = link
        self.now = 0.0
        self.counts: dict[str, int] = {}
        self.adaptation = Adaptation(0.0, self._count)
        self.rungs: list[tuple[float, str]] = []
        self.sent = self.delivered = 0
        self._random = random.Random(seed)
        self._talk = talk
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._profile: SendProfile = START
        self._sequence = 65_000
        self._captured = 0.0
        self._sent_at = 0.0
        self.held = 0
        """Speech packets that the phone keeps for back-fill."""
        self.waited: list[tuple[float, float]] = []
        """Of each packet on its way: when it was sent, and its time in the queue."""
        self._in_dtx = False
        self._free_at = 0.0
        self._waiting: list[float] = []
        self._is_bad = False
        self._checks: deque[float] = deque(maxlen=3)
        self._tell(self.adaptation.connected(0.0))
        self._at(self._profile.ptime_ms / 1e3, self._send)
        self._at(RTT_EVERY, self._check_consent)
        self._at(TICK, self._poll)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _at(self, when: float, run: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), run))

    def run(self, seconds: float) -> "Scene":
        """Let time pass."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, run = heapq.heappop(self._events)
            run()
        self.now = until
        return self

    def change(self, **changes: object) -> None:
        """Another link from now on."""
        self.link = replace(self.link, **changes)  # type: ignore[arg-type]

    @property
    def rung(self) -> str:
        """The rung of this moment."""
        return self.adaptation.profile.rung

    def changes(self, since: float = 0.0) -> list[str]:
        """The rungs commanded after `since`."""
        return [rung for at, rung in self.rungs if at > since]

    def time_on(self, rung: str) -> float:
        """Seconds on it, as commanded."""
        ends = [at for at, _ in self.rungs[1:]] + [self.now]
        return sum(end - at for (at, name), end in zip(self.rungs, ends, strict=True) if name == rung)

    def waits(self, since: float) -> list[float]:
        """The time in the queue of packets sent after `since`: percentiles 0 to 99, in seconds."""
        waits = sorted(wait for at, wait in self.waited if at > since)
        return [waits[len(waits) * percent // 100] for percent in range(100)]

    # ── the phone ────────────────────────────────────────────────────────────────────────────────────────

    def _send(self) -> None:
        profile = self._profile
        ptime = profile.ptime_ms / 1e3
        begin = self._captured
        self._captured += ptime
        self._at(self._captured + profile.ptime_ms / 1e3, self._send)
        is_speech = self._talk(begin)
        is_refresh = int(begin / 0.4) != int(self._captured / 0.4)
        if not is_speech and self._in_dtx and not is_refresh:
            return
        if profile.rung == PAUSED and begin - self._sent_at < KEEP_ALIVE_S:
            self.held += is_speech
            return
        self._sent_at = begin
        self._in_dtx = not is_speech
        size = 1 if not is_speech else round(profile.max_bitrate * ptime / 8 * self._random.uniform(0.8, 1.2))
        payload = TOC[profile.ptime_ms] + b"\2" * (size - 1)
        sequence, self._sequence = self._sequence & 0xFFFF, self._sequence + 1
        arrival = self._transmit(size + OVERHEAD_BYTES)
        self.sent += is_speech
        if arrival is not None:
            timestamp = round(begin * 48_000) & 0xFFFFFFFF
            self._at(arrival, lambda: self._receive(sequence, timestamp, payload, is_speech))

    def _transmit(self, size: int) -> float | None:
        """When it arrives; None if it is lost on the way or finds the queue full."""
        link = self.link
        self._waiting = [leaves for leaves in self._waiting if leaves > self.now]
        if not link.is_up or len(self._waiting) >= link.queue_length:
            return None
        self._free_at = max(self.now, self._free_at) + size * 8 / (link.rate * 1e3)
        self.waited.append((self.now, self._free_at - self.now))
        self._waiting.append(self._free_at)
        if link.loss:
            chance = link.loss / (1 - link.loss) / link.burst
            self._is_bad = self._random.random() < (1 - 1 / link.burst if self._is_bad else chance)
            if self._is_bad:
                return None
        return self._free_at + link.delay + self._random.uniform(-link.jitter, link.jitter)

    def _receive(self, sequence: int, timestamp: int, payload: bytes, is_speech: bool) -> None:
        self.delivered += is_speech
        self.adaptation.arrivals.add(sequence, timestamp, payload, self.now)

    # ── the server ───────────────────────────────────────────────────────────────────────────────────────

    def _check_consent(self) -> None:
        asked = self.now
        self._at(self.now + RTT_EVERY, self._check_consent)
        arrival = self._transmit(100)
        if arrival is not None:
            back = arrival + self.link.delay
            self._at(back, lambda: self._checks.append(back - asked))

    def _poll(self) -> None:
        self._at(self.now + 0.1, self._poll)
        command = self.adaptation.poll(min(self._checks, default=None), self.now)
        if command is not None:
            self._tell(command)

    def _tell(self, command: Command) -> None:
        if not self.rungs or self.rungs[-1][1] != command.profile.rung:
            self.rungs.append((self.now, command.profile.rung))
        if self.link.is_up:
            self._at(self.now + self.link.delay, lambda: self._apply(command))

    def _apply(self, command: Command) -> None:
        self._profile = command.profile
        self._at(
            self.now + self.link.delay,
            lambda: self.adaptation.applied(command.number, command.profile.rung, self.now),
        )
