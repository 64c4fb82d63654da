"""WHIP on a real server and a real bus, with a fake ingest."""

import asyncio
from typing import Any

import jwt
import pytest

from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import Problem, SessionMoved, SignalReply
from fieldcoach.common.numbering import unix_ms

from .conftest import ANSWER, Rig
from .test_gateway_http import bearer, problem

OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"


def headers(session: dict[str, Any], media_type: str = "application/sdp") -> dict[str, str]:
    return bearer(session["session_token"]) | {"Content-Type": media_type}


async def test_an_offer_gets_its_answer(rig: Rig) -> None:
    session = await rig.begin()
    async with rig.http.post(rig.url + session["whip_url"], data=OFFER, headers=headers(session)) as response:
        assert response.status == 201
        assert response.content_type == "application/sdp"
        assert await response.text() == ANSWER
        assert response.headers["ETag"] == '"e1"'
        location = response.headers["Location"]
    assert location == f"{session['whip_url']}/e1"
    (signal,) = rig.ingest.signals
    assert (signal.action, signal.session, signal.sdp) == ("offer", session["session_id"], OFFER)

    rig.ingest.reply = SignalReply()
    async with rig.http.delete(rig.url + location, headers=headers(session)) as response:
        assert response.status == 200
    closed = rig.ingest.signals[-1]
    assert (closed.action, closed.resource) == ("close", "e1")


async def test_trickle_and_restart(rig: Rig) -> None:
    session = await rig.begin()
    location = rig.url + session["whip_url"] + "/e1"
    fragment = headers(session, "application/trickle-ice-sdpfrag")
    rig.ingest.reply = SignalReply(etag="e1")
    async with rig.http.patch(
        location, data="a=candidate:1", headers=fragment | {"If-Match": '"e1"'}
    ) as response:
        assert response.status == 204
    trickled = rig.ingest.signals[-1]
    assert (trickled.action, trickled.resource, trickled.etag) == ("trickle", "e1", "e1")
    rig.ingest.reply = SignalReply(sdp="a=ice-ufrag:x", etag="e2")
    for any_tag in ("*", '"*"'):
        async with rig.http.patch(
            location, data="a=ice-ufrag:y", headers=fragment | {"If-Match": any_tag}
        ) as response:
            assert (response.status, response.headers["ETag"]) == (200, '"e2"')
            assert response.content_type == "application/trickle-ice-sdpfrag"
            assert await response.text() == "a=ice-ufrag:x"
        restarted = rig.ingest.signals[-1]
        assert (restarted.action, restarted.resource, restarted.sdp) == ("restart", "e1", "a=ice-ufrag:y")


async def test_a_patch_says_what_it_knows(rig: Rig) -> None:
    session = await rig.begin()
    location = rig.url + session["whip_url"] + "/e1"
    fragment = headers(session, "application/trickle-ice-sdpfrag")
    async with rig.http.patch(location, data="a=candidate:1", headers=fragment) as response:
        await problem(response, 428, "if-match-missing", "If-Match")
    assert rig.ingest.signals == []
    rig.ingest.reply = SignalReply(
        problem=Problem(type="etag-mismatch", title="t", status=412, detail="d", field="If-Match")
    )
    weak = fragment | {"If-Match": 'W/"e1", "e0"'}
    async with rig.http.patch(location, data="a=candidate:1", headers=weak) as response:
        await problem(response, 412, "etag-mismatch", "If-Match")
    assert rig.ingest.signals[-1].etag == "e0"


async def test_only_a_name_of_ours_is_a_resource(rig: Rig) -> None:
    session = await rig.begin()
    location = rig.url + session["whip_url"] + "/" + "x" * 65
    async with rig.http.delete(location, headers=headers(session)) as response:
        await problem(response, 404, "not-found")
    assert rig.ingest.signals == []


async def test_a_foreign_etag_never_reaches_a_header(rig: Rig) -> None:
    session = await rig.begin()
    rig.ingest.reply = SignalReply(sdp=ANSWER, etag='x"\r\nSet-Cookie: a')
    async with rig.http.post(rig.url + session["whip_url"], data=OFFER, headers=headers(session)) as response:
        assert response.headers["Location"].endswith("/whip/media")
        assert "Set-Cookie" not in response.headers


