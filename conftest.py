"""Shared by every test: a private nats-server, and the check that a test leaves nothing behind."""

import asyncio
import gc
import inspect
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support import CHROMIUM, NatsServer, fetched, installed, nats_server_binaries

_SETTLE_S = 3.0
"""How long a thread or socket that is already closing may take to be gone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for more of what the suite runs a share of."""
    parser.addoption("--mutations", type=int, default=0, help="mutated packets to send; default: a share")
    parser.addoption("--generated", type=int, default=0, help="playbooks and transcripts; default: a share")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch the browser before the first test: a test's time is too short for that."""
    if any("chromium" in getattr(item, "fixturenames", ()) for item in session.items):
        fetched("chromium", *CHROMIUM)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    return os.environ.get("CHROMIUM") or installed("chromium", *CHROMIUM)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server with JetStream, private to the test."""
    server = NatsServer(nats_server_binaries()[0], tmp_path / "jetstream")
    server.start()
    yield server
    server.kill()
    shutil.rmtree(tmp_path / "jetstream", ignore_errors=True)


@pytest.fixture
def nats_url(nats_server: NatsServer) -> str:
    """The address of the test's own nats-server."""
    return nats_server.url


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found |= {int(pid) for pid in (task / "children").read_text().split()}
        except OSError:
            continue
    return found


def _sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.is_alive()}


@pytest_asyncio.fixture
async def _no_leaked_task() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    leaked = {task for task in asyncio.all_tasks() - before if not task.done()} - {asyncio.current_task()}
    for _ in range(20):  # tasks that are about to end need a few turns of the loop
        await asyncio.sleep(0)
    # cancelled inside a connect it ends when its socket is closed; what nobody cancelled is a leak
    ending = {task for task in leaked if task.cancelling()}
    if ending:
        await asyncio.wait(ending, timeout=_SETTLE_S)
    leaked = {task for task in leaked if not task.done()}
    assert not leaked, f"tasks left behind: {[repr(task) for task in leaked]}"


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaks a task, thread, socket or subprocess (`leaks_allowed` states an exception)."""
    if request.node.get_closest_marker("leaks_allowed"):
        yield
        return
    threads, sockets, children = _threads(), _sockets(), _children()
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_no_leaked_task")
        sockets |= _sockets()  # the event loop's own
    yield
    deadline = time.monotonic() + _SETTLE_S
    while True:
        left = {
            "threads": [thread.name for thread in _threads() - threads],
            "sockets": sorted(_sockets() - sockets),
            "subprocesses": sorted(_children() - children),
        }
        if not any(left.values()):
            return
        if time.monotonic() > deadline:
            break
        gc.collect()
        threading.Event().wait(0.05)
    pytest.fail(f"left behind: { {kind: what for kind, what in left.items() if what} }")
