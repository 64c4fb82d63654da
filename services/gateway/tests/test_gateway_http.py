"""The HTTP surface on a real server and a real bus, with a fake ingest."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from tests.support import NatsServer

from fieldcoach.common.messages import SessionCreated, SessionEnding
from fieldcoach.gateway.edge import MAX_BODY_BYTES
from fieldcoach.gateway.errors import AddressUnavailable
from fieldcoach.gateway.server import MAX_HEADER_BYTES

from .conftest import Rig, Start
from .gateway_samples import summary

CONSENT = {"consent": {"given": True}}


async def problem(
    response: ClientResponse, status: int, kind: str, field: str | None = None
) -> dict[str, Any]:
    body: dict[str, Any] = await response.json(content_type="application/problem+json")
    assert response.status == status, body
    assert body["type"] == f"urn:fieldcoach:problem:{kind}"
    assert body["status"] == status
    assert body["title"]
    assert field is None or body["field"] == field
    return body


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_session_begins(rig: Rig) -> None:
    answer = await rig.begin()
    session = answer["session_id"]
    assert answer["whip_url"] == f"/v1/sessions/{session}/whip"
    assert answer["asr"] == {"engine": "replay", "model": "none"}
    assert answer["expires_in"] == 900
    assert answer["profile"]["rung"] == "L1"
    assert answer["ice_servers"] == []
    assert "assistant" in answer["consent_text"]
    await rig.until(lambda: bool(rig.ingest.control))
    (created,) = rig.ingest.control
    assert isinstance(created, SessionCreated)
    assert (created.session, created.ingest) == (session, rig.ingest.id)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"exp": 1}, "token-expired"),
        ({"aud": "elsewhere"}, "token-invalid"),
        ({"key": "another key of thirty-two bytes or more"}, "token-invalid"),
        ({"algorithm": "none", "key": ""}, "token-invalid"),
    ],
)
async def test_a_user_token_that_opens_nothing(rig: Rig, changes: dict[str, Any], kind: str) -> None:
    headers = bearer(rig.user_token(**changes))
    async with rig.http.post(f"{rig.url}/v1/sessions", json=CONSENT, headers=headers) as response:
        await problem(response, 401, kind, "Authorization")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


async def test_no_token(rig: Rig) -> None:
    async with rig.http.post(f"{rig.url}/v1/sessions", json=CONSENT) as response:
        await problem(response, 401, "token-missing", "Authorization")


@pytest.mark.parametrize(
    ("body", "status", "kind", "field"),
    [
        ("{", 400, "bad-request", "body"),
        ("{}", 422, "invalid", "consent"),
        ("[]", 422, "invalid", "body"),
        ("", 422, "invalid", "body"),
        ('{"consent":{"given":true},"shoe":1}', 422, "invalid", "shoe"),
        ('{"consent":{"given":"perhaps"}}', 422, "invalid", "consent.given"),
        ('{"consent":{"given":true},"languages":["../x"]}', 422, "invalid", "languages.0"),
        ('{"consent":{"given":true},"playbook":"a.*.>"}', 422, "invalid", "playbook"),
    ],
)
async def test_a_body_that_does_not_fit(rig: Rig, body: str, status: int, kind: str, field: str) -> None:
    headers = bearer(rig.user_token()) | {"Content-Type": "application/json"}
    async with rig.http.post(f"{rig.url}/v1/sessions", data=body, headers=headers) as response:
        shown = await problem(response, status, kind, field)
        assert "perhaps" not in json.dumps(shown)


async def test_a_language_that_no_model_here_hears_is_refused_before_the_visit(rig: Rig) -> None:
    url, headers = f"{rig.url}/v1/sessions", bearer(rig.user_token())
    await rig.settle()
    async with rig.http.post(url, json=CONSENT | {"languages": ["hi-Latn"]}, headers=headers) as response:
        shown = await problem(response, 422, "not-supported", "languages")
        assert "hi" in shown["detail"]
        assert "ask for one of en" in shown["fix"]
    async with rig.http.post(url, json=CONSENT | {"languages": ["hi", "en"]}, headers=headers) as response:
        assert response.status == 201  # what is said in English will be heard


async def test_another_media_type(rig: Rig) -> None:
    headers = bearer(rig.user_token()) | {"Content-Type": "text/plain"}
    async with rig.http.post(f"{rig.url}/v1/sessions", data="{}", headers=headers) as response:
        await problem(response, 415, "unsupported-media-type", "Content-Type")


async def test_nowhere_to_place_a_session(rig: Rig) -> None:
    url, headers = f"{rig.url}/v1/sessions", bearer(rig.user_token())
    await rig.settle()
    for changes, kind in (({"asr_slots_free": 0}, "no-capacity"), ({"draining": True}, "no-capacity")):
        await rig.ingest.beat(**changes)
        async with asyncio.timeout(5):
            while True:  # the heartbeat before this one may still be the last heard
                async with rig.http.post(url, json=CONSENT, headers=headers) as response:
                    if response.status != 201:
                        shown = await problem(response, 503, kind)
                        assert response.headers["Retry-After"] == str(shown["retry_after_s"])
                        break


async def test_without_heartbeats_nothing_is_ready(start_gateway: Start) -> None:
    rig: Rig = await start_gateway()
    await rig.settle()
    rig.service.gateway.fleet.__init__()  # type: ignore[misc] # as if nobody had been heard yet
    async with rig.http.post(
        f"{rig.url}/v1/sessions", json=CONSENT, headers=bearer(rig.user_token())
    ) as response:
        await problem(response, 503, "not-ready")


async def test_sessions_per_user_are_limited_until_one_ends(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(sessions_per_user=1)
    first = await rig.begin()
    url, headers = f"{rig.url}/v1/sessions", bearer(rig.user_token())
    async with rig.http.post(url, json=CONSENT, headers=headers) as response:
        await problem(response, 429, "too-many")
        assert int(response.headers["Retry-After"]) > 0
    async with rig.http.post(rig.url + first["end_url"], headers=bearer(first["session_token"])) as response:
        assert response.status == 202
    await rig.begin()


async def test_sessions_begun_in_a_minute_are_limited(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(sessions_per_user_per_minute=1)
    await rig.begin()
    headers = bearer(rig.user_token())
    async with rig.http.post(f"{rig.url}/v1/sessions", json=CONSENT, headers=headers) as response:
        await problem(response, 429, "too-many")


async def test_an_address_is_limited_also_for_sockets(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(requests_per_address_per_minute=2)
    for _ in range(2):
        async with rig.http.get(f"{rig.url}/v1/nothing") as response:
            await problem(response, 404, "not-found")
    async with rig.http.get(f"{rig.url}/v1/nothing") as response:
        await problem(response, 429, "too-many")
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with rig.http.get(f"{rig.url}/v1/sessions/x/events", headers=headers) as response:
        await problem(response, 429, "too-many")
    async with rig.http.get(f"{rig.url}/healthz") as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["end", "summary", "whip", "events"])
async def test_another_sessions_token_and_an_unknown_session_look_the_same(rig: Rig, path: str) -> None:
    mine, other = await rig.begin(), await rig.begin()
    method = "GET" if path in ("summary", "events") else "POST"
    bodies = []
    for target in (other["session_id"], "z" * 26, "not-an-id", "a%2e%2e", "%0d%0a"):
        url = f"{rig.url}/v1/sessions/{target}/{path}"
        async with rig.http.request(
            method,
            url,
            data=b"v=0",
            headers=bearer(mine["session_token"]) | {"Content-Type": "application/sdp"},
        ) as response:
            bodies.append(await problem(response, 403, "not-yours"))
    assert all(body == bodies[0] for body in bodies)


async def test_a_session_begun_elsewhere_is_served_here(start_gateway: Start) -> None:
    one: Rig = await start_gateway()
    two: Rig = await start_gateway()
    answer = await one.begin()
    async with two.http.get(
        two.url + answer["summary_url"], headers=bearer(answer["session_token"])
    ) as response:
        assert response.status == 202
        assert response.headers["Retry-After"] == "1"


async def test_the_end_is_told_to_coach_and_ingest(rig: Rig) -> None:
    answer = await rig.begin()
    async with rig.http.post(
        rig.url + answer["end_url"], headers=bearer(answer["session_token"])
    ) as response:
        assert (response.status, await response.json()) == (202, {"state": "ending"})
    assert [signal.action for signal in rig.ingest.signals] == ["end"]
    await rig.until(lambda: any(isinstance(event, SessionEnding) for event in rig.ingest.control))


async def test_the_summary_is_the_last_one(rig: Rig) -> None:
    answer = await rig.begin()
    for n, score in ((1, 10), (2, 80)):
        await rig.bus.publish_event(summary(n, session=answer["session_id"], score=score))
    async with asyncio.timeout(5):
        while True:
            async with rig.http.get(
                rig.url + answer["summary_url"], headers=bearer(answer["session_token"])
            ) as response:
                body = await response.json()
                if response.status == 200 and body["score"] == 80:
                    break
    assert body["type"] == "summary"
    assert body["objections"] == ["no_space", "credit"]


async def test_paths_and_methods_that_are_not_there(rig: Rig) -> None:
    async with rig.http.get(f"{rig.url}/v1/nothing") as response:
        await problem(response, 404, "not-found")
    async with rig.http.put(f"{rig.url}/v1/sessions", data=b"") as response:
        await problem(response, 405, "method-not-allowed")
        assert "POST" in response.headers["Allow"]


async def test_a_bug_shows_no_trace(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await rig.begin()

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret of the bug")

    monkeypatch.setattr(rig.service.gateway.sessions, "end", broken)
    async with rig.http.post(
        rig.url + answer["end_url"], headers=bearer(answer["session_token"])
    ) as response:
        assert "secret" not in json.dumps(await problem(response, 500, "internal"))


async def test_origins(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(allowed_origins=("https://app.example",))
    url = f"{rig.url}/v1/sessions"
    async with rig.http.post(url, json=CONSENT, headers={"Origin": "https://evil.example"}) as response:
        await problem(response, 403, "origin")
        assert "Access-Control-Allow-Origin" not in response.headers
    for origin in ("https://app.example", rig.url):
        async with rig.http.post(url, json=CONSENT, headers={"Origin": origin}) as response:
            await problem(response, 401, "token-missing")
            assert response.headers["Access-Control-Allow-Origin"] == origin
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    async with rig.http.options(f"{url}/x/whip", headers=preflight) as response:
        assert response.status == 204
        assert response.headers["Accept-Post"] == "application/sdp"
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
    async with rig.http.options(url, headers=preflight | {"Origin": "null"}) as response:
        await problem(response, 403, "origin")


async def test_security_headers_are_on_everything(rig: Rig) -> None:
    for path in ("/", "/docs", "/v1/nothing", "/healthz"):
        async with rig.http.get(rig.url + path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert "microphone=(self)" in response.headers["Permissions-Policy"]
            assert "server" not in response.headers
    async with rig.http.get(rig.url, headers={"Host": "a'; script-src *"}) as response:
        assert "script-src" not in response.headers["Content-Security-Policy"]


# ── development login ────────────────────────────────────────────────────────────────────────────────────


async def test_development_login_is_off_by_default(rig: Rig) -> None:
    async with rig.http.post(f"{rig.url}/v1/dev/token") as response:
        await problem(response, 404, "not-found")


async def test_development_login_on_this_machine_only(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(dev_login=True)
    url = f"{rig.url}/v1/dev/token"
    for headers in ({}, {"Origin": rig.url}):
        async with rig.http.post(url, headers=headers) as response:
            assert response.status == 200
            token = (await response.json())["token"]
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        async with rig.http.post(url, headers=headers) as response:
            assert response.status in (403, 404)
    async with rig.http.post(f"{rig.url}/v1/sessions", json=CONSENT, headers=bearer(token)) as response:
        assert response.status == 201


# ── operations and static files ──────────────────────────────────────────────────────────────────────────


async def test_health_and_documents(rig: Rig) -> None:
    for path in ("/healthz", "/readyz"):
        async with rig.http.get(rig.url + path) as response:
            assert response.status == 200
    for path in ("/docs", "/docs/docs.js", "/docs/docs.css"):
        async with rig.http.get(rig.url + path) as response:
            text = await response.text()
            assert response.status == 200
            assert "http://" not in text
            assert "https://" not in text
    async with rig.http.get(f"{rig.url}/metrics") as response:
        assert response.status == 404


async def test_the_openapi_document(rig: Rig) -> None:
    async with rig.http.get(f"{rig.url}/openapi.json") as response:
        document = await response.json()
    assert set(document["components"]["securitySchemes"]) == {"userToken", "sessionToken"}
    assert "/v1/dev/token" not in document["paths"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (path, method)
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)
    text = json.dumps(document)
    assert "ValidationError" not in text
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in document["components"]["schemas"]


@pytest.fixture
async def web(tmp_path: Path, start_gateway: Start) -> Rig:
    (tmp_path / "secret.txt").write_text("secret")
    assets = tmp_path / "web" / "assets"
    assets.mkdir(parents=True)
    (assets / "app-1a2b.js").write_text("1")
    (tmp_path / "web" / "index.html").write_text("<!doctype html>")
    (tmp_path / "web" / "link.txt").symlink_to(tmp_path / "secret.txt")
    started: Rig = await start_gateway()
    return started


@pytest.mark.leaks_allowed(reason="starlette reads files in anyio's worker threads, which live with the loop")
async def test_the_web_page_and_its_cache_rules(web: Rig) -> None:
    async with web.http.get(web.url) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.content_type == "text/html"
    async with web.http.get(f"{web.url}/assets/app-1a2b.js") as response:
        assert "immutable" in response.headers["Cache-Control"]
    async with web.http.get(f"{web.url}/nothing.js") as response:
        await problem(response, 404, "not-found")


@pytest.mark.leaks_allowed(reason="starlette reads files in anyio's worker threads, which live with the loop")
async def test_no_way_out_of_the_web_directory(web: Rig) -> None:
    port = web.service.port
    for path in (
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%5c..%5csecret.txt",
        "//etc/passwd",
        "/%00",
        "/link.txt",
    ):
        answer = await raw(
            port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), (path, answer[:80])
        assert not answer.endswith(b"secret")


async def test_a_page_that_is_not_built_says_how(rig: Rig) -> None:
    async with rig.http.get(rig.url) as response:
        assert response.status == 404
        assert "make setup" in await response.text()


# ── limits on the wire ───────────────────────────────────────────────────────────────────────────────────


async def raw(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_declared_body_is_refused_before_it_comes(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.service.port)
    writer.write(
        b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n",
    )
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 413")


async def test_a_body_without_length_is_refused_on_the_way(rig: Rig) -> None:
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    answer = await raw(rig.service.port, head, *[chunk] * 40)
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_of_exactly_the_limit_is_read(rig: Rig) -> None:
    body = json.dumps(CONSENT).ljust(MAX_BODY_BYTES)
    headers = bearer(rig.user_token()) | {"Content-Type": "application/json"}
    async with rig.http.post(f"{rig.url}/v1/sessions", data=body, headers=headers) as response:
        assert response.status in (201, 503)


async def test_an_endless_head_is_refused(rig: Rig) -> None:
    filler = b"X-Filler: " + b"x" * 1_000 + b"\r\n"
    start = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    # not a byte after the limit: it would reset the connection before the answer is read
    answer = await raw(rig.service.port, start + filler * (MAX_HEADER_BYTES // len(filler)), filler)
    assert answer.startswith(b"HTTP/1.1 400")


async def test_a_body_that_trickles_is_not_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldcoach.gateway.edge.BODY_TIMEOUT_S", 0.05)
    monkeypatch.setattr("fieldcoach.gateway.edge.DISCARD_S", 0.05)
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    assert (await raw(rig.service.port, head)).startswith(b"HTTP/1.1 408")


async def test_a_taken_port_is_named(start_gateway: Start) -> None:
    rig: Rig = await start_gateway()
    with pytest.raises(AddressUnavailable, match=f"PORT={rig.service.port}"):
        await start_gateway(port=rig.service.port)


async def test_without_the_bus_everything_says_so(start_gateway: Start, nats_server: NatsServer) -> None:
    rig: Rig = await start_gateway()
    answer = await rig.begin()
    token = bearer(answer["session_token"])
    nats_server.kill()
    await rig.until(lambda: not rig.service.gateway.bus.is_connected)
    async with rig.http.get(f"{rig.url}/readyz") as response:
        assert (await problem(response, 503, "not-ready"))["detail"] == "lost NATS"
    async with rig.http.post(
        f"{rig.url}/v1/sessions", json=CONSENT, headers=bearer(rig.user_token())
    ) as response:
        await problem(response, 503, "not-ready")
    async with rig.http.get(rig.url + answer["summary_url"], headers=token) as response:
        await problem(response, 503, "not-ready")
    async with rig.http.post(
        rig.url + answer["whip_url"], data="v=0", headers=token | {"Content-Type": "application/sdp"}
    ) as response:
        await problem(response, 503, "not-ready")


async def test_readiness_follows_the_drain(start_gateway: Start) -> None:
    rig: Rig = await start_gateway()
    assert rig.service.why_not_ready() is None
    started = time.monotonic()
    await rig.service.drain()
    assert time.monotonic() - started < 3
    assert rig.service.why_not_ready() == "draining"
