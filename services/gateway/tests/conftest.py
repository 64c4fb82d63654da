"""A gateway on a free port, a real bus, and an ingest that is only pretended."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from nats.aio.subscription import Subscription
from tests.support import until

from fieldcoach.common.bus import Bus
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    IngestHeartbeat,
    SignalReply,
    SignalRequest,
    WorkerHeartbeat,
    decode_event,
)
from fieldcoach.common.telemetry import Headers
from fieldcoach.gateway.service import GatewayService
from fieldcoach.gateway.settings import GatewaySettings

USER_KEY = "user-key-of-the-tests-0123456789abcdef"
SESSION_KEY = "session-key-of-the-tests-0123456789abc"
ANSWER = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\n"


class FakeIngest:
    """Pretends to be an ingest and an asr worker: heartbeats, and answers to signals."""

    def __init__(self, bus: Bus) -> None:
        self.id = new_id()
        self.signals: list[SignalRequest] = []
        self.control: list[Any] = []
        self.reply = SignalReply(sdp=ANSWER, etag="e1")
        self.beaten_at = 0.0
        self.serving: Subscription | None = None
        self._bus = bus

    async def start(self) -> None:
        """Answer signals, listen to control, and be heard once."""
        self.serving = await self._bus.serve(self._bus.subjects.signal(self.id), self._answer)
        await self._bus.subscribe(self._bus.subjects.control_of_all(), self._hear)
        await self.beat()

    async def beat(self, **changes: Any) -> None:
        """One heartbeat of each."""
        self.beaten_at = time.monotonic()
        ingest = IngestHeartbeat(ingest=self.id, sessions=0, capacity=100, asr_slots_free=10)
        await self._bus.publish(
            self._bus.subjects.ingest_heartbeat(), ingest.model_copy(update=changes).encode()
        )
        worker = WorkerHeartbeat(
            worker=self.id,
            slots=10,
            used=0,
            real_time_factor=0.1,
            lag_ms=0,
            engine="replay",
            model="none",
            languages=("en",),
        )
        await self._bus.publish(self._bus.subjects.asr_heartbeat(), worker.encode())

    async def _answer(self, payload: bytes) -> SignalReply:
        self.signals.append(SignalRequest.decode(payload))
        return self.reply

    def _hear(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        self.control.append(decode_event(payload))


@dataclass
class Rig:
    """What a test holds in its hands."""

    url: str
    service: GatewayService
    ingest: FakeIngest
    bus: Bus
    http: aiohttp.ClientSession
    settings: GatewaySettings

    def user_token(self, key: str = USER_KEY, algorithm: str = "HS256", **changes: Any) -> str:
        claims = {"sub": "u1", "aud": "fieldcoach", "iss": "fieldcoach-dev", "exp": time.time() + 60}
        claims |= changes
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None}, key, algorithm
        )

    async def begin(self, consent: bool = True) -> dict[str, Any]:
        """Begin a session as a client does."""
        await self.ingest.beat()
        await self.settle()
        async with self.http.post(
            f"{self.url}/v1/sessions",
            json={"consent": {"given": consent}},
            headers={"Authorization": f"Bearer {self.user_token()}"},
        ) as response:
            assert response.status == 201, await response.text()
            answer: dict[str, Any] = await response.json()
            return answer

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that another task will make true."""
        await until(condition)

    async def settle(self) -> None:
        """The last heartbeats have reached the gateway."""
        fleet, name = self.service.gateway.fleet, self.ingest.id

        def is_heard() -> bool:
            ingest, worker = fleet._ingests.get(name), fleet._workers.get(name)
            if ingest is None or worker is None:
                return False
            return min(ingest.heard, worker[1]) >= self.ingest.beaten_at

        await self.until(is_heard)


Start = Callable[..., Any]


@pytest.fixture
async def start_gateway(nats_url: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts gateways with changed settings; ends them all."""
    rigs: list[Rig] = []
    buses: list[Bus] = []

    async def start(**changes: Any) -> Rig:
        values: dict[str, Any] = {
            "nats_url": nats_url,
            "port": 0,
            "user_token_key": USER_KEY,
            "session_token_key": SESSION_KEY,
            "web_dir": tmp_path / "web",
        }
        settings = GatewaySettings(**(values | changes))
        gateway_bus, test_bus = Bus(nats_url, "local", "gateway"), Bus(nats_url, "local", "test")
        for bus in (gateway_bus, test_bus):
            buses.append(bus)
            await bus.connect()
        service = GatewayService(settings, gateway_bus)
        await service.start()
        ingest = FakeIngest(test_bus)
        await ingest.start()
        http = aiohttp.ClientSession()
        rig = Rig(f"http://127.0.0.1:{service.port}", service, ingest, test_bus, http, settings)
        rigs.append(rig)
        return rig

    yield start
    for rig in rigs:
        await rig.http.close()
        await rig.service.drain()
    for bus in buses:
        await bus.drain()


@pytest.fixture
async def rig(start_gateway: Start) -> Rig:
    """A gateway with the default settings."""
    started: Rig = await start_gateway()
    return started
