"""The events channel on a real server and a real bus: WebSocket and SSE."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from tests.support import NatsServer

from fieldcoach.common.messages import (
    CueAcknowledged,
    EventMessage,
    FinalTranscript,
    Problem,
    ProfileApplied,
    SenderStats,
    SignalReply,
    StageTicked,
)
from fieldcoach.gateway.client_messages import MAX_BAD
from fieldcoach.gateway.send_queue import MAX_EVENTS

from .conftest import Rig, Start
from .gateway_samples import cue, final, partial, state, summary
from .test_gateway_http import bearer, problem

V1 = "fieldcoach.events.v1"


def spoken(n: int, session: str, **changes: Any) -> FinalTranscript:
    """The nth second of the visit: readers drop a stretch that they have."""
    return final(n, session, first_sample=n * 16_000, end_sample=(n + 1) * 16_000, words=(), **changes)


class Client:
    """One WebSocket of a test."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def event(self, *kinds: str) -> dict[str, Any]:
        """The next event, of one of these kinds if any are given."""
        async with asyncio.timeout(10):
            while True:
                message = await self.ws.receive()
                assert message.type == aiohttp.WSMsgType.TEXT, (message, self.ws.close_code)
                event: dict[str, Any] = json.loads(message.data)
                if not kinds or event["type"] in kinds:
                    return event

    async def closed(self) -> int:
        """Read to the end; the close code."""
        async with asyncio.timeout(10):
            while (await self.ws.receive()).type == aiohttp.WSMsgType.TEXT:
                pass
        assert self.ws.close_code is not None
        return self.ws.close_code

    async def say(self, **message: Any) -> None:
        await self.ws.send_str(json.dumps(message))


@asynccontextmanager
async def connected(rig: Rig, session: dict[str, Any], after: str = "", **more: Any) -> Any:
    url = f"{rig.url}{session['events_url']}" + (f"?after={after}" if after else "")
    options: dict[str, Any] = {"headers": bearer(session["session_token"]), "protocols": (V1,)} | more
    async with rig.http.ws_connect(url, **options) as ws:
        yield Client(ws)


async def publish(rig: Rig, *events: EventMessage) -> None:
    for event in events:
        await rig.bus.publish_event(event)


async def test_a_browser_connects_by_subprotocol(rig: Rig) -> None:
    session = await rig.begin()
    protocols = (V1, f"bearer.{session['session_token']}")
    async with connected(rig, session, headers={"Origin": rig.url}, protocols=protocols) as client:
        assert client.ws.protocol == V1
        assert (await client.event())["state"] == "created"
        assert "permessage-deflate" not in str(client.ws._response.headers)


async def test_events_and_partials_come_as_they_happen(rig: Rig) -> None:
    session = await rig.begin()
    sid = session["session_id"]
    async with connected(rig, session) as client:
        await client.event("state")
        await rig.bus.publish(rig.bus.subjects.partial(sid), partial(1, session=sid).encode())
        assert (await client.event())["committed"] == "the"
        await publish(rig, spoken(2, session=sid), cue(3, session=sid))
        heard = await client.event("final")
        assert heard["timing"]["sent_at"] > heard["timing"]["published_at"]
        assert (await client.event("cue"))["sent_at"]


async def test_resume_neither_loses_nor_repeats(rig: Rig) -> None:
    session = await rig.begin()
    sid, seen, after = session["session_id"], [], ""
    for step in range(5):
        await publish(rig, *(spoken(step * 10 + n, session=sid) for n in range(1, 4)))
        async with connected(rig, session, after) as client:
            await publish(rig, spoken(step * 10 + 5, session=sid), spoken(step * 10 + 6, session=sid))
            for _ in range(4):  # one is always left for the next connection
                event = await client.event("final")
                seen.append(event["utterance"])
                after = event["id"]
    async with connected(rig, session, after) as client:
        while len(seen) < 25:
            seen.append((await client.event("final"))["utterance"])
    assert seen == [step * 10 + n for step in range(5) for n in (1, 2, 3, 5, 6)]


