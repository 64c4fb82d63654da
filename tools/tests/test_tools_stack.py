"""The supervisor, with services that only pretend (`FAKE`) and a real nats-server."""

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import jwt
import pytest

from fieldcoach.tools.errors import AlreadyRunning, NatsServerMissing, NoStack, PortInUse, ProcessDied
from fieldcoach.tools.stack import Stack, StackOptions
from fieldcoach.tools.stack.nats import find_nats_server
from fieldcoach.tools.stack.plan import Keys, service_environment
from fieldcoach.tools.stack.ports import free_ports, require_free
from fieldcoach.tools.stack.process import Process
from fieldcoach.tools.stack.state import STATE_FILE, RunningStack, read_running
from fieldcoach.tools.stack.tokens import dev_user_token

FAKE = """
import http.server, os, sys, time
ready_at = time.monotonic() + 0.3
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.monotonic() > ready_at
        self.send_response(200 if ready else 503); self.end_headers()
        self.wfile.write(b"ready" if ready else b"loading the model")
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["HEALTH_PORT"])), Answer).serve_forever()
"""


class Heard:
    def __init__(self) -> None:
        self.reasons: list[dict[str, str]] = []

    def waiting(self, reasons: dict[str, str]) -> None:
        self.reasons.append(dict(reasons))


def fake(service: str) -> list[str]:
    return [sys.executable, "-c", FAKE]


def options(tmp_path: Path, port: int = 0) -> StackOptions:
    return StackOptions(root=tmp_path, run_dir=tmp_path / "run", port=port)


async def test_a_stack_starts_says_what_it_waits_for_and_leaves_nothing(tmp_path: Path) -> None:
    heard = Heard()
    stack = Stack(options(tmp_path), command_of=fake)
    stack.report_to(heard)
    async with stack:
        pids = [process.pid for process in stack.processes.values()]
        assert set(stack.processes) == {"nats", "ingest", "asr", "coach", "gateway"}
        running = read_running(tmp_path / "run")
        assert (running.gateway_url, running.pid) == (stack.gateway_url, os.getpid())
        mode = (tmp_path / "run" / STATE_FILE).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        claims = jwt.decode(
            stack.user_token(), running.user_token_key, algorithms=["HS256"], audience="fieldcoach"
        )
        assert (claims["iss"], claims["sub"]) == ("fieldcoach-dev", "dev-user")
        assert all(is_alive(pid) for pid in pids)
    assert {"nats": "starting"} in heard.reasons
    assert any(reasons.get("asr") == "loading the model" for reasons in heard.reasons)
    assert heard.reasons[-1] == {}
    assert not any(is_alive(pid) for pid in pids)
    assert not (tmp_path / "run" / STATE_FILE).exists()
    with pytest.raises(NoStack, match="make up"):
        read_running(tmp_path / "run")


async def test_what_a_killed_stack_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    left = tmp_path / "run" / "fieldcoach-nats" / "nats-server_1.ports"
    left.parent.mkdir(parents=True)
    left.write_text('{"nats": ["nats://127.0.0.1:1"]}')
    async with Stack(options(tmp_path), command_of=fake) as stack:
        assert not left.exists()
        assert stack.nats_url != "nats://127.0.0.1:1"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["stack.lock"]


async def test_a_second_stack_in_the_same_place_is_told_of_the_first(tmp_path: Path) -> None:
    async with Stack(options(tmp_path), command_of=fake) as first:
        with pytest.raises(AlreadyRunning, match=f"{first.gateway_url}, process {os.getpid()}"):
            await Stack(options(tmp_path), command_of=fake).start()
        elsewhere = StackOptions(root=tmp_path, run_dir=tmp_path / "other")
        async with Stack(elsewhere, command_of=fake) as second:
            assert second.nats_url != first.nats_url
        assert read_running(tmp_path / "run").gateway_url == first.gateway_url


async def test_a_service_that_dies_at_the_start_is_named_with_its_last_lines(tmp_path: Path) -> None:
    def dying(service: str) -> list[str]:
        if service != "coach":
            return fake(service)
        return [sys.executable, "-c", "import sys; print('PLAYBOOKS_DIR: no such folder'); sys.exit(2)"]

    stack = Stack(options(tmp_path), command_of=dying)
    with pytest.raises(ProcessDied, match=r"coach ended with status 2(.|\n)*PLAYBOOKS_DIR: no such folder"):
        async with stack:
            raise AssertionError
    assert not stack.processes
    read_running_fails(tmp_path)


