"""Audio and words live in RAM only: a visit under a system-call trace, and what it opened for writing."""

import re
import subprocess
from pathlib import Path

import pytest

from .conftest import FIELDCOACH, ROOT, VISITS, start_system, stop_system

OPENED = re.compile(r'(?:openat|open|creat|openat2)\((?:AT_FDCWD, |\d+, )?"([^"]+)", ([^)]*)\)\s*= \d+')
OTHER_WAYS = re.compile(r"(?:memfd_create|rename\w*|link\w*|truncate)\(")
HARMLESS = re.compile(
    r"""/dev/(null|tty|urandom|shm/sem\.\w+)   # no storage
      | /proc/.*                               # the kernel's own
      | /sys/.*
      """,
    re.X,
)


@pytest.mark.stack
@pytest.mark.timeout(180)
def test_nothing_of_a_visit_is_written_to_disk(strace: str, tmp_path: Path) -> None:
    trace, run_dir = tmp_path / "trace", tmp_path / "run"
    running = start_system(
        run_dir,
        strace, "-f", "--seccomp-bpf", "-qq", "-o", str(trace),
        "-e", "trace=open,openat,openat2,creat,memfd_create,rename,renameat,renameat2,truncate",
    )  # fmt: skip
    try:
        before_visit = len(trace.read_text().splitlines())
        access = ["--gateway", running.url, "--token", running.token()]
        done = subprocess.run(
            [FIELDCOACH, "visit", "--audio", str(VISITS / "quick-order.flac"), "--json", *access],
            text=True,
            capture_output=True,
            cwd=ROOT,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert '"summary"' in done.stdout
    finally:
        stop_system(running)

    lines = trace.read_text().splitlines()
    written = [_opened_for_writing(line) for line in lines]
    of_visit = sorted({path for path in written[before_visit:] if path})
    of_start = sorted({path for path in written[:before_visit] if path})
    assert of_visit == [], "opened for writing while a visit ran, or after it"
    # what the start writes: the private state of the stack, and the configuration of its bus
    unexpected = [
        path for path in of_start if not re.search(r"/run/stack\.(json|lock)$|/fieldcoach-\w+/", path)
    ]
    assert unexpected == []
    text = "".join(path.read_text(errors="replace") for path in run_dir.rglob("*") if path.is_file())
    assert "cola" not in text


def _opened_for_writing(line: str) -> str | None:
    if OTHER_WAYS.search(line):
        return line
    match = OPENED.search(line)
    if match is None or not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE", match[2]):
        return None
    return None if HARMLESS.fullmatch(match[1]) else match[1]
