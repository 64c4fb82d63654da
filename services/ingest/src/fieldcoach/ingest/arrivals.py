"""What the arrivals of the last 2 s say about the link: loss, growth of the queue, round trip, goodput.

RTP timestamps of audio are capture times. So (arrival - end of the packet's audio) is the time under way, up
to a constant, and its slope is the growth of the queue in front of the slowest link: no extra packet is
needed to see it. One stream of one connection; times are seconds on a monotonic clock.
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from fieldcoach.common.opus import OpusError, packet_samples

from .delay import WindowedMinimum

RTP_RATE: Final = 48_000
WINDOW_S: Final = 2.0
"""The design's window: 16 packets at 120 ms, 100 at 20 ms."""
BUCKET_S: Final = 0.25
BUCKETS: Final = int(WINDOW_S / BUCKET_S)
QUEUE_S: Final = 1.0
"""The queue is the least delay of the last second: one packet that is late says nothing, eight of them do."""
OVERHEAD_BYTES: Final = 58
"""On the wire beside the payload: RTP 12, its extensions 8, SRTP 10, UDP 8, IPv4 20."""
MIN_PACKETS: Final = 8
"""Fewer packets prove neither loss nor slope: one of five that is lost is no rate of 20 %."""
MIN_ACTIVE_S: Final = 0.5
"""Less speech in the window gives no rate: a phone in DTX sends next to nothing over any link."""
REORDERED_S: Final = 0.1
"""A packet that comes so soon after its hole was out of order. Once the round trip is known, 80 % of it: what
was asked for takes longer, and was lost on its first way."""
RTT_KEPT: Final = 12
"""Told every 5 s: a minute, over which the least stands for an empty queue. What is told is itself the least
of some checks: one that was lost and sent again seems half a second longer than it was."""
CLOCK_STEP_S: Final = 10.0
"""A transit that changes by more between two packets is another clock: the sender began anew."""
SEQUENCE_JUMP: Final = 3_000
"""RFC 3550 appendix A.1: a larger one is another stream."""
MAX_MISSING: Final = 256
MAX_NOTED: Final = 64
"""Packets that are noted before they are looked at: more than come between two looks at 20 ms each."""


@dataclass(frozen=True, slots=True)
class LinkWindow:
    """The link as seen over the last 2 s; None where too little came to say."""

    packets: int
    silent_s: float
    """Since the last packet."""
    loss: float | None
    """Fraction of the packets that did not come by themselves; those repaired by NACK count as lost."""
    slope: float | None
    """Growth of the delay in seconds per second; 0.01 is 10 ms/s."""
    slope_error: float
    """Standard error of the slope: on a link with jitter most slopes are chance."""
    jitter_s: float
    """Standard deviation of the delay about its slope."""
    queue_s: float
    """How much longer packets are under way than the fastest of the last 20 s."""
    rtt_s: float | None
    goodput: float | None
    """Bits a second on the wire that came through while there was speech to send."""


@dataclass(slots=True)
class _Bucket:
    """Sums over a quarter of a second."""

    begin: float
    packets: int = 0
    expected: int = 0
    lost: int = 0
    bits: int = 0
    silence: float = 0.0
    first_arrival: float = math.inf
    first_bits: int = 0
    last_arrival: float = -math.inf
    least: float = math.inf
    n: int = 0
    t: float = 0.0
    d: float = 0.0
    tt: float = 0.0
    td: float = 0.0
    dd: float = 0.0


@dataclass(slots=True)
class _Clocks:
    """Where the stream stands, extended to never wrap."""

    sequence: int
    timestamp: int
    duration: int
    transit: float
    origin: float
    first_transit: float


@dataclass(slots=True)
class RoundTrip:
    """The round trips that the connection has measured, in seconds."""

    measured: deque[float] = field(default_factory=lambda: deque(maxlen=RTT_KEPT))

    def add(self, rtt: float | None) -> bool:
        """Take the connection's last measurement; says whether it is a new one."""
        if rtt is None or (self.measured and self.measured[-1] == rtt):
            return False
        self.measured.append(rtt)
        return True

    @property
    def least(self) -> float | None:
        """With the emptiest queue of the last minute."""
        return min(self.measured, default=None)

    def now(self, queue_s: float) -> float | None:
        """The round trip of this moment: measured every 5 s, and told by the queue in between."""
        if not self.measured:
            return None
        return max(self.measured[-1], min(self.measured) + queue_s)