def read_running_fails(tmp_path: Path) -> None:
    with pytest.raises(NoStack):
        read_running(tmp_path / "run")


async def test_a_death_later_on_is_noticed(tmp_path: Path) -> None:
    async with Stack(options(tmp_path), command_of=fake) as stack:
        pid = stack.processes["asr"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        died = await asyncio.wait_for(stack.wait_for_death(), 5)
        assert (died.name, died.status) == ("asr", -signal.SIGKILL)


async def test_a_taken_port_is_told_with_the_fix(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} is in use.*PORT={port + 1} make up"):
            async with Stack(options(tmp_path, port=port), command_of=fake):
                raise AssertionError
    assert require_free(port) == port


def test_free_ports_differ() -> None:
    assert len(set(free_ports(8))) == 8


async def test_a_process_that_ignores_sigterm_is_killed_and_its_children_too() -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = Process("stubborn", [sys.executable, "-c", code], dict(os.environ))
    seen: asyncio.Queue[str] = asyncio.Queue()
    process.on_line = lambda name, line: seen.put_nowait(line)
    await process.start()
    grandchild = int(await asyncio.wait_for(seen.get(), 10))
    await process.stop(grace_s=0.2)
    assert process.status == -signal.SIGKILL
    assert await is_gone(grandchild)


async def test_nobody_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys\n"
        "from fieldcoach.tools.stack.process import Process\n"
        "async def main():\n"
        "    child = Process('child', ['sleep', '60'], dict(os.environ))\n"
        "    await child.start()\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    supervisor = Process("supervisor", [sys.executable, "-c", code], dict(os.environ))
    seen: asyncio.Queue[str] = asyncio.Queue()
    supervisor.on_line = lambda name, line: seen.put_nowait(line)
    await supervisor.start()
    child = int(await asyncio.wait_for(seen.get(), 10))
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    await asyncio.wait_for(supervisor.ended.wait(), 5)
    assert await is_gone(child)


def is_alive(pid: int | None) -> bool:
    """A zombie, which only its parent can bury, counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def is_gone(pid: int) -> bool:
    async with asyncio.timeout(5):
        while is_alive(pid):
            await asyncio.sleep(0.01)  # a stranger's process has no event to wait for
    return True


def test_a_missing_nats_server_is_told_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(NatsServerMissing, match="make setup"):
        find_nats_server(path=str(tmp_path))


def test_a_dead_stacks_state_file_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_text(
        '{"gateway_url": "http://127.0.0.1:1", "pid": 1, "user_token_key": "k"}'
    )
    with pytest.raises(NoStack, match="no stack runs"):
        read_running(tmp_path)


def test_keys_are_new_each_time_and_never_shown() -> None:
    one, other = Keys(), Keys()
    assert one.user != other.user
    assert len(one.user.encode()) >= 32
    assert one.user not in repr(one)
    assert "secret" not in repr(RunningStack("http://x", 1, "secret"))


def test_only_the_gateway_gets_the_keys_and_nobody_the_users_own(tmp_path: Path) -> None:
    inherited = {"ASR_MODEL": "small", "USER_TOKEN_KEY": "production", "PATH": "/bin"}
    keys = Keys()
    made = {
        service: service_environment(service, options(tmp_path), keys, 4222, 8080, 9, inherited)
        for service in ("ingest", "asr", "coach", "gateway")
    }
    assert made["asr"]["ASR_MODEL"] == "small"
    assert made["gateway"]["USER_TOKEN_KEY"] == keys.user
    for service in ("ingest", "asr", "coach"):
        assert "USER_TOKEN_KEY" not in made[service]
    assert made["gateway"]["HOST"] == "127.0.0.1"
    assert made["ingest"]["MEDIA_HOSTS"] == "127.0.0.1"
    assert {env["NATS_URL"] for env in made.values()} == {"nats://127.0.0.1:4222"}


def test_a_token_expires_when_asked() -> None:
    token = dev_user_token("k" * 48, ttl_s=60, now=1_000)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 60
