"""The frame of every benchmark: by name, a table for a person, one JSON object for a script."""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from ..errors import BenchError
from .asr.command import bench_asr
from .network import bench_network
from .options import BenchOptions as BenchOptions
from .visit import bench_visit

TABLE_WIDTH = 110
"""In a file or a pipe, where nothing says how wide a line may be."""

Bench = Callable[[Path, bool, Path | None, Console], Awaitable[dict[str, Any]]]
"""Root of the checkout, quick, folder of visits, console for progress and tables → the figures by name."""

BENCHMARKS: dict[str, Bench] = {"network": bench_network, "visit": bench_visit}


async def run_bench(name: str, options: BenchOptions) -> None:
    """Run one benchmark; with `as_json` its figures are the last line, and all else is on standard error.

    Raises:
        BenchError: no such benchmark, or it can't run on what it was given.
    """
    if name not in {"asr", *BENCHMARKS}:
        raise BenchError(f"no benchmark {name!r}; there is: {', '.join(sorted({'asr', *BENCHMARKS}))}")
    console = Console(stderr=options.as_json)
    if not console.is_terminal:
        console = Console(stderr=options.as_json, width=TABLE_WIDTH)
    if name == "asr":  # it takes more than the others
        figures = await bench_asr(options, console)
    else:
        figures = await BENCHMARKS[name](options.root, options.quick, options.visits, console)
    if options.as_json:
        sys.stdout.write(json.dumps(figures, ensure_ascii=False) + "\n")
        sys.stdout.flush()