class ArrivalStatistics:
    """Told of every packet, which is only noted; `window` looks at what was noted, and sums up.

    One packet among many of other phones finds the caches cold; 25 of one phone in a row cost a third each.
    """

    def __init__(self) -> None:
        self._rtt = RoundTrip()
        self.restart()

    def restart(self) -> None:
        """Another stream follows. What is known of the round trip stays."""
        self._noted: list[tuple[int, int, bytes, float]] = []
        self._restart()

    def _restart(self) -> None:
        self._last_arrival: float | None = None
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS + 1)
        self._base = WindowedMinimum()
        self._clocks: _Clocks | None = None
        self._missing: OrderedDict[int, float] = OrderedDict()

    def add(self, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        """A packet came: 16 bit sequence number, 32 bit timestamp at 48 kHz."""
        noted = self._noted
        noted.append((sequence, timestamp, payload, arrival))
        if len(noted) >= MAX_NOTED:
            self._look()

    def _look(self) -> None:
        noted, self._noted = self._noted, []
        for packet in noted:
            self._add(*packet)

    def _add(self, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        duration = _duration(payload)
        if duration == 0:
            return  # the jitter buffer counts it as corrupt
        clocks = self._clocks
        if clocks is None:
            self._begin(sequence, timestamp, duration, payload, arrival)
            return
        step = (sequence - clocks.sequence + 0x8000) % 0x1_0000 - 0x8000  # by the shorter way round
        ticks = (timestamp - clocks.timestamp + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
        transit = arrival - (clocks.timestamp + ticks + duration) / RTP_RATE
        if abs(step) > SEQUENCE_JUMP or abs(transit - clocks.transit) > CLOCK_STEP_S:
            self._restart()
            self._begin(sequence, timestamp, duration, payload, arrival)
            return
        bucket = self._bucket(arrival)
        self._count_bits(bucket, payload, arrival)
        if step <= 0:
            self._late(bucket, clocks.sequence + step, arrival)
            return
        bucket.expected += step
        if step > 1:
            self._hole(bucket, clocks.sequence, step, arrival)
        silence = ticks - step * clocks.duration
        if silence > 0:
            bucket.silence += silence / RTP_RATE
        clocks.sequence += step
        clocks.timestamp += ticks
        clocks.duration = duration
        clocks.transit = transit
        self._add_transit(bucket, clocks, arrival)

    def measured(self, rtt: float | None, now: float) -> None:
        """The connection's last measured round trip; the same one again is no new measurement."""
        self._look()
        if not self._rtt.add(rtt) or rtt is None:
            return
        least, queue = self._queue(now)
        if least is not None and queue > rtt:
            # no queue is longer than the whole round trip: it was the sender's clock that stepped
            self._base = WindowedMinimum()
            self._base.add(least, now)

    def window(self, now: float, since: float = -math.inf) -> LinkWindow:
        """Sum up the 2 s before `now`, but nothing from before `since`."""
        self._look()
        begin = max(since, now - WINDOW_S - BUCKET_S / 2)
        buckets = [bucket for bucket in self._buckets if bucket.begin >= begin]
        expected = sum(bucket.expected for bucket in buckets)
        lost = max(0, sum(bucket.lost for bucket in buckets) - self._undecided(now))
        slope, error, jitter = _slope(buckets)
        queue = self._queue(now)[1]
        return LinkWindow(
            packets=sum(bucket.packets for bucket in buckets),
            silent_s=0.0 if self._last_arrival is None else now - self._last_arrival,
            loss=lost / expected if expected >= MIN_PACKETS else None,
            slope=slope,
            slope_error=error,
            jitter_s=jitter,
            queue_s=queue,
            rtt_s=self._rtt.now(queue),
            goodput=_goodput(buckets),
        )

    def _begin(self, sequence: int, timestamp: int, duration: int, payload: bytes, arrival: float) -> None:
        transit = arrival - (timestamp + duration) / RTP_RATE
        self._clocks = clocks = _Clocks(sequence, timestamp, duration, transit, arrival, transit)
        bucket = self._bucket(arrival)
        self._count_bits(bucket, payload, arrival)
        bucket.expected += 1
        self._add_transit(bucket, clocks, arrival)

    def _bucket(self, arrival: float) -> _Bucket:
        if not self._buckets or arrival - self._buckets[-1].begin >= BUCKET_S:
            self._buckets.append(_Bucket(math.floor(arrival / BUCKET_S) * BUCKET_S))
        return self._buckets[-1]

    def _hole(self, bucket: _Bucket, sequence: int, step: int, arrival: float) -> None:
        bucket.lost += step - 1
        for missing in range(max(1, step - MAX_MISSING), step):
            self._missing[sequence + missing] = arrival
        while len(self._missing) > MAX_MISSING:
            self._missing.popitem(last=False)

    def _late(self, bucket: _Bucket, sequence: int, arrival: float) -> None:
        noticed = self._missing.pop(sequence, None)
        if noticed is None:
            return  # a copy
        if arrival - noticed < self._reordered_s:
            bucket.lost -= 1

    @property
    def _reordered_s(self) -> float:
        least = self._rtt.least
        return REORDERED_S if least is None else 0.8 * least

    def _undecided(self, now: float) -> int:
        """Holes so young that their packets may only be out of order."""
        count = 0
        for noticed in reversed(self._missing.values()):
            if now - noticed >= self._reordered_s:
                break
            count += 1
        return count

    def _count_bits(self, bucket: _Bucket, payload: bytes, arrival: float) -> None:
        bits = 8 * (len(payload) + OVERHEAD_BYTES)
        if bucket.packets == 0:
            bucket.first_arrival, bucket.first_bits = arrival, bits
        self._last_arrival = arrival
        bucket.packets += 1
        bucket.bits += bits
        bucket.last_arrival = arrival

    def _add_transit(self, bucket: _Bucket, clocks: _Clocks, arrival: float) -> None:
        self._base.add(clocks.transit, arrival)
        if clocks.transit < bucket.least:
            bucket.least = clocks.transit
        # from the stream's beginning, so that the squares stay small
        t, d = arrival - clocks.origin, clocks.transit - clocks.first_transit
        bucket.n += 1
        bucket.t += t
        bucket.d += d
        bucket.tt += t * t
        bucket.td += t * d
        bucket.dd += d * d

    def _queue(self, now: float) -> tuple[float | None, float]:
        least, packets = math.inf, 0
        for bucket in reversed(self._buckets):
            if bucket.begin <= now - WINDOW_S - BUCKET_S / 2:
                break
            if bucket.begin <= now - QUEUE_S - BUCKET_S / 2 and packets >= MIN_PACKETS:
                break
            least = min(least, bucket.least)
            packets += bucket.n
        if math.isinf(least) or self._base.value is None:
            return None, 0.0
        return least, least - self._base.value


def _slope(buckets: list[_Bucket]) -> tuple[float | None, float, float]:
    """Least squares of delay over time: the slope, its standard error, and the deviation from it."""
    n = sum(bucket.n for bucket in buckets)
    if n < MIN_PACKETS:
        return None, 0.0, 0.0
    t, d = sum(b.t for b in buckets), sum(b.d for b in buckets)
    tt = sum(b.tt for b in buckets) - t * t / n
    td = sum(b.td for b in buckets) - t * d / n
    dd = sum(b.dd for b in buckets) - d * d / n
    if tt <= n * 1e-6:
        return None, 0.0, 0.0  # all at one moment, as after an outage
    slope = td / tt
    variance = max(0.0, dd - slope * td) / (n - 2)
    return slope, math.sqrt(variance / tt), math.sqrt(variance)


def _goodput(buckets: list[_Bucket]) -> float | None:
    """Bits after the first packet, over the time to the last one without the sender's silence."""
    filled = [bucket for bucket in buckets if bucket.packets]
    if not filled:
        return None
    active = filled[-1].last_arrival - filled[0].first_arrival - sum(b.silence for b in filled)
    if active < MIN_ACTIVE_S:
        return None
    return (sum(bucket.bits for bucket in filled) - filled[0].first_bits) / active


def _duration(payload: bytes) -> int:
    """Of a packet in 48 kHz ticks, 0 if it is none."""
    try:
        return packet_samples(payload, RTP_RATE)
    except OpusError:
        return 0
