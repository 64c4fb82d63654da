"""The frame of every benchmark: a table for a person, one JSON object for a script."""

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from rich.console import Console

TABLE_WIDTH = 110
"""In a file or a pipe, where nothing says how wide a line may be."""


async def report(work: Callable[[Console], Awaitable[dict[str, Any]]], as_json: bool) -> None:
    """Run one benchmark; with `as_json` its figures are the last line, and all else is on standard error.

    Raises:
        BenchError: it can't run on what it was given.
    """
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console = Console(stderr=as_json, width=TABLE_WIDTH)
    figures = await work(console)
    if as_json:
        sys.stdout.write(json.dumps(figures, ensure_ascii=False) + "\n")
        sys.stdout.flush()