async def test_another_gateway_goes_on_where_the_first_stopped(start_gateway: Start) -> None:
    one: Rig = await start_gateway()
    two: Rig = await start_gateway()
    session = await one.begin()
    sid = session["session_id"]
    async with connected(one, session) as client:
        await publish(one, spoken(1, session=sid))
        last = (await client.event("final"))["id"]
    await publish(one, spoken(2, session=sid))
    async with connected(two, session, last) as client:
        assert (await client.event())["utterance"] == 2


@pytest.mark.parametrize("after", ["x1", "a", "azz", "a1.a2", "a" * 200, "%0d%0a"])
async def test_an_id_that_is_none_of_ours(rig: Rig, after: str) -> None:
    session = await rig.begin()
    async with connected(rig, session, after) as client:
        error = await client.event()
        assert (error["type"], error["field"]) == ("error", "after")
        assert await client.closed() == 1008


async def test_tokens_and_origins_are_refused_with_a_code(rig: Rig) -> None:
    mine, other = await rig.begin(), await rig.begin()
    for headers, protocols, code in (
        ({}, (V1,), 4401),
        (bearer("nonsense"), (V1,), 4401),
        (bearer(rig.user_token()), (V1,), 4401),
        (bearer(other["session_token"]), (V1,), 4403),
        ({}, (V1, f"bearer.{other['session_token']}"), 4403),
        (bearer(mine["session_token"]) | {"Origin": "https://evil.example"}, (V1,), 4403),
    ):
        async with connected(rig, mine, headers=headers, protocols=protocols) as client:
            assert await client.closed() == code
    async with connected(rig, mine) as client:
        await client.event("state")


async def test_a_token_in_the_query_is_no_token(rig: Rig) -> None:
    session = await rig.begin()
    url = f"{rig.url}{session['events_url']}?token={session['session_token']}"
    async with rig.http.ws_connect(url) as ws:
        assert await Client(ws).closed() == 4401


