"""The frame of every benchmark: by name, a table for a person, one JSON object for a script."""

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ..errors import BenchError
from .failover import bench_failover
from .network import bench_network
from .visit import bench_visit


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What every benchmark takes."""

    root: Path
    quick: bool = False
    as_json: bool = False
    visits: Path | None = None


TABLE_WIDTH = 110
"""In a file or a pipe, where nothing says how wide a line may be."""

Bench = Callable[[Path, bool, Path | None, Console], Awaitable[dict[str, Any]]]
"""Root of the checkout, quick, folder of visits, console for progress and tables → the figures by name."""

BENCHMARKS: dict[str, Bench] = {
    "failover": bench_failover,
    "network": bench_network,
    "visit": bench_visit,
}


async def run_bench(name: str, options: BenchOptions) -> None:
    """Run one benchmark; with `as_json` its figures are the last line, and all else is on standard error.

    Raises:
        BenchError: no such benchmark, or it can't run on what it was given.
    """
    if name not in BENCHMARKS:
        raise BenchError(f"no benchmark {name!r}; there is: {', '.join(sorted(BENCHMARKS))}")
    console = Console(stderr=options.as_json)
    if not console.is_terminal:
        console = Console(stderr=options.as_json, width=TABLE_WIDTH)
    figures = await BENCHMARKS[name](options.root, options.quick, options.visits, console)
    if options.as_json:
        sys.stdout.write(json.dumps(figures, ensure_ascii=False) + "\n")
        sys.stdout.flush()
