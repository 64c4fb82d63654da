"""`fieldcoach bench soak`: a hundred visits that come and go, and what the ingest's process holds meanwhile.

The ingest, the gateway, the coach and the bus are real processes; the phones' ICE, DTLS and SRTP are real and
signalled through the gateway. In asr's place stands `acking_worker.py`, which acks and says nothing.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.table import Table

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import BenchError
from ..phone.api import GatewayApi
from ..phone.audio_file import read_pcm
from ..stack import Stack, StackOptions
from ..stack.plan import service_command
from .machine import machine
from .process_sample import ProcessSample, found_by_name, sample_process
from .soak_phones import SoakPhones, speech_packets
from .soak_plot import soak_plot
from .trend import trend

SAMPLE_S: Final = 5.0
RAMP_S: Final = 0.15
"""Between two visits at the beginning: a DTLS handshake costs the ingest some milliseconds."""
RETRY_S: Final = 1.0
FREE_MEDIA_S: Final = 20.0
END_S: Final = 40.0
"""A vanished phone's sockets and session go sooner than by default, so that a short run sees them go."""
SPEECH_S: Final = 30.0
VISIT: Final = "biscuits-no-space"
PANELS: Final = {
    "sessions": "sessions",
    "fds": "file descriptors",
    "tasks": "asyncio tasks",
    "threads": "threads",
    "memory_mb": "memory, MiB",
    "chunks_held": "chunks in the rings",
    "loop_lag_ms": "loop lag, worst of 10 s, ms",
    "cpu_percent": "CPU, % of a core",
}
JUDGED: Final = ("fds", "tasks", "threads", "memory_mb")


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """How many phones, how many percent of them are replaced each minute, how long."""

    sessions: int = 100
    churn: float = 5.0
    minutes: float = 30.0
    plot: Path | None = None
    """Where the SVG goes."""

    @property
    def warm_up_s(self) -> float:
        """The first visits, the first vanished phones, the allocator: a sixth, or a ghost's life."""
        return max(self.sessions * RAMP_S + END_S + 20, self.minutes * 10)

    @property
    def leave_every_s(self) -> float:
        """So many seconds from one departure to the next."""
        return 60 / (self.sessions * self.churn / 100) if self.churn else float("inf")


async def bench_soak(root: Path, plan: SoakPlan, console: Console) -> dict[str, Any]:
    """Run it, and say of each quantity whether it stays flat.

    Raises:
        BenchError: too short to say anything.
        ToolError: the system does not start.
    """
    if plan.minutes * 60 < plan.warm_up_s + 30:
        raise BenchError(
            f"--minutes {plan.minutes:g} is too short: use {(plan.warm_up_s + 30) / 60:.1f} or more"
        )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    packets = speech_packets(read_pcm(root / "visits" / f"{VISIT}.flac")[: int(2 * SAMPLE_RATE * SPEECH_S)])
    before = machine()
    with tempfile.TemporaryDirectory(prefix="fieldcoach-soak-") as run_dir:
        options = StackOptions(root=root, run_dir=Path(run_dir), environment=_environment(plan))
        async with Stack(options, command_of=_command) as stack:
            run = await _run(stack, packets, plan, console)
    figures = {"machine": before, "plan": _told(plan), **run}
    _print(console, figures)
    if plan.plot is not None:
        plan.plot.write_text(_plot(plan, run["samples"]))
        console.print(f"plot: {plan.plot}")
    return figures


def _environment(plan: SoakPlan) -> dict[str, str]:
    many = str(100 * plan.sessions)
    return {
        "MAX_SESSIONS": str(2 * plan.sessions + 20),
        "FREE_MEDIA_AFTER_S": str(FREE_MEDIA_S),
        "END_AFTER_S": str(END_S),
        "SESSIONS_PER_USER": many,
        "SESSIONS_PER_USER_PER_MINUTE": many,
        "REQUESTS_PER_ADDRESS_PER_MINUTE": many,
    }


