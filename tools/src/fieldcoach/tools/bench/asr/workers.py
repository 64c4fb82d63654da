"""Real asr workers and the bus between, each a process of its own; what they cost in CPU time."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ...errors import BenchError
from ...stack.nats import find_nats_server, read_port, write_config
from ...stack.plan import REGION, service_command
from ...stack.ports import HOST, free_ports
from ...stack.process import Process

GRACE_S: Final = 6.0
MANY_SESSIONS: Final = 1_000


class Workers:
    """`async with`: nats-server and `number` asr workers, one decoding thread and one core each."""

    def __init__(self, root: Path, number: int, **changes: str) -> None:
        self._root = root
        self._number = number
        self._changes = changes
        self._folder = Path(tempfile.mkdtemp(prefix="fieldcoach-bench-"))
        self._processes: list[Process] = []
        self.nats_url = ""

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        config = write_config(self._folder / "nats")
        nats = Process("nats", [str(find_nats_server()), "-c", str(config)], dict(os.environ))
        self._processes.append(nats)
        await nats.start()
        port = await read_port(self._folder / "nats", nats.ended)
        if port is None:
            raise BenchError(f"nats-server ended: {' '.join(nats.lines)}")
        self.nats_url = f"nats://{HOST}:{port}"
        cores = sorted(os.sched_getaffinity(0))
        for number, health_port in enumerate(free_ports(self._number)):
            worker = Process(f"asr-{number}", service_command("asr"), self._environment(health_port))
            self._processes.append(worker)
            await worker.start()
            assert worker.pid is not None
            # from the last core down: the sender and the bus have the first
            os.sched_setaffinity(worker.pid, {cores[-1 - number % len(cores)]})

    def _environment(self, health_port: int) -> dict[str, str]:
        return {
            **os.environ,
            "NATS_URL": self.nats_url,
            "REGION": REGION,
            "HEALTH_HOST": HOST,
            "HEALTH_PORT": str(health_port),
            "DRAIN_TIMEOUT_S": "3",
            "ASR_MODELS_DIR": str(self._root / "models"),
            "ASR_THREADS": "1",
            "ASR_MAX_SESSIONS": str(MANY_SESSIONS),
            **self._changes,
        }

    async def _stop(self) -> None:
        await asyncio.gather(*(worker.stop(GRACE_S) for worker in self._processes[1:]))
        for nats in self._processes[:1]:
            await nats.stop(GRACE_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def cpu_s(self) -> float:
        """CPU time of all workers since their start.

        Raises:
            BenchError: one has ended; with its last words.
        """
        total = 0.0
        for worker in self._processes[1:]:
            if not worker.is_running:
                raise BenchError(f"{worker.name} ended: {' '.join(list(worker.lines)[-3:])}")
            total += cpu_s(worker.pid or 0)
        return total


def cpu_s(pid: int) -> float:
    """User and system time of a process (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
