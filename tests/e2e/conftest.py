"""The whole system as real processes, and a browser."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import installed

ROOT = Path(__file__).parents[2]
FIELDCOACH = str(Path(sys.executable).parent / "fieldcoach")
VISITS = ROOT / "visits"


@dataclass(frozen=True)
class Running:
    """A system that `fieldcoach up` keeps running."""

    url: str
    run_dir: Path
    process: subprocess.Popen[str]

    def token(self) -> str:
        """A user token, as a developer gets one."""
        return subprocess.run(
            [FIELDCOACH, "token", "--run-dir", str(self.run_dir)], text=True, capture_output=True, check=True
        ).stdout.strip()


def start_system(run_dir: Path, *under: str, **environment: str) -> Running:
    """`fieldcoach up` on a free port, `under` a tracer if one is given; returns when it is ready."""
    process = subprocess.Popen(
        [*under, FIELDCOACH, "up", "--json", "--port", "0", "--run-dir", str(run_dir)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"fieldcoach up ended with status {process.wait()}")
    return Running(json.loads(line)["gateway_url"], run_dir, process)


def stop_system(running: Running) -> int:
    """As Ctrl-C or a process manager would; the exit status."""
    pid = json.loads((running.run_dir / "stack.json").read_text())["pid"]  # a tracer may stand before it
    os.kill(pid, signal.SIGTERM)
    status = running.process.wait(timeout=30)
    assert running.process.stdout is not None
    running.process.stdout.close()
    return status


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One system for all tests that only use it."""
    running = start_system(tmp_path_factory.mktemp("run"))
    yield running
    assert stop_system(running) == 0


@pytest.fixture(scope="session")
def strace() -> str:
    """The path of strace."""
    return installed("strace", "strace")


def gold(visit: str) -> dict[str, Any]:
    """The marks of a scripted visit."""
    marks: dict[str, Any] = json.loads((VISITS / f"{visit}.json").read_text())
    return marks


def words_of(text: str) -> list[str]:
    """Comparable words."""
    return "".join(char if char.isalnum() else " " for char in text.casefold()).split()


def word_errors(said: list[str], heard: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]
