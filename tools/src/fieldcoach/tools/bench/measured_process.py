"""A measurement in a process of its own, so that its CPU time is its own and one thread is one thread."""

import asyncio
import json
import os
import sys
from typing import Any

from ..errors import BenchError


async def run_measured(
    module: str, what: str, request: object = None, *arguments: str, **environment: str
) -> dict[str, Any]:
    """Run `python -m module arguments`: the request as one line of JSON to it, its last line, JSON too, back.

    Raises:
        BenchError: it failed; says `what`, with its last words.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment},
    )
    try:
        out, err = await process.communicate(json.dumps(request).encode() + b"\n")
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise BenchError(f"{what} failed: {err.decode(errors='replace').strip()[-500:]}")
    found: dict[str, Any] = json.loads(out.decode().strip().splitlines()[-1])
    return found
