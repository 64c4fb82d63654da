"""Opus over WebSocket: a phone whose UDP is blocked."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from tests.support import NatsServer

from fieldcoach.common.messages import OpusFrames, OpusPacket, Problem, SignalReply
from fieldcoach.common.opus_frames import RING_PACKETS, pack_frame
from fieldcoach.common.telemetry import Headers
from fieldcoach.gateway import fleet
from fieldcoach.gateway.audio_intake import MAX_BAD, PACKETS_PER_MINUTE, AudioIntake

from .conftest import Rig, Start
from .test_gateway_http import bearer

V1 = "fieldcoach.audio.v1"


def packet(number: int) -> OpusPacket:
    return OpusPacket(sequence=number & 0xFFFF, timestamp=number * 960, payload=b"\x48\1\2")


class Heard:
    """What comes over the bus for the ingest."""

    def __init__(self) -> None:
        self.frames: list[OpusFrames] = []

    async def listen(self, rig: Rig) -> "Heard":
        await rig.bus.subscribe(rig.bus.subjects.opus_of_ingest(rig.ingest.id), self._hear)
        return self

    def _hear(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        self.frames.append(OpusFrames.decode(payload))

    @property
    def packets(self) -> list[OpusPacket]:
        return [packet for frames in self.frames for packet in frames.packets]


@asynccontextmanager
async def connected(rig: Rig, session: dict[str, Any], **more: Any) -> Any:
    options: dict[str, Any] = {"headers": bearer(session["session_token"]), "protocols": (V1,)} | more
    async with rig.http.ws_connect(rig.url + session["audio_url"], **options) as ws:
        yield ws


async def close_code(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(10):
        await ws.receive()
    return ws.close_code


async def test_sound_goes_to_the_ingest_under_a_source_of_its_own(rig: Rig) -> None:
    session = await rig.begin()
    heard = await Heard().listen(rig)
    assert session["audio_url"] == f"/v1/sessions/{session['session_id']}/audio"
    async with connected(rig, session) as ws:
        assert ws.protocol == V1
        await ws.send_bytes(pack_frame([packet(0)]))
        await ws.send_bytes(pack_frame([packet(1), packet(2)]))
        await rig.until(lambda: len(heard.packets) == 3)
    await rig.until(lambda: heard.frames[-1].last)
    assert heard.packets == [packet(0), packet(1), packet(2)]
    assert {frames.session for frames in heard.frames} == {session["session_id"]}
    (signal,) = rig.ingest.signals
    assert (signal.action, signal.resource) == ("audio", heard.frames[0].source)
    assert rig.service.gateway.telemetry.audio["passed"] == 3
    assert not len(rig.service.gateway.active_audio)


async def test_a_browser_s_token_stands_in_the_subprotocols(rig: Rig) -> None:
    session = await rig.begin()
    protocols = (V1, f"bearer.{session['session_token']}")
    async with connected(rig, session, headers={}, protocols=protocols) as ws:
        assert ws.protocol == V1
        await rig.until(lambda: len(rig.service.gateway.active_audio) == 1)


async def test_without_token_consent_or_right_origin_it_is_closed(rig: Rig) -> None:
    session, other = await rig.begin(), await rig.begin()
    silent = await rig.begin(consent=False)
    for wanted, options, code in (
        (session, {"headers": {}}, 4401),
        (session, {"headers": bearer("x.y.z")}, 4401),
        (session, {"headers": bearer(other["session_token"])}, 4403),
        (session, {"headers": bearer(session["session_token"]) | {"Origin": "https://evil.example"}}, 4403),
        (silent, {}, 4403),
    ):
        async with connected(rig, wanted, **options) as ws:
            assert await close_code(ws) == code, options
    assert not rig.ingest.signals


async def test_an_ingest_without_room_and_a_session_that_has_ended(rig: Rig) -> None:
    session = await rig.begin()
    for status, code in ((503, 1013), (404, 1000)):
        rig.ingest.reply = SignalReply(problem=Problem(type="no-capacity", title="x", status=status))
        async with connected(rig, session) as ws:
            assert await close_code(ws) == code


async def test_a_newer_socket_replaces_the_older(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as old:
        await rig.until(lambda: len(rig.service.gateway.active_audio) == 1)
        async with connected(rig, session) as new:
            assert await close_code(old) == 4409
            heard = await Heard().listen(rig)
            await new.send_bytes(pack_frame([packet(9)]))
            await rig.until(lambda: bool(heard.packets))
            assert len(rig.service.gateway.active_audio) == 1


async def test_the_end_of_the_visit_closes_it(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as ws:
        await rig.until(lambda: len(rig.service.gateway.active_audio) == 1)
        headers = bearer(session["session_token"])
        async with rig.http.post(rig.url + session["end_url"], headers=headers) as response:
            assert response.status == 202
        assert await close_code(ws) == 1000


async def test_an_ingest_that_dies_sends_the_phone_to_another(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "FRESH_S", 0.2)
    monkeypatch.setattr(fleet, "GONE_S", 0.2)
    session = await rig.begin()
    async with connected(rig, session) as ws:
        await rig.until(lambda: len(rig.service.gateway.active_audio) == 1)
        # no heartbeat follows
        assert await close_code(ws) == 1012
    assert rig.service.gateway.telemetry.audio["ingest-gone"] == 1


def test_an_ingest_is_gone_after_a_while_with_the_bus_and_without_heartbeats() -> None:
    watch = fleet.IngestWatch()
    assert not watch.is_gone(0.0, has_bus=True, is_heard=True)
    assert not watch.is_gone(1.0, has_bus=True, is_heard=False)
    assert not watch.is_gone(2.9, has_bus=True, is_heard=False)
    # the bus was away: what is heard after it counts
    assert not watch.is_gone(5.0, has_bus=False, is_heard=False)
    assert not watch.is_gone(6.0, has_bus=True, is_heard=False)
    assert not watch.is_gone(7.9, has_bus=True, is_heard=False)
    assert watch.is_gone(8.0, has_bus=True, is_heard=False)


async def test_a_restart_of_the_gateway_says_so(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as ws:
        await rig.until(lambda: len(rig.service.gateway.active_audio) == 1)
        rig.service.gateway.active_audio.close_all(1012)  # type: ignore[arg-type]
        assert await close_code(ws) == 1012


async def test_bad_frames_are_counted_and_too_many_end_it(rig: Rig) -> None:
    session = await rig.begin()
    telemetry = rig.service.gateway.telemetry
    async with connected(rig, session) as ws:
        for _ in range(MAX_BAD):
            await ws.send_bytes(b"\2\1")
        await ws.send_str("hello")
        assert await close_code(ws) == 1008
    assert telemetry.audio["frame-version"] == MAX_BAD
    assert telemetry.audio["frame-text"] == 1
    assert telemetry.audio_closes["1008"] == 1


async def test_while_the_bus_is_away_the_newest_second_is_kept(
    start_gateway: Start, nats_server: NatsServer
) -> None:
    rig: Rig = await start_gateway()
    session = await rig.begin()
    telemetry = rig.service.gateway.telemetry
    async with connected(rig, session) as ws:
        await rig.until(lambda: len(rig.service.gateway.active_audio) == 1)
        nats_server.kill()
        await rig.until(lambda: not rig.service.gateway.bus.can_publish)
        for number in range(150):
            await ws.send_bytes(pack_frame([packet(number)]))
        await rig.until(lambda: telemetry.audio["oldest"] >= 99)
        nats_server.start()


def test_the_intake_bounds_rate_and_ring() -> None:
    counts: dict[str, int] = {}

    def count(reason: str, amount: int) -> None:
        counts[reason] = counts.get(reason, 0) + amount

    intake = AudioIntake(count, 0.0)
    for number in range(PACKETS_PER_MINUTE + 5):
        intake.put(pack_frame([OpusPacket(sequence=0, timestamp=0, payload=b"\x48")]), 0.0)
        assert len(intake) <= RING_PACKETS, number
    assert counts["too-many"] == 5
    assert counts["oldest"] == PACKETS_PER_MINUTE - RING_PACKETS
    assert len(intake.take()) == RING_PACKETS
    assert intake.take() == ()
    assert not intake.is_hopeless
