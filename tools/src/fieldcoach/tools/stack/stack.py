"""The supervisor: starts all, waits until all are ready, notices a death, stops all."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import aiohttp

from ..errors import NotReady, ProcessDied, StackError
from .nats import find_nats_server, read_port, write_config
from .plan import DRAIN_S, SERVICES, Keys, StackOptions, service_command, service_environment
from .ports import HOST, free_ports, require_free
from .process import OnLine, Process
from .state import RunDirectory, RunningStack
from .tokens import DEFAULT_TTL_S, dev_user_token

READY_LIMIT_S = 60.0
"""Without a sign of progress. A download shows progress and may take as long as it does."""
GRACE_S = DRAIN_S + 2.0
NATS_FOLDER = "fieldcoach-nats"
HEARTBEATS_S = 1.0
"""The worker's slots reach the gateway by way of the ingest, at 4 and 2 Hz: before that it refuses visits."""
_POLL_S = 0.1
_SHOWN_LINES = 15


class Progress(Protocol):
    """Who is told what the stack waits for."""

    def waiting(self, reasons: dict[str, str]) -> None:
        """Service name → why it is not ready; empty when all are."""


class Quiet:
    """Nobody is told."""

    def waiting(self, reasons: dict[str, str]) -> None:
        """Nothing."""


class Stack:
    """`async with Stack(options) as stack:` runs the whole system; several may run side by side."""

    def __init__(
        self,
        options: StackOptions,
        on_line: OnLine | None = None,
        command_of: Callable[[str], list[str]] = service_command,
    ) -> None:
        self.options = options
        self.processes: dict[str, Process] = {}
        self.gateway_url = ""
        self.nats_url = ""
        self.health_urls: dict[str, str] = {}
        self._progress: Progress = Quiet()
        self._on_line = on_line
        self._command_of = command_of
        self._keys = Keys()
        self._directory = RunDirectory(options.run_dir)
        self._private: Path | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def report_to(self, progress: Progress) -> None:
        """Tell this one what the start waits for."""
        self._progress = progress

    def user_token(self, ttl_s: int = DEFAULT_TTL_S) -> str:
        """A development user token for this stack."""
        return dev_user_token(self._keys.user, ttl_s)

    async def start(self) -> None:
        """Start everything and return when all are ready.

        Raises:
            StackError: which part failed, with its last log lines or its reason.
        """
        self._directory.hold()
        port = require_free(self.options.port) if self.options.port else free_ports(1)[0]
        server = find_nats_server()
        self._private = self.options.run_dir / NATS_FOLDER
        nats_port = await self._start_nats(server, self._private)
        self.nats_url = f"nats://{HOST}:{nats_port}"
        for service, health_port in zip(SERVICES, free_ports(len(SERVICES)), strict=True):
            env = service_environment(service, self.options, self._keys, nats_port, port, health_port)
            self.health_urls[service] = f"http://{HOST}:{health_port}"
            await self._launch(Process(service, self._command_of(service), env))
        await self._wait_until_ready()
        await asyncio.sleep(HEARTBEATS_S)
        self.gateway_url = f"http://{HOST}:{port}"
        self._directory.write(
            RunningStack(self.gateway_url, os.getpid(), self._keys.user, self.health_urls, self.nats_url)
        )

    async def wait_for_death(self) -> ProcessDied:
        """Return when one of the processes has ended by itself."""
        waits = {asyncio.create_task(process.ended.wait()): process for process in self.processes.values()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return _death(waits[done.pop()])
        finally:
            for wait in waits:
                wait.cancel()

    async def stop(self) -> None:
        """SIGTERM to the services, then to the bus they drain over; SIGKILL after the grace period."""
        try:
            services = [process for name, process in self.processes.items() if name != "nats"]
            await asyncio.gather(*(process.stop(GRACE_S) for process in services))
            if nats := self.processes.get("nats"):
                await nats.stop(GRACE_S)
            self.processes.clear()
        finally:  # a user who interrupts twice does not wait for the drain: the processes die with us
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
                self._private = None
            self._directory.release()

    async def _start_nats(self, server: Path, folder: Path) -> int:
        config = write_config(folder)
        nats = Process("nats", [str(server), "-c", str(config)], dict(os.environ))
        self._progress.waiting({"nats": "starting"})
        await self._launch(nats)
        port = await read_port(folder, nats.ended)
        if port is None:
            raise _death(nats)
        return port

    async def _launch(self, process: Process) -> None:
        process.on_line = self._on_line
        self.processes[process.name] = process
        try:
            await process.start()
        except OSError as error:
            raise StackError(f"can't start {process.name}: {error}") from error

    async def _wait_until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        last_progress = loop.time()
        last_seen: object = None
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while True:
                for process in self.processes.values():
                    if process.ended.is_set():
                        raise _death(process)
                reasons = {
                    service: reason
                    for service, url in self.health_urls.items()
                    if (reason := await _why_not_ready(http, url)) is not None
                }
                self._progress.waiting(reasons)
                if not reasons:
                    return
                seen = (reasons, [len(process.lines) for process in self.processes.values()])
                if seen != last_seen:
                    last_seen, last_progress = seen, loop.time()
                if loop.time() - last_progress > READY_LIMIT_S:
                    raise NotReady(reasons, READY_LIMIT_S)
                await asyncio.sleep(_POLL_S)


async def _why_not_ready(http: aiohttp.ClientSession, url: str) -> str | None:
    try:
        async with http.get(f"{url}/readyz") as response:
            return None if response.status == 200 else (await response.text()).strip()
    except (aiohttp.ClientError, TimeoutError):
        return "starting"


def _death(process: Process) -> ProcessDied:
    lines = list(process.lines)[-_SHOWN_LINES:]
    return ProcessDied(process.name, process.status if process.status is not None else -1, lines)
