"""One process of the stack: started so that it can't outlive us, its last words kept in memory."""

import asyncio
import ctypes
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

LOG_LINES = 200
"""Kept per process: enough to see why it died, and bounded."""
_MAX_LINE_BYTES = 64 * 1024
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_LIBC = ctypes.CDLL(None, use_errno=True)

OnLine = Callable[[str, str], None]


class Process:
    """A child in a process group of its own, so that Ctrl-C in the terminal reaches only the supervisor."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=LOG_LINES)
        self.ended = asyncio.Event()
        self.status: int | None = None
        self.on_line: OnLine | None = None
        self._command = list(command)
        self._env = dict(env)
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id once it runs."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Started and not ended."""
        return self._process is not None and not self.ended.is_set()

    async def start(self) -> None:
        """Start it; its output is read from now on.

        Raises:
            OSError: the program can't be executed.
        """
        supervisor = os.getpid()

        def die_with_us() -> None:
            # SIGKILL, since nobody would be left to press a drain that hangs; nothing is on disk to be lost
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != supervisor:
                os._exit(1)

        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_MAX_LINE_BYTES,
            start_new_session=True,
            preexec_fn=die_with_us,
        )
        self._watcher = asyncio.create_task(self._watch(self._process))

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, wait, SIGKILL to the whole group."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.ended.wait()
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL to the whole group, so that a grandchild goes too, and wait for the end."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        await self.ended.wait()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            try:
                raw = await self._process.stdout.readline()
            except ValueError:  # a line over the limit; asyncio has thrown it away
                continue
            if not raw:
                break
            line = raw.decode("utf-8", "replace").rstrip()
            self.lines.append(line)
            if self.on_line:
                self.on_line(self.name, line)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        reading = asyncio.create_task(self._read())
        self.status = await process.wait()
        self._signal(signal.SIGKILL)  # a grandchild may still hold the pipe, and must not outlive its parent
        await reading
        self.ended.set()
