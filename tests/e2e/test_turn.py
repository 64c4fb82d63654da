"""A real coturn with our configuration takes the gateway's credentials, and relays only to the ingest."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aioice import Connection
from aioice.turn import create_turn_endpoint
from tests.support import installed

from fieldcoach.gateway.turn import TurnServers

from .conftest import ROOT

SECRET = "turn-secret-of-the-tests-0123456789abc"
SESSION = "s" * 26
ALLOWED = "127.0.0.2"
"""Stands for the ingest."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_turnserver(folder: Path, port: int, *flags: str, **changes: object) -> Iterator[None]:
    """coturn with our configuration, on this machine; a change's name has `_` for `-`."""
    program = installed("coturn", "turnserver")
    options = {
        "static-auth-secret": SECRET,
        "listening-port": port,
        "listening-ip": "127.0.0.1",
        "relay-ip": "127.0.0.1",
        "pidfile": folder / "pid",
        "userdb": folder / "db",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    process = subprocess.Popen(
        [
            program,
            *("-c", str(ROOT / "deploy/coturn/turnserver.conf"), "--no-dtls", "--allow-loopback-peers"),
            *flags,
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        give_up = time.monotonic() + 10
        while True:
            assert process.poll() is None, "turnserver ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def turn_port(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    with running_turnserver(tmp_path, port, "--no-tls", allowed_peer_ip=ALLOWED):
        yield port


async def relayed(port: int, secret: str, now: float) -> list[str]:
    """The kinds of candidates that a phone gets by TURN over TCP."""
    (server,) = TurnServers((f"turn:127.0.0.1:{port}?transport=tcp",), secret).for_session(SESSION, now)
    connection = Connection(
        ice_controlling=True,
        turn_server=("127.0.0.1", port),
        turn_username=server.username,
        turn_password=server.credential,
        turn_transport="tcp",
    )
    try:
        await connection.gather_candidates()
        return [candidate.type for candidate in connection.local_candidates]
    finally:
        await connection.close()


async def test_credentials_of_the_gateway_open_a_relay_over_tcp(turn_port: int) -> None:
    assert "relay" in await relayed(turn_port, SECRET, time.time())


async def test_it_relays_to_the_ingest_and_to_nobody_else(turn_port: int) -> None:
    (server,) = TurnServers(("turn:t",), SECRET).for_session(SESSION, time.time())
    transport, _ = await create_turn_endpoint(
        asyncio.DatagramProtocol,
        server_addr=("127.0.0.1", turn_port),
        username=server.username,
        password=server.credential,
        transport="tcp",
    )
    with socket.socket(type=socket.SOCK_DGRAM) as ingest, socket.socket(type=socket.SOCK_DGRAM) as other:
        heard = []
        for peer, host in ((ingest, ALLOWED), (other, "127.0.0.3")):
            peer.bind((host, 0))
            peer.setblocking(False)
            transport.sendto(b"sound", peer.getsockname())
            try:
                async with asyncio.timeout(2):
                    heard.append(await asyncio.get_running_loop().sock_recv(peer, 100))
            except TimeoutError:
                heard.append(b"")
    transport.close()
    closing = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(closing, timeout=5)
    assert heard == [b"sound", b""]


async def test_another_secret_and_old_credentials_do_not(turn_port: int) -> None:
    for secret, now in (("another-secret", time.time()), (SECRET, time.time() - 3_600)):
        try:
            kinds = await relayed(turn_port, secret, now)
        except Exception:  # aioice raises its own class for an answer of 401
            kinds = []
        assert "relay" not in kinds
