"""A gateway that plays a script: the public protocol's shapes without any service behind them.

It answers WHIP with a real peer connection (stock aiortc), so that the page's own connection is a real one,
and it serves the built page under the policy that the page has to live with.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import WSMsgType, web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole

DIST = Path(__file__).parents[2] / "dist"
CSP = "default-src 'self'; connect-src 'self' ws: wss:"
SESSION = "a" * 26
PREFIX = f"/v1/sessions/{SESSION}"
STAGES = (
    ("greet", "Greet"),
    ("claims", "Settle claims"),
    ("stock_check", "Check the stock"),
    ("merchandise", "Arrange the shelf"),
    ("must_sell", "Offer the must-sell"),
    ("scheme", "Tell the scheme"),
    ("collect", "Collect payment"),
    ("confirm_order", "Confirm the order"),
    ("thanks", "Say thanks"),
)

Json = dict[str, Any]


def checklist(*done: str) -> Json:
    """A checklist event with these stages done."""
    return {"type": "checklist", "stages": stages(*done)}


def stages(*done: str) -> list[Json]:
    """The stages as they stand in events."""
    return [
        {"id": id_, "title": title, "weight": 11, "done": id_ in done, "at": 1.0 if id_ in done else None}
        for id_, title in STAGES
    ]


def final(utterance: int, start: float, end: float, text: str, **more: Any) -> Json:
    """A final transcript event."""
    return {
        "type": "final",
        "utterance": utterance,
        "start": start,
        "end": end,
        "text": text,
        "words": [],
        "language": "en",
        "speaker": "unknown",
        "confidence": 0.9,
        "low_confidence": False,
        "concealed_ms": 0,
        "late_ms": 0,
        "backfill": False,
        "engine": "whisper",
        "model": "outlet-en",
        "timing": {},
        **more,
    }


def partial(utterance: int, start: float, end: float, committed: str, tentative: str) -> Json:
    """A partial transcript event."""
    return {
        "type": "partial",
        "utterance": utterance,
        "start": start,
        "end": end,
        "committed": committed,
        "tentative": tentative,
        "language": "en",
    }


def cue(cue_id: str, text: str, *, title: str = "", severity: str = "suggest", ttl_ms: int = 8000) -> Json:
    """A cue event, sent now."""
    now = time.time() * 1000
    return {
        "type": "cue",
        "cue_id": cue_id,
        "cue": "obj_no_space",
        "objection": "no_space",
        "title": title,
        "text": text,
        "severity": severity,
        "haptic": "short",
        "ttl_ms": ttl_ms,
        "expires_at": now + ttl_ms,
        "source": "rule",
        "trigger": None,
        "coach_ms": 1.0,
        "sent_at": now,
    }


def summary() -> Json:
    """The summary of a good visit."""
    done = ("greet", "stock_check", "merchandise", "must_sell", "scheme", "confirm_order", "thanks")
    return {
        "score": 78,
        "stages": list(done),
        "objections": ["no_space"],
        "orders": [
            {"sku": "cream biscuits", "qty": 10, "unit": "boxes"},
            {"sku": "noodles", "qty": 2, "unit": "cartons"},
        ],
        "checklist": stages(*done),
        "tips": ["Ask for old claims before the stock check.", "Collect the payment before you confirm."],
        "text": "",
        "source": "rules",
        "duration_s": 214.2,
        "playbook": "outlet-en",
        "playbook_version": 1,
    }


class Heard(NamedTuple):
    """An audio packet that arrived."""

    ssrc: int
    sequence: int
    timestamp: int


@dataclass
class FakeGateway:
    """One session's gateway. Set its fields to make it refuse; `say` sends an event to the page."""

    dev_login: bool = True
    model: str = "outlet-en"
    session_problem: tuple[int, Json, dict[str, str]] | None = None
    summary_problem: tuple[int, Json, dict[str, str]] | None = None
    end_makes_summary: bool = True
    events: list[Json] = field(default_factory=list)
    heard: list[Json] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)
    resumed_after: list[str | None] = field(default_factory=list)
    user_tokens: list[str] = field(default_factory=list)
    requests: list[Json] = field(default_factory=list)
    refuse_sockets: bool = False
    made_summary: Json | None = None
    sound: list[Heard] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    url: str = ""
    _sockets: list[web.WebSocketResponse] = field(default_factory=list)
    _peers: list[RTCPeerConnection] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port of this machine."""
        app = web.Application(middlewares=[_policy])
        app.add_routes(
            [
                web.post("/v1/dev/token", self._dev_token),
                web.post("/v1/sessions", self._create),
                web.post(f"{PREFIX}/whip", self._whip),
                web.delete(f"{PREFIX}/whip/{{peer}}", self._unpublish),
                web.get(f"{PREFIX}/events", self._socket),
                web.post(f"{PREFIX}/backfill", self._backfill),
                web.post(f"{PREFIX}/end", self._end),
                web.get(f"{PREFIX}/summary", self._summary),
                web.get("/", _index),
                web.static("/", DIST),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """Close every connection."""
        await self.cut()
        for peer in self._peers:
            await peer.close()
        if self._runner:
            await self._runner.cleanup()

    async def say(self, *events: Json) -> None:
        """Send events to the page; the ones that are kept get the next id."""
        for event in events:
            sent = {"session": SESSION, **event}
            if event["type"] not in ("partial", "pong", "token", "error"):
                sent["id"] = f"e{len(self.events) + 1}"
                self.events.append(sent)
            for socket in self._sockets:
                await socket.send_json(sent)

    async def cut(self, code: int = 1012) -> None:
        """Close the page's sockets."""
        for socket in list(self._sockets):
            await socket.close(code=code)

    async def until(self, what: str, holds: Any) -> None:
        """Wait until `holds()` is true of what the page has done."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(holds), 15)
            except TimeoutError as error:
                raise AssertionError(f"the page did not do this: {what}; it said {self.heard}") from error

    def acknowledged(self, cue_id: str) -> list[str]:
        """What the page said about a cue, in order."""
        return [m["action"] for m in self.heard if m["type"] == "ack" and m["cue_id"] == cue_id]

    def make_summary(self) -> Json:
        """From now on `GET …/summary` has one to give."""
        self.made_summary = summary()
        return self.made_summary

    async def lose_sound(self) -> None:
        """Close the last connection from this side, as an ingest that restarts."""
        await self._peers[-1].close()

    def _listen(self, peer: RTCPeerConnection) -> None:
        receiver: Any = peer.getReceivers()[0]
        handle = receiver._handle_rtp_packet

        async def note(packet: Any, **more: Any) -> None:
            self.sound.append(Heard(packet.ssrc, packet.sequence_number, packet.timestamp))
            await handle(packet, **more)
            await self._note()

        receiver._handle_rtp_packet = note

    async def ask_again(self, count: int) -> None:
        """NACK the last `count` packets of the last connection, as if they had been lost."""
        receiver: Any = self._peers[-1].getReceivers()[0]
        for ssrc, stream in receiver._RTCRtpReceiver__remote_streams.items():
            last = stream.max_seq
            await receiver._send_rtcp_nack(ssrc, [(last - back) & 0xFFFF for back in range(count, 0, -1)])

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _dev_token(self, _request: web.Request) -> web.Response:
        if not self.dev_login:
            return _problem(404, {"type": "urn:fieldcoach:problem:not-found", "title": "Not found"})
        return web.json_response({"token": "user-token", "expires_in": 3600})

    async def _create(self, request: web.Request) -> web.Response:
        self.user_tokens.append(request.headers.get("Authorization", ""))
        self.requests.append(await request.json())
        if self.session_problem:
            status, body, headers = self.session_problem
            return _problem(status, body, headers)
        description = {
            "session_id": SESSION,
            "session_token": "session-token",
            "expires_in": 900,
            "whip_url": f"{PREFIX}/whip",
            "audio_url": f"{PREFIX}/audio",
            "events_url": f"{PREFIX}/events",
            "end_url": f"{PREFIX}/end",
            "summary_url": f"{PREFIX}/summary",
            "ice_servers": [],
            "profile": {
                "rung": "L1", "max_bitrate": 16000, "ptime_ms": 40, "fec": True, "dtx": True, "nack": False,
            },
            "asr": {"engine": "whisper", "model": self.model},
            "consent_text": "Your voice is turned into text during this visit. No recording is kept.",
        }  # fmt: skip
        return web.json_response(description, status=201)

    async def _whip(self, request: web.Request) -> web.Response:
        offer = await request.text()
        self.offers.append(offer)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers.append(peer)
        sink = MediaBlackhole()
        peer.on("track", sink.addTrack)
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self._listen(peer)
        await peer.setLocalDescription(await peer.createAnswer())
        await sink.start()
        answer = peer.localDescription.sdp
        # aiortc leaves it out for audio, and can ask all the same
        answer = re.sub(r"(a=rtpmap:(\d+) opus/48000/2\r\n)", r"\1a=rtcp-fb:\2 nack\r\n", answer)
        await self._note()
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"{PREFIX}/whip/{len(self._peers) - 1}", "ETag": '"1"'},
        )

    async def _unpublish(self, request: web.Request) -> web.Response:
        await self._peers[int(request.match_info["peer"])].close()
        self.heard.append({"type": "DELETE"})
        await self._note()
        return web.Response()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse | web.Response:
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if self.refuse_sockets:
            return _problem(503, {"type": "urn:fieldcoach:problem:not-ready", "title": "Starting"})
        assert "bearer.session-token" in offered
        socket = web.WebSocketResponse(protocols=("fieldcoach.events.v1",))
        await socket.prepare(request)
        after = request.query.get("after")
        self.resumed_after.append(after)
        for event in self.events[int(after[1:]) if after else 0 :]:
            await socket.send_json({**event, "sent_at": time.time() * 1000} if "sent_at" in event else event)
        self._sockets.append(socket)
        await self._note()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._receive(socket, json.loads(message.data))
        self._sockets.remove(socket)
        return socket

    async def _receive(self, socket: web.WebSocketResponse, message: Json) -> None:
        if message["type"] == "ping":
            await socket.send_json(
                {"type": "pong", "session": SESSION, "t": message["t"], "server_at": time.time() * 1000}
            )
            return
        self.heard.append(message)
        await self._note()

    async def _backfill(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer session-token"
        assert request.content_type == "application/vnd.fieldcoach.opus"
        self.uploads.append(await request.read())
        await self._note()
        return web.Response(status=202)

    async def _end(self, _request: web.Request) -> web.Response:
        self.heard.append({"type": "POST end"})
        await self._note()
        if self.end_makes_summary:
            await self.say({"type": "summary", **self.make_summary()})
        return web.json_response({"state": "ending"}, status=202)

    async def _summary(self, _request: web.Request) -> web.Response:
        if self.summary_problem:
            return _problem(*self.summary_problem)
        if self.made_summary is None:
            return web.json_response({}, status=202, headers={"Retry-After": "1"})
        return web.json_response(self.made_summary)


@web.middleware
async def _policy(request: web.Request, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    if not response.prepared:
        response.headers["Content-Security-Policy"] = CSP
    return response


async def _index(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(DIST / "index.html")


def _problem(status: int, body: Json, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"status": status, **body}, status=status, headers=headers, content_type="application/problem+json"
    )