async def test_a_large_sdp_is_refused_whole(rig: Rig) -> None:
    session = await rig.begin()
    async with rig.http.post(
        rig.url + session["whip_url"], data="v" * 70 * 1024, headers=headers(session)
    ) as response:
        await problem(response, 413, "too-large")
    assert rig.ingest.signals == []


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xff\xfe", b"v=0\0"])
async def test_a_body_that_is_no_sdp(rig: Rig, body: bytes) -> None:
    session = await rig.begin()
    async with rig.http.post(rig.url + session["whip_url"], data=body, headers=headers(session)) as response:
        await problem(response, 400, "bad-sdp", "body")


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "application/sdpx"])
async def test_another_media_type(rig: Rig, media_type: str) -> None:
    session = await rig.begin()
    async with rig.http.post(
        rig.url + session["whip_url"], data=OFFER, headers=headers(session, media_type)
    ) as response:
        await problem(response, 415, "unsupported-media-type", "Content-Type")


async def test_no_audio_without_consent(rig: Rig) -> None:
    session = await rig.begin(consent=False)
    async with rig.http.post(rig.url + session["whip_url"], data=OFFER, headers=headers(session)) as response:
        await problem(response, 403, "consent-missing", "consent.given")
    assert rig.ingest.signals == []


async def test_the_ingests_problem_is_the_clients(rig: Rig) -> None:
    session = await rig.begin()
    rig.ingest.reply = SignalReply(
        problem=Problem(type="no-audio", title="t", status=400, detail="d", field="m=audio", fix="add one")
    )
    async with rig.http.post(rig.url + session["whip_url"], data=OFFER, headers=headers(session)) as response:
        shown = await problem(response, 400, "no-audio", "m=audio")
    assert shown["fix"] == "add one"
    rig.ingest.reply = SignalReply(
        problem=Problem(
            type="urn:fieldcoach:problem:no-capacity", title="t", status=503, detail="d", retry_after_s=7
        )
    )
    async with rig.http.post(rig.url + session["whip_url"], data=OFFER, headers=headers(session)) as response:
        await problem(response, 503, "no-capacity")
        assert response.headers["Retry-After"] == "7"


async def test_an_ingest_that_has_gone(rig: Rig) -> None:
    session = await rig.begin()
    await rig.bus.drain()
    async with asyncio.timeout(8):
        async with rig.http.post(
            rig.url + session["whip_url"], data=OFFER, headers=headers(session)
        ) as response:
            await problem(response, 503, "not-ready")
            assert response.headers["Retry-After"]
        async with rig.http.post(
            rig.url + session["end_url"], headers=bearer(session["session_token"])
        ) as response:
            assert response.status == 202


async def test_a_session_whose_ingest_is_gone_moves_to_another(rig: Rig) -> None:
    session = await rig.begin()
    token = headers(session)
    gone, rig.ingest.id = rig.ingest.id, new_id()
    assert rig.ingest.serving is not None
    await rig.ingest.serving.unsubscribe()
    async with rig.http.patch(
        rig.url + session["whip_url"] + "/e1",
        data="a=ice-ufrag:y",
        headers=headers(session, "application/trickle-ice-sdpfrag") | {"If-Match": "*"},
    ) as response:
        await problem(response, 404, "not-found")
    async with rig.http.post(rig.url + session["whip_url"], data=OFFER, headers=token) as response:
        await problem(response, 503, "not-ready")
    await rig.ingest.start()
    await rig.settle()
    async with rig.http.post(rig.url + session["whip_url"], data=OFFER, headers=token) as response:
        assert response.status == 201
    assert rig.ingest.signals[-1].resumes
    await rig.until(lambda: any(event.kind == "moved" for event in rig.ingest.control))
    moved = next(event for event in rig.ingest.control if event.kind == "moved")
    assert (moved.session, moved.ingest) == (session["session_id"], rig.ingest.id)
    assert gone != rig.ingest.id
    # the old token is good for everything that follows
    async with rig.http.post(rig.url + session["whip_url"], data=OFFER, headers=token) as response:
        assert response.status == 201
    assert not rig.ingest.signals[-1].resumes


async def test_the_events_channel_brings_the_token_of_the_new_ingest(rig: Rig) -> None:
    session = await rig.begin()
    moved = SessionMoved(session=session["session_id"], n=unix_ms() + 1_000, ingest=new_id())
    async with rig.http.ws_connect(
        rig.url + session["events_url"],
        headers=bearer(session["session_token"]),
        protocols=("fieldcoach.events.v1",),
    ) as socket:
        assert (await socket.receive_json(timeout=5))["state"] == "created"
        await rig.bus.publish_event(moved)
        renewed = await socket.receive_json(timeout=5)
    assert renewed["type"] == "token"
    claims = jwt.decode(renewed["session_token"], options={"verify_signature": False})
    assert claims["ingest"] == moved.ingest
