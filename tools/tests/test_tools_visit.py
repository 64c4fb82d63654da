"""The phone against a gateway that only pretends (`FakeGateway`), with a real peer connection."""

import asyncio
import json
import re
import wave
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from aiohttp import WSMsgType, web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from fieldcoach.tools.commands.visit import JsonView, VisitRequest
from fieldcoach.tools.commands.visit import visit as visit_command
from fieldcoach.tools.errors import (
    EventsClosed,
    GatewayUnreachable,
    MediaFailed,
    Refused,
    SummaryMissing,
    UnknownNetwork,
    VisitError,
)
from fieldcoach.tools.phone import visit as visit_module
from fieldcoach.tools.phone.profile import SendProfile
from fieldcoach.tools.phone.visit import Visit, VisitPlan

SPEECH = (b"\x00\x10\x00\xf0" * 8_000)[: 32_000 // 2]  # half a second of a square wave


class FakeGateway:
    """Answers as docs/protocol.md says; what it does wrong is switched on by the test."""

    def __init__(self) -> None:
        self.refuse_session: tuple[int, dict[str, Any]] | None = None
        self.answers_media = True
        self.drop_events_once = False
        self.close_code: int | None = None
        self.messages: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []
        self.resumed_after: list[str | None] = []
        self.authorizations: list[str] = []
        self.packets = 0
        self.offers_addresses = True
        self.offers = 0
        self.asked = 0
        self.sends_summary = True
        self.url = ""
        self._socket: web.WebSocketResponse | None = None
        self._peer: RTCPeerConnection | None = None
        self._next = 0

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/sessions", self.create)
        app.router.add_post("/v1/sessions/s/whip", self.whip)
        app.router.add_get("/v1/sessions/s/events", self.events)
        app.router.add_post("/v1/sessions/s/end", self.end)
        app.router.add_get("/v1/sessions/s/summary", self.summary)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def stop(self) -> None:
        if self._peer:
            await self._peer.close()

    async def create(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers["Authorization"])
        if self.refuse_session:
            status, problem = self.refuse_session
            return web.json_response(problem, status=status, content_type="application/problem+json")
        assert (await request.json())["consent"]["given"] is True
        base = "/v1/sessions/s"
        return web.json_response(
            {
                "session_id": "s",
                "session_token": "first",
                "whip_url": f"{base}/whip",
                "events_url": f"{base}/events",
                "end_url": f"{base}/end",
                "summary_url": f"{base}/summary",
                "ice_servers": [],
                "profile": {"rung": "L1", "max_bitrate": 16_000, "ptime_ms": 40, "fec": True, "dtx": True},
                "asr": {"engine": "fake", "model": "none"},
            },
            status=201,
        )

    async def whip(self, request: web.Request) -> web.Response:
        offer = await request.text()
        self.offers += 1
        assert request.content_type == "application/sdp"
        assert "opus/48000" in offer
        assert "PCMU" not in offer
        self.offers_addresses = "a=candidate" in offer
        if self.answers_media:
            self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await self._peer.setLocalDescription(await self._peer.createAnswer())
            answer = self._peer.localDescription.sdp
        else:
            answer = "v=0\r\n"
        return web.Response(
            status=201, text=answer, content_type="application/sdp", headers={"Location": "/m"}
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        self.authorizations.append(request.headers["Authorization"])
        self.resumed_after.append(request.query.get("after"))
        socket = web.WebSocketResponse(protocols=("fieldcoach.events.v1",))
        await socket.prepare(request)
        assert socket.ws_protocol == "fieldcoach.events.v1"
        self._socket = socket
        if len(self.resumed_after) == 1:
            await self.emit({"type": "state", "state": "created", "at": 0})
            await socket.send_json({"type": "token", "session_token": "renewed", "expires_in": 900})
            for command in self.commands:
                await self.emit({"type": "profile", "fec": True, "dtx": True, **command})
        if self.drop_events_once and len(self.resumed_after) == 1:
            await asyncio.sleep(0.3)
            request.transport.abort()  # type: ignore[union-attr]  # connected, so there is one
            return socket
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            said = json.loads(message.data)
            self.messages.append(said)
            if said["type"] == "ping":
                await socket.send_json({"type": "pong", "t": said["t"], "server_at": said["t"] + 1_000})
                if self.close_code is not None and sum(m["type"] == "ping" for m in self.messages) == 3:
                    await socket.close(code=self.close_code)
            if said["type"] == "ack":
                self.acknowledged.set()
        return socket

    acknowledged: asyncio.Event

    async def end(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers["Authorization"])
        if self._peer and self._peer.getReceivers():
            for report in (await self._peer.getReceivers()[0].getStats()).values():
                if report.type == "inbound-rtp":
                    self.packets = report.packetsReceived
        if self._socket is not None and not self._socket.closed:
            await self.emit({"type": "final", "start": 0.0, "end": 0.5, "text": "ten boxes", "timing": None})
            await self.emit({"type": "cue", "cue_id": "c", "cue": "x", "text": "say it", "trigger": None})
            await asyncio.wait_for(self.acknowledged.wait(), 5)
            if self.sends_summary:
                await self.emit(
                    {"type": "summary", "score": 40, "stages": [], "objections": [], "orders": []}
                )
            await self._socket.close(code=1000)
        return web.json_response({"state": "ending"}, status=202)

    async def summary(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.asked < 3:
            return web.json_response({"state": "ending"}, status=202)
        return web.json_response({"score": 55, "stages": [], "objections": [], "orders": []})

    async def emit(self, event: dict[str, Any]) -> None:
        assert self._socket is not None
        self._next += 1
        await self._socket.send_json({**event, "session": "s", "id": f"i{self._next}"})


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    fake = FakeGateway()
    fake.acknowledged = asyncio.Event()
    runner = await fake.start()
    yield fake
    await fake.stop()
    await runner.cleanup()


def plan(gateway: FakeGateway) -> VisitPlan:
    return VisitPlan(gateway=gateway.url, token="user", pcm=SPEECH)


async def test_a_whole_visit(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    result = await Visit(plan(gateway), JsonView()).run()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["state", "final", "cue", "summary"]
    assert lines[0]["t"] < 0
    assert 1.6 < lines[1]["t"] < 4
    assert lines[1]["id"] == "i2"
    assert result.summary["score"] == 40
    # half a second of speech in packets of 40 ms, the hang-over before DTX, one packet that announces it
    assert 13 <= result.packets_sent <= 25
    assert gateway.packets == result.packets_sent
    acknowledgements = [message for message in gateway.messages if message["type"] == "ack"]
    assert [(ack["cue_id"], ack["action"]) for ack in acknowledgements] == [("c", "shown")]
    assert result.rtt_ms is not None
    assert result.rtt_ms < 200
    assert gateway.authorizations == ["Bearer user", "Bearer first", "Bearer renewed"]


async def test_media_that_are_lost_come_back_under_the_same_session(gateway: FakeGateway) -> None:
    visit = Visit(replace(plan(gateway), pcm=SPEECH * 8))
    running = asyncio.ensure_future(visit.run())
    while not gateway.offers or not (visit._connections and visit._connections.newest.track.started.is_set()):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    await gateway.stop()  # the server closes its connection, as an ingest that restarts
    result = await running
    assert gateway.offers == 2
    assert result.media_reconnects == 1
    assert 0 < result.unsent_s < 2
    assert gateway.packets > 30
    assert result.summary["score"] == 40


L2 = {"rung": "L2", "max_bitrate": 12_000, "ptime_ms": 60}
L3 = {"rung": "L3", "max_bitrate": 10_000, "ptime_ms": 120}


async def test_a_profile_is_applied_and_acknowledged_but_not_an_older_one(gateway: FakeGateway) -> None:
    gateway.commands = [{"command": 4, **L3}, {"command": 3, **L2}, {"command": 4, **L3}]
    result = await Visit(plan(gateway)).run()
    applied = [message for message in gateway.messages if message["type"] == "applied"]
    assert [(one["command"], one["rung"]) for one in applied] == [(4, "L3")] * 2
    assert result.packets_sent < 13  # of 120 ms


async def test_what_is_applied_is_told_with_the_senders_figures(gateway: FakeGateway) -> None:
    class Told:
        all = ("a connection",)
        messages: ClassVar[list[dict[str, Any]]] = []

        @property
        def newest(self) -> "Told":
            return self

        async def figures(self) -> dict[str, float]:
            return {"packets_sent": 7}

        async def send(self, message: dict[str, Any]) -> None:
            self.messages.append(message)

    visit, told = Visit(plan(gateway)), cast(Any, Told())
    visit._connections = told
    await visit._acknowledge(told, 3, "L2")
    assert told.messages == [{"type": "applied", "command": 3, "rung": "L2", "stats": {"packets_sent": 7}}]


async def test_a_fixed_profile_is_kept_and_nothing_is_acknowledged(gateway: FakeGateway) -> None:
    gateway.commands = [{"command": 1, **L3}]
    result = await Visit(replace(plan(gateway), profile=SendProfile("L1", 16_000, 40))).run()
    assert "applied" not in {message["type"] for message in gateway.messages}
    assert result.packets_sent >= 13


async def test_the_events_channel_comes_back_after_the_last_event(gateway: FakeGateway) -> None:
    gateway.drop_events_once = True
    result = await Visit(plan(gateway)).run()
    assert gateway.resumed_after == [None, "i1"]
    assert result.reconnects == 1
    assert result.summary["score"] == 40


async def test_a_summary_that_does_not_come_by_itself_is_asked_for(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_module, "ASK_PAUSE_S", 0.01)
    gateway.sends_summary = False
    result = await Visit(plan(gateway)).run()
    assert (gateway.asked, result.summary["score"]) == (3, 55)


async def test_a_summary_that_never_comes_is_told(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_module, "SUMMARY_TIMEOUT_S", 0.0)
    gateway.sends_summary, gateway.asked = False, -1_000
    with pytest.raises(SummaryMissing, match="the coach's log"):
        await Visit(plan(gateway)).run()


async def test_a_problem_is_told_with_its_field_and_its_fix(gateway: FakeGateway) -> None:
    gateway.refuse_session = (
        503,
        {"title": "No capacity", "status": 503, "detail": "every worker is full", "fix": "try again in 5 s"},
    )
    with pytest.raises(
        Refused, match="503 No capacity; detail: every worker is full; fix: try again"
    ) as caught:
        await Visit(plan(gateway)).run()
    assert caught.value.retryable
    gateway.refuse_session = (401, {"title": "Token expired", "status": 401})
    with pytest.raises(Refused, match="POST /v1/sessions: 401 Token expired") as caught:
        await Visit(plan(gateway)).run()
    assert not caught.value.retryable


async def test_media_that_never_come_are_told_in_time(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_module, "CONNECT_TIMEOUT_S", 0.5)
    gateway.answers_media = False
    with pytest.raises(MediaFailed):
        await Visit(plan(gateway)).run()


@pytest.mark.parametrize(
    ("code", "why"), [(4409, "another client"), (4401, "expired"), (4403, "not this token")]
)
async def test_a_channel_that_is_closed_for_good_ends_the_visit(
    gateway: FakeGateway, code: int, why: str
) -> None:
    gateway.close_code = code
    with pytest.raises(EventsClosed, match=why):
        await Visit(plan(gateway)).run()


async def test_a_gateway_that_is_away_is_told_with_the_fix() -> None:
    with pytest.raises(GatewayUnreachable, match="fieldcoach up"):
        await Visit(VisitPlan(gateway="http://127.0.0.1:9", token="t", pcm=SPEECH)).run()


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(VisitError, match="give an address like"):
        await Visit(VisitPlan(gateway="localhost:8080", token="t", pcm=SPEECH)).run()


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_visit_through_a_network_says_what_the_network_did(
    as_json: bool, gateway: FakeGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "speech.wav"
    with wave.open(str(recording), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(SPEECH)
    request = VisitRequest(
        audio=recording,
        run_dir=tmp_path,
        gateway=gateway.url,
        token="user",
        as_json=as_json,
        network="4g",
        seed=3,
    )
    await visit_command(request)
    out, err = capsys.readouterr()
    told, other = (err, out) if as_json else (out, err)
    assert "network 4g, seed 3" in told
    assert "delivered" in told
    assert "network 4g" not in other
    assert gateway.offers_addresses is False
    # everything went through it: as many packets as the far side counted, and the handshake besides
    sent = int(re.search(r"uplink +(\d+) packets", told)[1])  # type: ignore[index]
    assert sent > gateway.packets > 10
    if as_json:
        assert [json.loads(line)["type"] for line in out.splitlines()] == ["state", "final", "cue", "summary"]


async def test_an_unknown_network_is_told_before_anything_begins(tmp_path: Path) -> None:
    with pytest.raises(UnknownNetwork, match="6g"):
        await visit_command(VisitRequest(audio=tmp_path / "none.wav", run_dir=tmp_path, network="6g"))