def _command(service: str) -> list[str]:
    if service == "asr":
        return [sys.executable, "-m", "fieldcoach.tools.bench.acking_worker"]
    return service_command(service)


async def _run(
    stack: Stack, packets: list[tuple[int, bytes]], plan: SoakPlan, console: Console
) -> dict[str, Any]:
    async with GatewayApi(stack.gateway_url) as api:
        phones = SoakPhones(api, stack.user_token(ttl_s=round(plan.minutes * 60) + 600), packets)
        speaking = asyncio.create_task(phones.speak())
        sampling = asyncio.create_task(_sample(stack, phones, plan, console))
        churning = asyncio.create_task(_churn(phones, plan))
        try:
            await asyncio.wait({speaking, sampling, churning}, return_when=asyncio.FIRST_COMPLETED)
            for task in (speaking, churning):
                if task.done():
                    task.result()
            samples, last = await sampling
        finally:
            everything: list[asyncio.Task[Any]] = [churning, sampling, speaking]
            for work in everything:
                work.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            await phones.close()
        emptied = await _emptied(stack)
    log = list(stack.processes["ingest"].lines)
    return {
        "verdicts": _verdicts(plan, samples),
        "phones": {**phones.counts, "packets_sent": phones.sent, "worst_late_ms": round(phones.late_s * 1e3)},
        "ingest": _counted(last.metrics),
        "bench_cpu_percent": round(100 * time.process_time() / (plan.minutes * 60), 1),
        "after_all_have_gone": emptied,
        "tracebacks": sum("Traceback" in line or '"level": "error"' in line.lower() for line in log),
        "samples": samples,
    }


async def _churn(phones: SoakPhones, plan: SoakPlan) -> None:
    for _ in range(plan.sessions):
        await asyncio.gather(phones.add(), asyncio.sleep(RAMP_S))
    number = 0
    while True:
        await asyncio.sleep(min(plan.leave_every_s, 1e6))
        number += 1
        await phones.leave(is_silent=number % 2 == 0)
        while phones.live < plan.sessions:  # one that found no place is tried again
            await phones.add()
            await asyncio.sleep(RETRY_S)


async def _sample(
    stack: Stack, phones: SoakPhones, plan: SoakPlan, console: Console
) -> tuple[list[dict[str, float]], ProcessSample]:
    pid = stack.processes["ingest"].pid
    assert pid is not None
    begun = time.monotonic()
    samples: list[dict[str, float]] = []
    before: tuple[float, float] | None = None
    async with aiohttp.ClientSession() as http:
        while True:
            at = time.monotonic() - begun
            sample = await sample_process(http, stack.health_urls["ingest"], pid)
            found = {key: value for key, value in asdict(sample).items() if key in PANELS}
            found["at_s"] = round(at, 1)
            found["sessions"] = found_by_name(sample.metrics, "fieldcoach_ingest_sessions")
            found["chunks_held"] = found_by_name(sample.metrics, "fieldcoach_ingest_chunks_held")
            found["cpu_percent"] = 100 * (sample.cpu_s - before[1]) / (at - before[0]) if before else 0.0
            before = at, sample.cpu_s
            samples.append({key: round(value, 2) for key, value in found.items()})
            if len(samples) % 12 == 0:
                console.print(_line(samples[-1], phones))
            if at >= plan.minutes * 60:
                return samples, sample
            await asyncio.sleep(SAMPLE_S)


def _line(sample: Mapping[str, float], phones: SoakPhones) -> str:
    told = " · ".join(f"{title} {sample[key]:g}" for key, title in PANELS.items())
    return f"{sample['at_s'] / 60:.1f} min · {phones.live} phones · {told}"


