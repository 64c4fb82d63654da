"""Sound that comes late, on a real server and a real bus, with a fake ingest."""

import time
from typing import Any

import pytest

from fieldcoach.common.backfill import (
    MAX_PIECE_BYTES,
    MAX_UPLOAD_BYTES,
    Record,
    pack_record,
    parse_records,
    pieces,
)
from fieldcoach.common.errors import BusUnavailable
from fieldcoach.common.messages import BackfillPackets
from fieldcoach.common.telemetry import Headers
from fieldcoach.gateway.backfill_routes import RECORDS
from fieldcoach.gateway.edge import MAX_BODY_BYTES

from .conftest import Rig
from .test_gateway_http import bearer, problem

BODY = pack_record(Record(1, 960, b"opus")) + pack_record(Record(1, 1_920, b""))


def url_of(rig: Rig, session: dict[str, Any]) -> str:
    return f"{rig.url}/v1/sessions/{session['session_id']}/backfill"


def headers(session: dict[str, Any], media_type: str = RECORDS) -> dict[str, str]:
    return bearer(session["session_token"]) | {"Content-Type": media_type}


async def uploads(rig: Rig) -> list[tuple[str, BackfillPackets]]:
    """What the ingest will hear, as it comes."""
    heard: list[tuple[str, BackfillPackets]] = []

    def hear(subject: str, payload: bytes, _headers: Headers) -> None:
        heard.append((subject, BackfillPackets.decode(payload)))

    await rig.bus.subscribe(rig.bus.subjects.backfill_of_ingest(rig.ingest.id), hear)
    return heard


async def test_an_upload_reaches_the_ingest_of_the_session(rig: Rig) -> None:
    heard = await uploads(rig)
    session = await rig.begin()
    sent = headers(session, f"{RECORDS}; v=1")
    async with rig.http.post(url_of(rig, session), data=BODY, headers=sent) as response:
        assert response.status == 202
        assert await response.read() == b""
    await rig.until(lambda: bool(heard))
    ((subject, message),) = heard
    assert subject == rig.bus.subjects.backfill(rig.ingest.id, session["session_id"])
    assert (message.session, message.records) == (session["session_id"], BODY)


async def test_a_large_upload_goes_on_in_pieces_of_whole_records(rig: Rig) -> None:
    heard = await uploads(rig)
    session = await rig.begin()
    records = [Record(1, n, bytes(1_014)) for n in range(MAX_UPLOAD_BYTES // 1_024)]
    (body,) = pieces(records, MAX_UPLOAD_BYTES)
    assert len(body) == MAX_UPLOAD_BYTES > MAX_BODY_BYTES
    async with rig.http.post(url_of(rig, session), data=body, headers=headers(session)) as response:
        assert response.status == 202
    await rig.until(lambda: sum(len(message.records) for _, message in heard) == len(body))
    assert all(len(message.records) <= MAX_PIECE_BYTES for _, message in heard)
    assert [record for _, message in heard for record in parse_records(message.records)] == records


async def test_nobody_uploads_without_a_token_of_the_session(rig: Rig) -> None:
    mine, other = await rig.begin(), await rig.begin()
    plain = {"Content-Type": RECORDS}
    async with rig.http.post(url_of(rig, mine), data=BODY, headers=plain) as response:
        await problem(response, 401, "token-missing", "Authorization")
    user = bearer(rig.user_token()) | plain
    async with rig.http.post(url_of(rig, mine), data=BODY, headers=user) as response:
        await problem(response, 401, "token-invalid", "Authorization")
    async with rig.http.post(url_of(rig, mine), data=BODY, headers=headers(other)) as response:
        assert response.status == 403


async def test_no_sound_without_consent(rig: Rig) -> None:
    session = await rig.begin(consent=False)
    async with rig.http.post(url_of(rig, session), data=BODY, headers=headers(session)) as response:
        await problem(response, 403, "consent-missing", "consent.given")


async def test_an_upload_that_is_too_large(rig: Rig) -> None:
    session = await rig.begin()
    body = bytes(MAX_UPLOAD_BYTES + 1)
    async with rig.http.post(url_of(rig, session), data=body, headers=headers(session)) as response:
        await problem(response, 413, "too-large")


@pytest.mark.parametrize("media_type", ["application/octet-stream", "audio/opus", "application/json"])
async def test_another_media_type(rig: Rig, media_type: str) -> None:
    session = await rig.begin()
    sent = headers(session, media_type)
    async with rig.http.post(url_of(rig, session), data=BODY, headers=sent) as response:
        await problem(response, 415, "unsupported-media-type", "Content-Type")


@pytest.mark.parametrize(
    "body", [BODY[:-1], BODY + b"\0", pack_record(Record(1, 0, bytes(1_501))), b'{"range": 1}']
)
async def test_what_is_no_row_of_records_is_not_passed_on(rig: Rig, body: bytes) -> None:
    heard = await uploads(rig)
    session = await rig.begin()
    async with rig.http.post(url_of(rig, session), data=body, headers=headers(session)) as response:
        await problem(response, 400, "bad-request", "body")
    async with rig.http.post(url_of(rig, session), data=BODY, headers=headers(session)) as response:
        assert response.status == 202
    await rig.until(lambda: bool(heard))
    assert [message.records for _, message in heard] == [BODY]


async def test_uploads_of_a_session_are_limited(rig: Rig) -> None:
    session, other = await rig.begin(), await rig.begin()
    while not rig.service.gateway.uploads.retry_after_s(session["session_id"], time.monotonic()):
        pass
    async with rig.http.post(url_of(rig, session), data=BODY, headers=headers(session)) as response:
        shown = await problem(response, 429, "too-many")
        assert response.headers["Retry-After"] == str(shown["retry_after_s"])
    async with rig.http.post(url_of(rig, other), data=BODY, headers=headers(other)) as response:
        assert response.status == 202


async def test_the_phone_is_told_to_come_again_when_the_bus_is_away(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await rig.begin()

    async def publish(*_: object) -> None:
        raise BusUnavailable("away")

    monkeypatch.setattr(rig.service.gateway.bus, "publish", publish)
    async with rig.http.post(url_of(rig, session), data=BODY, headers=headers(session)) as response:
        await problem(response, 503, "not-ready")
        assert int(response.headers["Retry-After"]) > 0
