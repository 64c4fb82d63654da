"""The frame of every benchmark: by name, a table for a person, one JSON object for a script."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from ..errors import BenchError
from .network_choice import Bench, NetworkChoice
from .visit import bench_visit


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What every benchmark takes."""

    root: Path
    quick: bool = False
    as_json: bool = False
    visits: Path | None = None
    network: NetworkChoice = field(default_factory=NetworkChoice)
    """For `bench network` alone."""


TABLE_WIDTH = 110
"""In a file or a pipe, where nothing says how wide a line may be."""

BENCHMARKS: dict[str, Bench] = {"network": NetworkChoice().benchmark(), "visit": bench_visit}


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
    benchmark = options.network.benchmark() if name == "network" else BENCHMARKS[name]
    figures = await benchmark(options.root, options.quick, options.visits, console)
    if options.as_json:
        sys.stdout.write(json.dumps(figures, ensure_ascii=False) + "\n")
        sys.stdout.flush()