async def test_the_newer_connection_wins(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as old, connected(rig, session) as new:
        await new.event("state")
        assert await old.closed() == 4409
        await publish(rig, spoken(1, session=session["session_id"]))
        await new.event("final")
    assert rig.service.gateway.telemetry.closes["4409"] == 1


async def test_bad_messages_are_answered_and_too_many_close(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as client:
        await client.event("state")
        await client.ws.send_str("not json")
        error = await client.event()
        assert error["problem"] == "urn:fieldcoach:problem:bad-request"
        assert (error["field"], error["status"]) == ("message", 400)
        await client.ws.send_bytes(b"\x00")
        assert (await client.event())["field"] == "message"
        await client.say(type="ping", t="still here")
        assert (await client.event())["t"] == "still here"
        for _ in range(MAX_BAD):
            await client.say(type="nothing")
        assert await client.closed() == 1008


async def test_a_large_message_closes(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as client:
        await client.event("state")
        await client.ws.send_str("x" * 70_000)
        assert await client.closed() == 1009


async def test_messages_per_minute_are_limited(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(messages_per_minute=2)
    session = await rig.begin()
    async with connected(rig, session) as client:
        await client.event("state")
        for _ in range(3):
            await client.say(type="ping")
        kinds = [(await client.event())["type"] for _ in range(3)]
        assert kinds == ["pong", "pong", "error"]


async def test_pause_resume_and_end_reach_the_ingest(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as client:
        for word in ("pause", "resume", "end"):
            await client.say(type=word)
        await client.say(type="ping", t=1)
        await client.event("pong")
        assert [signal.action for signal in rig.ingest.signals] == ["pause", "resume", "end"]
        rig.ingest.reply = SignalReply(problem=Problem(type="not-ready", title="t", status=503))
        await client.say(type="pause")
        assert (await client.event("error"))["problem"] == "urn:fieldcoach:problem:not-ready"


async def test_acknowledgements_reach_the_coach(rig: Rig) -> None:
    session = await rig.begin()
    sample = cue(1, session=session["session_id"])
    async with connected(rig, session) as client:
        await publish(rig, sample)
        shown = await client.event("cue")
        await client.say(type="ack", cue_id=shown["cue_id"], action="shown", at=shown["sent_at"] + 0.001)
        await client.say(type="ack", cue_id=shown["cue_id"], action="dismissed", at=12.5)
        await client.say(type="stats", rtt_ms=40, packets_sent=10, bytes_sent=900)
        await client.say(type="stats", packets_sent=4)
        await client.say(type="ping")
        await client.event("pong")
    acks = [event for event in rig.ingest.control if isinstance(event, CueAcknowledged)]
    await rig.until(lambda: len([e for e in rig.ingest.control if isinstance(e, CueAcknowledged)]) == 2)
    acks = [event for event in rig.ingest.control if isinstance(event, CueAcknowledged)]
    assert [(ack.id, ack.action) for ack in acks] == [(sample.id, "shown"), (sample.id, "dismissed")]
    assert acks[1].at > 1e12, "a time that can't be true is replaced by that of the receipt"
    assert rig.service.gateway.telemetry.client_media["packets_sent"] == 14


async def test_a_stage_ticked_off_by_hand_reaches_the_coach(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as client:
        await client.say(type="tick", stage="stock_check")
        await client.say(type="tick", stage="my private words")
        assert (await client.event("error"))["problem"] == "urn:fieldcoach:problem:invalid"
    await rig.until(lambda: any(isinstance(event, StageTicked) for event in rig.ingest.control))
    (tick,) = [event for event in rig.ingest.control if isinstance(event, StageTicked)]
    assert (tick.stage, tick.done) == ("stock_check", True)


async def test_what_the_phone_has_applied_reaches_the_ingest(rig: Rig) -> None:
    session = await rig.begin()
    async with connected(rig, session) as client:
        await client.say(type="applied", command=2, rung="L3", stats={"rtt_ms": 310.5, "packets_sent": 7})
        await client.say(type="applied", command=3, rung="L3", stats={"rtt_ms": -1})
        assert (await client.event("error"))["field"] == "stats"
        await client.say(type="ping")
        await client.event("pong")
    await rig.until(lambda: any(isinstance(event, ProfileApplied) for event in rig.ingest.control))
    told = next(event for event in rig.ingest.control if isinstance(event, ProfileApplied))
    assert (told.session, told.command, told.rung) == (session["session_id"], 2, "L3")
    assert told.stats == SenderStats(rtt_ms=310.5, packets_sent=7)


async def test_the_connection_ends_after_the_summary(rig: Rig) -> None:
    session = await rig.begin()
    sid = session["session_id"]
    async with connected(rig, session) as client:
        await publish(rig, state(1, "ended", session=sid), spoken(2, session=sid), summary(3, session=sid))
        last = await client.event("summary")
        assert await client.closed() == 1000
    async with connected(rig, session, last["id"]) as client:
        assert await client.closed() == 1000, "who comes back after the end is told so"


async def test_the_token_is_renewed_on_the_way(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(session_token_ttl_s=3)
    session = await rig.begin()
    async with connected(rig, session) as client:
        renewed = await client.event("token")
        assert renewed["expires_in"] <= 3
        assert "id" not in renewed
    session["session_token"] = renewed["session_token"]
    async with connected(rig, session) as client:
        await client.event("state")


async def test_a_client_that_never_reads_is_bounded_and_let_go(start_gateway: Start) -> None:
    rig: Rig = await start_gateway()
    slow, other = await rig.begin(), await rig.begin()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", rig.service.port))
    request = (
        f"GET {slow['events_url']} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {slow['session_token']}\r\n\r\n"
    )
    await asyncio.get_running_loop().sock_sendall(connection, request.encode())
    active, telemetry = rig.service.gateway.active, rig.service.gateway.telemetry
    await rig.until(lambda: telemetry.events["state"] == 1)  # the backlog is in, what follows counts
    long_text = "word " * 700
    async with connected(rig, other) as client:
        for n in range(1, MAX_EVENTS * 3):
            await publish(rig, spoken(n, session=slow["session_id"], text=long_text))
            await rig.until(lambda: rig.bus.can_publish)
        await rig.until(lambda: telemetry.closes["1013"] == 1)
        await rig.until(lambda: len(active) == 1)
        await publish(rig, spoken(1, session=other["session_id"]))
        await client.event("final")
    connection.close()


async def test_an_outage_of_the_bus_loses_no_event_of_an_open_connection(
    start_gateway: Start, nats_server: NatsServer
) -> None:
    rig: Rig = await start_gateway()
    session = await rig.begin()
    sid = session["session_id"]
    async with connected(rig, session) as client:
        await publish(rig, spoken(1, session=sid))
        await client.event("final")
        nats_server.kill()
        await rig.until(lambda: not rig.bus.is_connected and not rig.service.gateway.bus.is_connected)
        await publish(rig, spoken(2, session=sid))  # waits in the outbox
        async with connected(rig, session) as newer:  # a connection that begins in the outage
            assert await client.closed() == 4409
            nats_server.start()
            await publish(rig, spoken(3, session=sid))
            # the first too: its writer sends again what the server may have taken with it
            heard = [(await newer.event("final"))["utterance"] for _ in range(3)]
            assert heard == [1, 2, 3]
    await rig.until(lambda: rig.bus.is_connected and rig.service.gateway.bus.is_connected)


async def test_a_drain_sends_clients_elsewhere_at_once(start_gateway: Start) -> None:
    rig: Rig = await start_gateway()
    session, other = await rig.begin(), await rig.begin()
    async with connected(rig, session) as client, sse(rig, other) as stream:
        await client.event("state")
        await stream.frame()
        draining = asyncio.create_task(rig.service.drain())
        assert await client.closed() == 1012
        async with asyncio.timeout(3):
            await draining


# ── SSE ──────────────────────────────────────────────────────────────────────────────────────────────────


class Stream:
    """One SSE response of a test."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def frame(self) -> dict[str, str]:
        """The fields of the next frame."""
        async with asyncio.timeout(10):
            text = (await self.response.content.readuntil(b"\n\n")).decode()
        return {name: value for name, _, value in (line.partition(": ") for line in text.strip().split("\n"))}

    async def event(self, kind: str) -> dict[str, str]:
        while (frame := await self.frame()).get("event") != kind:
            pass
        return frame


@asynccontextmanager
async def sse(rig: Rig, session: dict[str, Any], **headers: str) -> Any:
    async with rig.http.get(
        rig.url + session["events_url"],
        headers=bearer(session["session_token"]) | {"Accept": "text/event-stream"} | headers,
    ) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


async def test_the_same_events_by_sse_and_resume(rig: Rig) -> None:
    session = await rig.begin()
    sid = session["session_id"]
    async with sse(rig, session) as stream:
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        await publish(rig, spoken(1, session=sid))
        frame = await stream.event("final")
        assert json.loads(frame["data"])["id"] == frame["id"]
    await publish(rig, spoken(2, session=sid))
    async with sse(rig, session, **{"Last-Event-ID": frame["id"]}) as stream:
        assert json.loads((await stream.event("final"))["data"])["utterance"] == 2


async def test_a_newer_connection_ends_the_stream_with_the_reason(rig: Rig) -> None:
    session = await rig.begin()
    async with sse(rig, session) as stream:
        await stream.event("state")
        async with connected(rig, session) as client:
            await client.event("state")
            error = json.loads((await stream.event("error"))["data"])
            assert error["problem"] == "urn:fieldcoach:problem:replaced"
            async with asyncio.timeout(5):
                assert await stream.response.content.read() == b""


async def test_what_the_stream_refuses(rig: Rig) -> None:
    session = await rig.begin()
    url, token = rig.url + session["events_url"], bearer(session["session_token"])
    async with rig.http.get(url, headers=token | {"Accept": "application/json"}) as response:
        await problem(response, 406, "not-acceptable", "Accept")
    async with rig.http.get(url, headers=token | {"Last-Event-ID": "nonsense"}) as response:
        await problem(response, 400, "bad-request", "Last-Event-ID")
    async with rig.http.get(url) as response:
        await problem(response, 401, "token-missing")


async def test_heartbeats_keep_a_silent_stream_alive(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldcoach.gateway.events_stream.HEARTBEAT_S", 0.05)
    session = await rig.begin()
    async with sse(rig, session) as stream:
        await stream.event("state")
        async with asyncio.timeout(5):
            assert (await stream.response.content.readuntil(b"\n\n")).startswith(b":")
