"""Percentiles, the same everywhere a figure is reported."""

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Linear interpolation between the closest ranks; None of nothing.

    Raises:
        ValueError: `percent` is not within 0 and 100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"percent {percent} is not within 0 and 100")
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summary_ms(values: Sequence[float], *percents: int) -> dict[str, float | None]:
    """`{"p50": ..., "p95": ...}` in milliseconds, rounded to a tenth."""
    found = {f"p{percent}": percentile(values, percent) for percent in percents}
    return {name: None if value is None else round(value, 1) for name, value in found.items()}
