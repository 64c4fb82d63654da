"""How long packets are under way: the fastest seen lately, and how much later the others come.

The sender's clock has another origin than ours, so a transit is only known up to a constant. Its minimum
over a window stands for "no queue"; what a packet is later than that is its lateness.
"""

import math
from collections import deque
from typing import Final

BUCKET_S: Final = 5.0
BUCKETS: Final = 4
"""The minimum spans 15 to 20 s: long enough to meet an empty queue, short enough that clocks which drift
by 500 ppm move it by 10 ms at most."""


class WindowedMinimum:
    """The least value of the last 15 to 20 s."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, float]] = deque(maxlen=BUCKETS)
        self.value: float | None = None
        self._bucket_end = -math.inf
        self._bucket_least = math.inf

    def add(self, value: float, now: float) -> float:
        """Take one in; `now` in seconds, not falling. Returns the minimum."""
        if value >= self._bucket_least and now < self._bucket_end and self.value is not None:
            return self.value  # nearly every packet
        bucket = int(now / BUCKET_S)
        if not self._buckets or self._buckets[-1][0] != bucket:
            while self._buckets and self._buckets[0][0] <= bucket - BUCKETS:
                self._buckets.popleft()
            self._buckets.append((bucket, value))
            self.value = min(least for _, least in self._buckets)
        elif value < self._buckets[-1][1]:
            self._buckets[-1] = (bucket, value)
            self.value = min(value, value if self.value is None else self.value)
        self._bucket_end = (bucket + 1) * BUCKET_S
        self._bucket_least = self._buckets[-1][1]
        assert self.value is not None
        return self.value


class Lateness:
    """The 95th percentile of lateness over the last seconds, in seconds."""

    WINDOW_S: Final = 4.0
    """A spike is forgotten when 95 % of the window are newer: the delay is back within 5 s."""
    SAMPLES: Final = 200
    """Packets in the window at 20 ms each; bounds a flood."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=self.SAMPLES)
        self._p95: float | None = 0.0

    def add(self, lateness: float, now: float) -> None:
        """Take one packet's lateness in; `now` in seconds."""
        self._samples.append((now, lateness))
        self._p95 = None

    @property
    def p95(self) -> float:
        """Lateness that 95 % of the packets do not exceed, in seconds. Sorted (10 µs) only when asked for."""
        if self._p95 is None:
            oldest = self._samples[-1][0] - self.WINDOW_S
            while self._samples[0][0] < oldest:
                self._samples.popleft()
            ordered = sorted(lateness for _, lateness in self._samples)
            self._p95 = ordered[int(0.95 * len(ordered))]
        return self._p95


class TransitEstimator:
    """Transit and lateness of one RTP stream, by the end of each packet's audio.

    A packet leaves when its last sample has been captured, so the end is what makes packets of 20 and of
    120 ms comparable.
    """

    def __init__(self) -> None:
        self._minimum = WindowedMinimum()
        self._lateness = Lateness()

    def add(self, media_end_s: float, arrival: float) -> float:
        """A packet whose audio ends at `media_end_s` arrived; returns its lateness in seconds."""
        transit = arrival - media_end_s
        lateness = transit - self._minimum.add(transit, arrival)
        self._lateness.add(lateness, arrival)
        return lateness

    @property
    def minimum(self) -> float:
        """Arrival minus end of audio, of the fastest packet."""
        return self._minimum.value or 0.0

    @property
    def p95(self) -> float:
        """Lateness that 95 % of the packets do not exceed, in seconds."""
        return self._lateness.p95
