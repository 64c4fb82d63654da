"""The gateway as its own process: settings from the environment, uvloop, SIGTERM with clients connected."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import pytest

from fieldcoach.common.bus import Bus
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import IngestHeartbeat, WorkerHeartbeat

USER_KEY = "user-key-of-the-process-test-012345678"


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    bus = Bus(nats_url, "local", "test")
    await bus.connect()
    yield bus
    await bus.drain()


async def start(nats_url: str, **changes: str) -> asyncio.subprocess.Process:
    environment = {
        "NATS_URL": nats_url,
        "PORT": "0",
        "USER_TOKEN_KEY": USER_KEY,
        "SESSION_TOKEN_KEY": "session-key-of-the-process-test-012345",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fieldcoach.gateway",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment | changes,
    )


async def line(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while text := await process.stdout.readline():
            found: dict[str, Any] = json.loads(text)
            if found["event"] == event:
                return found
    raise AssertionError(f"ended without {event!r}")


async def begin(bus: Bus, http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    token = jwt.encode(
        {"sub": "u", "aud": "fieldcoach", "iss": "fieldcoach-dev", "exp": time.time() + 60}, USER_KEY, "HS256"
    )
    ingest = IngestHeartbeat(ingest=new_id(), sessions=0, capacity=9, asr_slots_free=9)
    worker = WorkerHeartbeat(
        worker=new_id(), slots=9, used=0, real_time_factor=0, lag_ms=0, engine="replay", model="none"
    )
    async with asyncio.timeout(10):
        while True:
            await bus.publish(bus.subjects.ingest_heartbeat(), ingest.encode())
            await bus.publish(bus.subjects.asr_heartbeat(), worker.encode())
            async with http.post(
                f"{url}/v1/sessions",
                json={"consent": {"given": True}},
                headers={"Authorization": f"Bearer {token}"},
            ) as response:
                if response.status == 201:
                    answer: dict[str, Any] = await response.json()
                    return answer
                assert response.status == 503  # the heartbeats are on their way


async def test_a_process_serves_and_leaves_cleanly_with_clients_connected(nats_url: str, bus: Bus) -> None:
    process = await start(nats_url)
    port = (await line(process, "listening"))["port"]
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as http:
        session = await begin(bus, http, url)
        headers = {"Authorization": f"Bearer {session['session_token']}"}
        async with http.ws_connect(url + session["events_url"], headers=headers) as socket:
            async with asyncio.timeout(10):
                await socket.receive()
                process.send_signal(signal.SIGTERM)
                started = time.monotonic()
                assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
                assert socket.close_code == 1012
    async with asyncio.timeout(10):
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert time.monotonic() - started < 3
    assert session["session_token"].encode() not in output


async def test_it_waits_for_nats_and_says_so_once() -> None:
    process = await start("nats://127.0.0.1:9")
    await line(process, "waiting for NATS")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert output.count(b"waiting for NATS") == 0, "it was said before"


async def test_a_missing_key_is_named(nats_url: str) -> None:
    process = await start(nats_url, SESSION_TOKEN_KEY="")
    async with asyncio.timeout(10):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"SESSION_TOKEN_KEY: Field required" in errors
    assert b"openssl rand" in errors


async def test_a_taken_port_is_named(nats_url: str) -> None:
    first = await start(nats_url)
    port = (await line(first, "listening"))["port"]
    second = await start(nats_url, PORT=str(port))
    async with asyncio.timeout(20):
        output, _ = await second.communicate()
    assert second.returncode == 1
    assert f"PORT={port}" in output.decode()
    first.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await first.communicate()
    assert first.returncode == 0
