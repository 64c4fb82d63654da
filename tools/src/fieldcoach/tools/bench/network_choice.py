"""What of `fieldcoach bench network` is asked for: the loss levels, the networks by name, or the rungs."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ..errors import BenchError
from .network import AT_ONCE, bench_network
from .profiles import MINUTES, MINUTES_MAX, PROFILES, bench_profiles
from .wire import bench_wire

Bench = Callable[[Path, bool, Path | None, Console], Awaitable[dict[str, Any]]]
"""Root of the checkout, quick, folder of visits, console for progress and tables → the figures by name."""
ALL = "all"


@dataclass(frozen=True, slots=True)
class NetworkChoice:
    """The options of `bench network` alone."""

    networks: str | None = None
    """Loss levels with commas."""
    at_once: int | None = None
    profiles: str | None = None
    """Networks by name with commas, or `all`."""
    minutes: float | None = None
    wire: bool = False
    """What each rung costs, in Chromium."""
    plots: Path | None = None
    """Where to put the pictures."""

    def benchmark(self) -> Bench:
        """The one that is asked for.

        Raises:
            BenchError: options that don't belong together.
        """
        if self.wire:
            if self.networks or self.at_once or self.profiles or self.minutes:
                raise BenchError("--wire: goes with --quick, --visits and --plots only")
            return functools.partial(bench_wire, plots=self.plots)
        if self.profiles is None:
            if self.minutes is not None:
                raise BenchError("--minutes: belongs to --profiles, as in --profiles 2g-bad --minutes 10")
            return functools.partial(
                bench_network,
                networks=_listed(self.networks),
                at_once=self.at_once or AT_ONCE,
                plots=self.plots,
            )
        if self.networks or self.at_once:
            raise BenchError("--networks and --at-once: belong to the loss levels, not to --profiles")
        minutes = self.minutes or MINUTES
        if minutes > MINUTES_MAX:
            raise BenchError(f"--minutes {minutes:g}: at most {MINUTES_MAX:g}")
        profiles = PROFILES if self.profiles == ALL else _listed(self.profiles)
        if not profiles:
            raise BenchError(f"--profiles: name networks with commas ({', '.join(PROFILES)}), or {ALL}")
        return functools.partial(bench_profiles, profiles=profiles, minutes=minutes, plots=self.plots)


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())
