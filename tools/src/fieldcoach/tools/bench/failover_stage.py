"""The processes of one round of `bench failover`: nats-server, two asr workers, an ingest with its phones."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import FieldCoachError
from fieldcoach.common.follow import SessionFollower
from fieldcoach.common.messages import EventMessage, SignalReply, SignalRequest, WorkerHeartbeat
from fieldcoach.common.telemetry import Headers

from ..errors import BenchError
from ..stack.nats import find_nats_server, write_config
from ..stack.ports import HOST, free_ports
from ..stack.process import Process
from .failover_counts import Reading

REGION: Final = "bench"
START_LIMIT_S: Final = 60.0
GRACE_S: Final = 15.0
COMPLETE_LIMIT_S: Final = 60.0


class Stage:
    """`async with Stage(visit, sessions) as stage:` — all sessions are heard by a worker."""

    def __init__(self, audio: Path, sessions: int) -> None:
        self._audio = audio
        self._count = sessions
        self._port = free_ports(1)[0]
        self._folder = tempfile.TemporaryDirectory(prefix="fieldcoach-bench-")
        self._nats: Process | None = None
        self._processes: list[Process] = []
        self.workers: dict[str, Process] = {}
        """By id."""
        self._ingest: Process | None = None
        self._ingest_id = ""
        self._bus = Bus(f"nats://{HOST}:{self._port}", REGION, "bench")
        self._followers: list[SessionFollower] = []
        self.readings: dict[str, Reading] = {}
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        await self.start_nats()
        await self._bus.connect()
        script = str(self._audio.with_suffix(".json"))
        workers = [await self._launch("asr", "fieldcoach.asr.bench", "--visit", script) for _ in range(2)]
        for worker in workers:
            self.workers[(await _said(worker, "worker"))["worker"]] = worker
        await self._wait_for_workers()
        phones = ("--audio", str(self._audio), "--sessions", str(self._count))
        self._ingest = await self._launch("ingest", "fieldcoach.ingest.bench.phones", *phones)
        told = await _said(self._ingest, "sessions")
        self._ingest_id = told["ingest"]
        for session in told["sessions"]:
            reading = self.readings[session] = Reading(session)
            follower = SessionFollower(self._bus, session, partial(self._read, reading))
            self._followers.append(follower)
            await follower.start()

    async def _wait_for_workers(self) -> None:
        """Both can take sessions, so that each gets about half of them."""
        ready: set[str] = set()

        def heard(_subject: str, payload: bytes, _headers: Headers) -> None:
            beat = WorkerHeartbeat.decode(payload)
            if beat.slots:
                ready.add(beat.worker)
                self._changed.set()

        subscription = await self._bus.subscribe(self._bus.subjects.asr_heartbeat(), heard)
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while not ready >= set(self.workers):
                    await self.changed()
        except TimeoutError:
            raise BenchError(f"{len(ready)} of {len(self.workers)} asr workers became ready") from None
        await subscription.unsubscribe()

    def _read(self, reading: Reading, event: EventMessage, _headers: Headers) -> None:
        reading.add(event)
        self._changed.set()

    async def _launch(self, name: str, module: str, *arguments: str) -> Process:
        process = Process(name, [sys.executable, "-m", module, *arguments], self._environment())
        self._processes.append(process)
        await process.start()
        return process

    def _environment(self) -> Mapping[str, str]:
        made = {"NATS_URL": f"nats://{HOST}:{self._port}", "REGION": REGION, "PYTHONUNBUFFERED": "1"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASR_", "OTEL_"))}
        return {
            **kept,
            **made,
            "HEALTH_PORT": "0",
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
            "ASR_MAX_SESSIONS": "1000",
        }

    # ── the bus ──────────────────────────────────────────────────────────────────────────────────────────

    async def start_nats(self) -> None:
        """Start the server, or start it again, on the same port; returns when it accepts connections."""
        folder = Path(self._folder.name) / "nats"
        config = write_config(folder, self._port)
        self._nats = Process("nats", [str(find_nats_server()), "-c", str(config)], dict(os.environ))
        await self._nats.start()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_LIMIT_S
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, self._port)
                writer.close()
                return
            if self._nats.ended.is_set() or loop.time() > deadline:
                raise BenchError(f"nats-server did not start: {list(self._nats.lines)[-3:]}")
            await asyncio.sleep(0.01)

    async def kill_nats(self) -> None:
        """As `kill -9`."""
        assert self._nats is not None
        await self._nats.kill()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────

    async def changed(self) -> None:
        """Returns when a reader has got something."""
        self._changed.clear()
        await self._changed.wait()

    async def end_sessions(self) -> None:
        """Every user ends the visit; returns when all transcripts are complete, or after 60 s."""
        subject = self._bus.subjects.signal(self._ingest_id)
        for session in self.readings:
            with suppress(FieldCoachError):
                await self._bus.request(
                    subject, SignalRequest(action="end", session=session), SignalReply, timeout_s=2
                )
        with suppress(TimeoutError):
            async with asyncio.timeout(COMPLETE_LIMIT_S):
                while not all(reading.is_complete for reading in self.readings.values()):
                    await self.changed()

    async def courses(self) -> list[list[tuple[float, str, int]]]:
        """When each session's chunks went to whom. Ends the ingest."""
        assert self._ingest is not None
        await self._ingest.stop(GRACE_S)
        told: dict[str, list[tuple[float, str, int]]] = (await _said(self._ingest, "courses"))["courses"]
        return list(told.values())

    async def stop(self) -> None:
        """Stop everything."""
        for follower in self._followers:
            await follower.stop()
        for process in self._processes:
            if process.is_running and process.pid is not None:
                os.kill(process.pid, signal.SIGCONT)
        await asyncio.gather(*(process.stop(GRACE_S) for process in self._processes))
        await self._bus.drain()
        if self._nats is not None:
            await self._nats.stop(GRACE_S)
        self._folder.cleanup()


async def _said(process: Process, key: str) -> dict[str, Any]:
    """The line of JSON with this key, once the process has printed it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_LIMIT_S
    while True:
        for line in list(process.lines):
            if line.startswith("{") and f'"{key}"' in line:
                found: dict[str, Any] = json.loads(line)
                return found
        if process.ended.is_set() or loop.time() > deadline:
            raise BenchError(f"{process.name} did not say {key!r}: {list(process.lines)[-5:]}")
        await asyncio.sleep(0.02)
