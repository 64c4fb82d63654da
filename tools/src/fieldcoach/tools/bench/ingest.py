"""`bench ingest`: the CPU of receiving, ours and stock aiortc's, by the number of sessions.

The ingest measures itself: it is started as `python -m fieldcoach.ingest.bench`, once per figure. Real
sockets, real SRTP, Opus of a recorded visit at the pace of speech, from a sending process beside it.
"""

import asyncio
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console

from ..errors import BenchError
from ..stack.nats import find_nats_server, read_port, write_config
from ..stack.process import Process
from .ingest_table import print_figures
from .machine import machine

SESSIONS: Final = (50, 100, 200, 400)
QUICK_SESSIONS: Final = (50,)
COMPARED: Final = 50
"""Sessions at which both are compared: stock aiortc needs a whole core at 80 to 100."""
SECONDS: Final = 10.0
QUICK_SECONDS: Final = 2.0
ROUNDS: Final = 3
"""Of the comparison, in turns; the median counts, since a machine is never alone."""
KEEPS_UP_S: Final = 1.0
"""Who gives out the last sample so much later than it was sent does not keep up."""
ROOM: Final = 0.8
"""A loop that is busy for more than this share of a core has no time to be on time."""
VISIT: Final = "quick-order.flac"
RUN_LIMIT_S: Final = 120.0
STOP_S: Final = 3.0

Row = dict[str, Any]


async def bench_ingest(
    root: Path, quick: bool, folder: Path | None, console: Console, sessions: Sequence[int] = ()
) -> dict[str, Any]:
    """All runs, one after the other, since they share the machine's cores with their senders.

    Raises:
        BenchError: no recording, or a run that failed.
    """
    audio = (folder or root / "visits") / VISIT
    if not audio.exists():
        raise BenchError(f"no recording {audio}: give --visits a folder that has {VISIT}")
    before = machine()
    wanted = tuple(sessions) or (QUICK_SESSIONS if quick else SESSIONS)
    runs = _Runs(audio, QUICK_SECONDS if quick else SECONDS, console)
    compared = COMPARED if COMPARED in wanted else wanted[0]
    pairs = [
        (await runs.run("ours", compared), await runs.run("stock", compared))
        for _ in range(1 if quick else ROUNDS)
    ]
    curve = [pairs[-1][0] if number == compared else await runs.run("ours", number) for number in wanted]
    stock = [pairs[-1][1]]
    if not quick:
        stock += [await runs.run("stock", number) for number in wanted if number > compared][:1]
    async with _nats() as url:
        published = await runs.run("ours", compared, "--nats", url)
    pausing = await runs.run("ours", wanted[-1], "--ptime-ms", "60", "--dtx")
    figures = summary(pairs, curve, stock, published, pausing)
    figures = {"bench": "ingest", "quick": quick, "machine": before, **figures}
    print_figures(console, figures)
    return figures


class _Runs:
    def __init__(self, audio: Path, seconds: float, console: Console) -> None:
        self._audio = audio
        self._seconds = seconds
        self._console = console

    async def run(self, receiver: str, sessions: int, *options: str) -> Row:
        """One process from start to end; gives what it printed."""
        command = ["-m", "fieldcoach.ingest.bench", receiver, "--sessions", str(sessions)]
        command += ["--seconds", str(self._seconds), "--audio", str(self._audio), *options]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(RUN_LIMIT_S):
                out, err = await process.communicate()
        except TimeoutError:
            raise BenchError(
                f"{receiver} with {sessions} sessions did not end in {RUN_LIMIT_S:.0f} s"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            last = err.decode(errors="replace").strip().rpartition("\n")[2]
            raise BenchError(f"{receiver} with {sessions} sessions failed: {last}")
        row: Row = json.loads(out)
        row["keeps_up"] = row["behind_s"] < KEEPS_UP_S and row["datagrams_lost"] == 0
        cost = f"{row['us_per_packet']} µs a packet"
        self._console.print(f"[dim]{receiver}, {sessions} sessions of {row['ptime_ms']} ms: {cost}[/dim]")
        return row


@asynccontextmanager
async def _nats() -> AsyncIterator[str]:
    """A nats-server for the time of the block; gives its address."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "nats"
        server = Process("nats", [str(find_nats_server()), "-c", str(write_config(folder))], os.environ)
        await server.start()
        try:
            port = await read_port(folder, server.ended)
            if port is None:
                raise BenchError("nats-server did not start: " + " ".join(server.lines))
            yield f"nats://127.0.0.1:{port}"
        finally:
            await server.stop(STOP_S)


def summary(
    pairs: list[tuple[Row, Row]], curve: list[Row], stock: list[Row], published: Row, pausing: Row
) -> dict[str, Any]:
    """The figures by name. Compared is without a bus on both sides, since stock aiortc publishes nothing.

    Who does not keep up decodes less or later, and many packets in a row, which are cheaper: such a run is in
    the curve, but in no figure. None is a figure that no run gives.
    """
    ours = [row["us_per_packet"] for row, _ in pairs if row["keeps_up"]]
    theirs = [row["us_per_packet"] for _, row in pairs if row["keeps_up"]]
    both = [(our, their) for our, their in pairs if our["keeps_up"] and their["keeps_up"]]
    with_room = [row for row in curve if row["cpu_share"] <= ROOM and row["keeps_up"]] or curve[:1]
    return {
        "us_per_packet": {
            "ours": _median(ours),
            "stock": _median(theirs),
            "ours_published": published["us_per_packet"] if published["keeps_up"] else None,
        },
        "cpu_ratio": _median([their["us_per_packet"] / our["us_per_packet"] for our, their in both]),
        "sessions_per_core": {
            "p20": _median([row["sessions_per_core"] for row, _ in pairs if row["keeps_up"]]),
            "p60": pausing["sessions_per_core"] if pausing["keeps_up"] else None,
        },
        "loop_lag_ms": {"p99": with_room[-1]["loop_lag_ms_p99"]},
        "loop_lag_sessions": with_room[-1]["sessions"],
        "compared_sessions": pairs[0][0]["sessions"],
        "flatness": _flatness(curve),
        "curve": {"ours": curve, "stock": stock, "published": published, "p60_dtx": pausing},
    }


def _median(values: list[float]) -> float | None:
    return round(statistics.median(values), 2) if values else None


def _flatness(curve: list[Row]) -> float | None:
    kept = [row["us_per_packet"] for row in curve if row["keeps_up"]]
    return round(kept[-1] / kept[0], 3) if len(kept) > 1 else None
