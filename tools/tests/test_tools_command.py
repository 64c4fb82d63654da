"""The command line: what is said, where, and with which status."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from fieldcoach.tools import running
from fieldcoach.tools.bench import machine
from fieldcoach.tools.commands.visit import VisitRequest, find_gateway
from fieldcoach.tools.errors import (
    AudioUnreadable,
    GatewayUnreachable,
    NotReady,
    ProjectNotFound,
    StackError,
    TokenMissing,
)
from fieldcoach.tools.phone.audio_file import read_pcm
from fieldcoach.tools.project import project_root
from fieldcoach.tools.stack.state import RunDirectory, RunningStack

FIELDCOACH = [sys.executable, "-c", "from fieldcoach.tools.cli import main; main()"]


def fieldcoach(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FIELDCOACH, *arguments], text=True, capture_output=True, check=False, timeout=60)


def test_without_a_stack_there_is_no_token(tmp_path: Path) -> None:
    done = fieldcoach("token", "--run-dir", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr
        == f"fieldcoach: no stack runs from {tmp_path}; start one with `make up` (or: fieldcoach up)\n"
    )


def test_a_playbook_is_checked_and_tried_by_the_coach(tmp_path: Path) -> None:
    good = str(project_root() / "playbooks/outlet-en.yaml")
    done = fieldcoach("playbook", "lint", good)
    assert (done.returncode, done.stderr) == (0, "")
    assert "outlet-en.yaml: good." in done.stdout
    visit = str(project_root() / "visits/biscuits-no-space.json")
    tried = json.loads(fieldcoach("playbook", "try", good, visit, "--json").stdout)
    assert [decision["cue"] for decision in tried["decisions"] if decision["shown"]] == ["obj_no_space"]
    bad = tmp_path / "bad.yaml"
    bad.write_text("schema: coach.playbook/1\nid: bad\nversoin: 1\n")
    done = fieldcoach("playbook", "lint", str(bad))
    assert done.returncode == 1
    assert f"{bad}:3: versoin: unknown key 'versoin'. Fix: did you mean 'version'" in done.stderr
    assert done.stdout == ""


def test_a_token_of_the_running_stack(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.hold()
    directory.write(RunningStack("http://127.0.0.1:1", 1, "k" * 48))
    try:
        done = fieldcoach("token", "--run-dir", str(tmp_path))
    finally:
        directory.release()
    assert done.returncode == 0
    assert done.stdout.count(".") == 2
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("bench", "nonsense"), 2, "No such command 'nonsense'"),
        (("bench", "visit", "--visits", "/nowhere"), 1, "--visits /nowhere: no such folder"),
        (("visit", "--audio", "/nowhere.flac"), 1, "/nowhere.flac: no such file"),
        (("visit", "--audio", "x", "--profile", "L9"), 1, "--profile L9: use one of L0, L1, L2, L3, L4"),
        (("demo", "--audio", "/nowhere.flac"), 1, "/nowhere.flac: no such file"),
        (("visit",), 2, "--audio"),
        (("up", "--port", "70000"), 2, "--port"),
    ],
)
def test_a_mistake_is_told_without_a_traceback(arguments: tuple[str, ...], status: int, said: str) -> None:
    done = fieldcoach(*arguments)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupt_cancels_the_work_and_sets_the_status() -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(10)
        finally:
            cleaned.append("yes")

    with pytest.raises(typer.Exit) as caught, running.reported():
        running.run(work())
    assert caught.value.exit_code == 128 + signal.SIGTERM
    with pytest.raises(typer.Exit) as caught, running.reported(interrupt_is_success=True):
        running.run(work())
    assert caught.value.exit_code == 0
    assert cleaned == ["yes", "yes"]


def test_a_bug_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError), running.reported():
        raise ZeroDivisionError


async def test_where_the_token_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIELDCOACH_TOKEN", raising=False)

    def request(**fields: Any) -> VisitRequest:
        return VisitRequest(audio=Path("x"), run_dir=tmp_path, **fields)

    with pytest.raises(TokenMissing, match="--token or set FIELDCOACH_TOKEN"):
        await find_gateway(request(gateway="https://coach.example.org"))
    with pytest.raises(GatewayUnreachable, match=r"127\.0\.0\.1:9"):
        await find_gateway(request(gateway="http://127.0.0.1:9"))
    directory = RunDirectory(tmp_path)
    directory.hold()
    directory.write(RunningStack("http://127.0.0.1:1234", 1, "k" * 48))
    try:
        gateway, token = await find_gateway(request())
        assert gateway == "http://127.0.0.1:1234"
        assert token.count(".") == 2
        assert (await find_gateway(request(gateway="http://localhost:1234")))[1].count(".") == 2
    finally:
        directory.release()
    monkeypatch.setenv("FIELDCOACH_TOKEN", "from-environment")
    assert await find_gateway(request(gateway="http://g")) == ("http://g", "from-environment")
    assert await find_gateway(request(gateway="http://g", token="given")) == ("http://g", "given")


def test_any_audio_becomes_16_khz_mono(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    visits = request.config.rootpath / "visits"
    seconds = json.loads((visits / "quick-order.json").read_text())["seconds"]
    assert len(read_pcm(visits / "quick-order.flac")) == pytest.approx(32_000 * seconds, rel=0.001)
    text = tmp_path / "words.txt"
    text.write_text("no audio at all")
    with pytest.raises(AudioUnreadable, match=r"words\.txt"):
        read_pcm(text)


def test_the_checkout_is_found_from_below(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = request.config.rootpath
    assert project_root(root / "tools" / "tests") == root
    monkeypatch.setenv("FIELDCOACH_ROOT", str(root / "docs"))
    assert project_root() == root


def test_outside_any_checkout_the_fix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fieldcoach.tools import project

    monkeypatch.setattr(project, "_MARKS", ("no-such-folder",))
    with pytest.raises(ProjectNotFound, match="FIELDCOACH_ROOT"):
        project_root(tmp_path)


def test_errors_carry_what_a_program_needs() -> None:
    error = NotReady({"asr": "loading the model", "coach": "no playbook"}, 60)
    assert str(error) == "not ready after 60 s: asr: loading the model; coach: no playbook"
    assert isinstance(error, StackError)


def test_the_machine_is_named() -> None:
    about = machine.machine()
    assert about["cores"]
    assert about["cpu"]
    assert 0 < machine.process_age_s() < 100_000