def _verdicts(plan: SoakPlan, samples: list[dict[str, float]]) -> dict[str, Any]:
    warm = [sample for sample in samples if sample["at_s"] >= plan.warm_up_s]
    found = {}
    for key in JUDGED:
        line = trend([sample["at_s"] for sample in warm], [sample[key] for sample in warm])
        found[key] = {name: _short(value) for name, value in asdict(line).items()} if line else None
    for key in ("loop_lag_ms", "cpu_percent"):
        values = sorted(sample[key] for sample in warm)
        found[key] = {"p50": values[len(values) // 2], "p95": values[int(0.95 * (len(values) - 1))]}
    return found


def _short(value: float | str) -> float | str:
    return value if isinstance(value, str) else round(value, 3)


def _counted(metrics: Mapping[str, float]) -> dict[str, float]:
    """The ingest's own counters of what went wrong, and of what came."""
    wanted = ("transports", "packets", "offers", "failovers", "lost_ms", "sessions_ended")
    found = {}
    for key, value in metrics.items():
        name = key.partition("{")[0].removeprefix("fieldcoach_ingest_").removesuffix("_total")
        if name in wanted:
            label = next(part for part in key.partition("{")[2].split(",") if not part.startswith("otel"))
            found[f"{name}.{label.split(chr(34))[1]}"] = value
    found["loop_exceptions"] = found_by_name(dict(metrics), "fieldcoach_loop_exceptions")
    return found


async def _emptied(stack: Stack) -> dict[str, float]:
    """What is left a moment after the last ghost's session has ended."""
    pid = stack.processes["ingest"].pid
    assert pid is not None
    give_up = time.monotonic() + FREE_MEDIA_S + END_S + 30
    async with aiohttp.ClientSession() as http:
        while True:
            sample = await sample_process(http, stack.health_urls["ingest"], pid)
            sessions = found_by_name(sample.metrics, "fieldcoach_ingest_sessions")
            if sessions == 0 or time.monotonic() > give_up:
                break
            await asyncio.sleep(1)
        await asyncio.sleep(20)  # an ended session lingers for 15 s at most
        sample = await sample_process(http, stack.health_urls["ingest"], pid)
    return {
        "sessions": sessions,
        "fds": sample.fds,
        "tasks": sample.tasks,
        "threads": sample.threads,
        "memory_mb": round(sample.memory_mb, 1),
    }


def _told(plan: SoakPlan) -> dict[str, Any]:
    return {
        "sessions": plan.sessions,
        "churn_percent_per_minute": plan.churn,
        "minutes": plan.minutes,
        "warm_up_s": plan.warm_up_s,
        "free_media_after_s": FREE_MEDIA_S,
        "end_after_s": END_S,
        "asr": "acking_worker",
    }


def _print(console: Console, figures: Mapping[str, Any]) -> None:
    table = Table("ingest process", "mean", "growth over the run (95 %)", "verdict", "after all have gone")
    for key in JUDGED:
        found, left = figures["verdicts"][key], figures["after_all_have_gone"][key]
        if found is None:
            table.add_row(PANELS[key], "", "", "too short", f"{left:g}")
            continue
        growth = f"{found['growth']:+.2f} ± {found['margin']:.2f}"
        table.add_row(PANELS[key], f"{found['mean']:.1f}", growth, found["verdict"], f"{left:g}")
    console.print(table)
    for key in ("loop_lag_ms", "cpu_percent"):
        found = figures["verdicts"][key]
        console.print(f"{PANELS[key]}: p50 {found['p50']:g}, p95 {found['p95']:g}")
    console.print(f"phones: {json.dumps(figures['phones'])}")
    console.print(f"counted by the ingest: {json.dumps(figures['ingest'])}")
    console.print(
        f"errors in its log: {figures['tracebacks']}; this command's CPU: {figures['bench_cpu_percent']} %"
    )


def _plot(plan: SoakPlan, samples: list[dict[str, float]]) -> str:
    title = f"{plan.sessions} sessions, {plan.churn:g} % of them replaced a minute"
    series = {name: [sample[key] for sample in samples] for key, name in PANELS.items()}
    return soak_plot(title, [sample["at_s"] / 60 for sample in samples], series, plan.warm_up_s / 60)
