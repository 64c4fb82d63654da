"""What one service process holds: from its `/metrics` and, for threads, from /proc."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One look at one process. `cpu_s` is since its start."""

    fds: float
    tasks: float
    threads: float
    memory_mb: float
    loop_lag_ms: float
    cpu_s: float
    metrics: dict[str, float]
    """All samples by name, with their labels as written."""


async def sample_process(http: aiohttp.ClientSession, health_url: str, pid: int) -> ProcessSample:
    """Ask the service.

    Raises:
        aiohttp.ClientError: it does not answer.
    """
    async with http.get(f"{health_url}/metrics") as response:
        found = parse_metrics(await response.text())
    return ProcessSample(
        fds=found["process_open_fds"],
        tasks=found_by_name(found, "fieldcoach_loop_tasks"),
        threads=_threads(pid),
        memory_mb=found["process_resident_memory_bytes"] / 2**20,
        loop_lag_ms=found_by_name(found, "fieldcoach_loop_lag_seconds") * 1e3,
        cpu_s=found["process_cpu_seconds_total"],
        metrics=found,
    )


def parse_metrics(text: str) -> dict[str, float]:
    """The Prometheus text format: `name{labels} value` lines."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def found_by_name(metrics: dict[str, float], name: str, label: str = "") -> float:
    """The sum over all samples of that name, or over those with `label` (as in `event="bye"`)."""
    return sum(
        value
        for key, value in metrics.items()
        if key.partition("{")[0] in (name, f"{name}_total") and label in key
    )


def _threads(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nThreads:")[2].split(maxsplit=1)[0])
