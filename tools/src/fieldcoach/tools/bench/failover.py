"""`fieldcoach bench failover`: what a dying worker or bus costs sixty sessions, fault by fault."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from fieldcoach.common.looped import LoopedScript

from ..percentiles import summary_ms
from .failover_counts import Cost, cost_of, resumptions_ms, takeovers_ms
from .failover_stage import Stage
from .machine import machine

VISIT: Final = "biscuits-no-space"
SESSIONS: Final = 60
QUICK_SESSIONS: Final = 20
WARM_UP_S: Final = 8.0
"""Every session is in the middle of something."""
SETTLE_S: Final = 12.0
"""After the fault is over: a worker that was asleep has spoken its last by then."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. It returns the worker that was lost ("" for the bus), and since when."""

    name: str
    happen: Callable[[Stage], Awaitable[tuple[str, float]]]


def _victim(stage: Stage) -> tuple[str, int]:
    worker, process = next(iter(stage.workers.items()))
    assert process.pid is not None
    return worker, process.pid


async def _nothing(_stage: Stage) -> tuple[str, float]:
    return "", time.monotonic()


def _signalled(number: signal.Signals) -> Callable[[Stage], Awaitable[tuple[str, float]]]:
    async def happen(stage: Stage) -> tuple[str, float]:
        worker, pid = _victim(stage)
        at = time.monotonic()
        os.kill(pid, number)
        return worker, at

    return happen


def _stopped(seconds: float) -> Callable[[Stage], Awaitable[tuple[str, float]]]:
    async def happen(stage: Stage) -> tuple[str, float]:
        worker, pid = _victim(stage)
        at = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
        return worker, at

    return happen


def _without_nats(seconds: float) -> Callable[[Stage], Awaitable[tuple[str, float]]]:
    async def happen(stage: Stage) -> tuple[str, float]:
        await stage.kill_nats()
        await asyncio.sleep(seconds)
        await stage.start_nats()
        return "", time.monotonic()

    return happen


FAULTS: Final = (
    Fault("none", _nothing),
    Fault("worker-kill-9", _signalled(signal.SIGKILL)),
    Fault("worker-term", _signalled(signal.SIGTERM)),
    Fault("worker-stop-3s", _stopped(3)),
    Fault("worker-stop-60s", _stopped(60)),
    Fault("nats-kill-1s", _without_nats(1)),
    Fault("nats-kill-20s", _without_nats(20)),
    Fault("nats-kill-40s", _without_nats(40)),
)
QUICK_FAULTS: Final = ("worker-kill-9", "nats-kill-1s")


async def bench_failover(root: Path, quick: bool, folder: Path | None, console: Console) -> dict[str, Any]:
    """Let each fault happen once to a stage of its own.

    Raises:
        ToolError: a process does not start.
    """
    before = machine()
    audio = (folder or root / "visits") / f"{VISIT}.flac"
    script = LoopedScript.from_json(audio.with_suffix(".json").read_text())
    sessions = QUICK_SESSIONS if quick else SESSIONS
    faults = [fault for fault in FAULTS if not quick or fault.name in QUICK_FAULTS]
    figures: dict[str, Any] = {
        "bench": "failover",
        "quick": quick,
        "engine": "scripted",
        "model": VISIT,
        "sessions": sessions,
        "workers": 2,
        "machine": before,
        "faults": {},
    }
    for fault in faults:
        console.print(f"{fault.name}: {sessions} sessions, 2 workers", highlight=False)
        figures["faults"][fault.name] = await _round(fault, audio, script, sessions, quick)
    _print(console, figures)
    return figures


async def _round(
    fault: Fault, audio: Path, script: LoopedScript, sessions: int, quick: bool
) -> dict[str, Any]:
    async with Stage(audio, sessions) as stage:
        await asyncio.sleep(WARM_UP_S / 2 if quick else WARM_UP_S)
        worker, at = await fault.happen(stage)
        await asyncio.sleep(SETTLE_S / 2 if quick else SETTLE_S)
        await stage.end_sessions()
        courses = await stage.courses()
        cost = sum((cost_of(script, reading) for reading in stage.readings.values()), Cost())
    if worker:
        times = takeovers_ms(courses, worker, at)
    else:
        times = [] if fault.name == "none" else resumptions_ms(courses, at)
    return {**asdict(cost), "taken_over": len(times), "takeover_ms": summary_ms(times, 50, 95)}


def _print(console: Console, figures: dict[str, Any]) -> None:
    table = Table(
        title=f"bench failover: {figures['sessions']} sessions, 2 workers, engine {figures['engine']}",
        title_justify="left",
    )
    table.add_column("fault")
    for name in ("lines", "chunks\nlost", "finals\nlost", "finals\ndoubled", "moved", "p50 ms", "p95 ms"):
        table.add_column(name, justify="right")
    for name, found in figures["faults"].items():
        declared = f" ({found['declared_lines']} declared)" if found["declared_lines"] else ""
        takeover = found["takeover_ms"]
        table.add_row(
            name,
            str(found["lines"]),
            str(found["lost_chunks"]),
            f"{found['lost_finals']}{declared}",
            str(found["double_finals"]),
            str(found["taken_over"]),
            *("-" if takeover[p] is None else f"{takeover[p]:.0f}" for p in ("p50", "p95")),
        )
    console.print(table)
    about = figures["machine"]
    console.print(
        f"{about['cores']} cores of {about['cpu']}, load before the run {about['load_1min']}",
        markup=False,
        highlight=False,
    )
