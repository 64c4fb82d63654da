"""Whether a quantity that was sampled over time stays flat. Pure.

Neighbouring samples are alike, so an ordinary regression would be far too sure of itself: the samples are
averaged in blocks, and the line is laid through the blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final, Literal

BLOCKS: Final = 12
TOLERANCE: Final = 0.03
"""Growth over the run, as a share of the mean, that is called flat: less than three sessions of a hundred."""
_T_95: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t, two-sided 95 %, for 1 to 10 degrees of freedom."""

Verdict = Literal["flat", "grows", "falls", "not shown"]


@dataclass(frozen=True, slots=True)
class Trend:
    """A line through the samples. `growth` is over the whole stretch, `margin` its 95 % interval's half."""

    mean: float
    growth: float
    margin: float
    per_hour: float
    verdict: Verdict


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend | None:
    """The trend; None with fewer than three blocks of samples."""
    blocks = _blocks(times_s, values)
    if len(blocks) < 3:
        return None
    xs, ys = [x for x, _ in blocks], [y for _, y in blocks]
    x_mean, y_mean = fmean(xs), fmean(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in blocks) / spread
    rest = sum((y - y_mean - slope * (x - x_mean)) ** 2 for x, y in blocks)
    free = len(blocks) - 2
    error = math.sqrt(rest / free / spread) * _T_95[free - 1]
    length = times_s[-1] - times_s[0]
    growth, margin = slope * length, error * length
    return Trend(y_mean, growth, margin, slope * 3_600, _verdict(y_mean, growth, margin))


def _verdict(mean: float, growth: float, margin: float) -> Verdict:
    allowed = TOLERANCE * abs(mean)
    if -allowed <= growth - margin and growth + margin <= allowed:
        return "flat"
    if growth - margin > allowed:
        return "grows"
    return "falls" if growth + margin < -allowed else "not shown"


def _blocks(times_s: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    count = min(BLOCKS, len(values))
    cuts = [len(values) * number // count for number in range(count + 1)] if count else []
    return [(fmean(times_s[begin:end]), fmean(values[begin:end])) for begin, end in pairwise(cuts)]
