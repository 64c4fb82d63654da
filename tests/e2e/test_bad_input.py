"""What goes wrong is told with the right status, the field and the fix, by the real system."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support import NatsServer, free_port, nats_server_binaries

from .conftest import ROOT, Running

CONSENT = {"given": True, "language": "en", "version": "2026-11"}
AUDIO_OFFER = "\r\n".join(
    [
        "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
        "m={kind} 9 UDP/TLS/RTP/SAVPF {payload}", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendonly", "a=rtcp-mux",
        "a=rtpmap:{payload} {codec}", "a=setup:actpass", "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["AA"] * 32), "",
    ]
)  # fmt: skip


def offer(kind: str = "audio", payload: int = 111, codec: str = "opus/48000/2") -> str:
    return AUDIO_OFFER.format(kind=kind, payload=payload, codec=codec)


class Api:
    """Plain HTTP, as any client speaks it."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        token: str | None = None,
        kind: str = "application/json",
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
                kind = error.headers["Content-Type"]
            assert kind == "application/problem+json"  # the answer's, not the exception's
        return status, json.loads(text) if text.startswith(b"{") else {"sdp": text.decode()}

    def session(self, **fields: Any) -> dict[str, Any]:
        body = json.dumps({"consent": CONSENT} | fields).encode()
        status, answer = self.call("POST", "/v1/sessions", body, self.token)
        assert status == 201, answer
        return answer

    def offer(self, session: dict[str, Any], sdp: str) -> tuple[int, dict[str, Any]]:
        return self.call(
            "POST", session["whip_url"], sdp.encode(), session["session_token"], "application/sdp"
        )


@pytest.fixture(scope="module")
def api(system: Running) -> Api:
    return Api(system.url, system.token())


@pytest.fixture
def session(api: Api) -> Iterator[dict[str, Any]]:
    session = api.session()
    yield session
    api.call("POST", session["end_url"], b"", session["session_token"])


def assert_problem(answer: tuple[int, dict[str, Any]], status: int, kind: str) -> dict[str, Any]:
    assert answer[0] == status, answer
    problem = answer[1]
    assert problem["type"] == f"urn:fieldcoach:problem:{kind}"
    assert problem["title"]
    assert problem["status"] == status
    return problem


@pytest.mark.stack
def test_no_and_bad_tokens(api: Api, session: dict[str, Any]) -> None:
    body = json.dumps({"consent": CONSENT}).encode()
    problem = assert_problem(api.call("POST", "/v1/sessions", body), 401, "token-missing")
    assert "Authorization" in json.dumps(problem)
    assert_problem(api.call("POST", "/v1/sessions", body, "nonsense"), 401, "token-invalid")
    assert_problem(api.call("POST", "/v1/sessions", body, session["session_token"]), 401, "token-invalid")
    assert_problem(api.call("GET", session["summary_url"], None, api.token), 401, "token-invalid")


@pytest.mark.stack
def test_an_unknown_session_and_another_ones_look_alike(api: Api, session: dict[str, Any]) -> None:
    other = api.session()
    unknown = api.call("GET", f"/v1/sessions/{'z' * 26}/summary", None, session["session_token"])
    foreign = api.call("GET", other["summary_url"], None, session["session_token"])
    assert_problem(unknown, 403, "not-yours")
    assert unknown == foreign
    api.call("POST", other["end_url"], b"", other["session_token"])


@pytest.mark.stack
def test_offers_that_can_not_be_answered(api: Api, session: dict[str, Any]) -> None:
    assert_problem(api.offer(session, "this is no SDP"), 400, "bad-sdp")
    assert_problem(api.offer(session, "v=0\r\n" + "a=x\r\n" * 14_000), 413, "too-large")
    assert_problem(api.offer(session, offer(kind="video", payload=96, codec="VP8/90000")), 400, "no-audio")
    problem = assert_problem(
        api.offer(session, offer(payload=0, codec="PCMU/8000")), 400, "unsupported-codec"
    )
    assert "opus" in json.dumps(problem).casefold()
    wrong_kind = api.call(
        "POST", session["whip_url"], offer().encode(), session["session_token"], "text/plain"
    )
    assert_problem(wrong_kind, 415, "unsupported-media-type")
    status, answer = api.offer(session, offer())
    assert status == 201
    assert re.search(r"a=fmtp:111 .*maxplaybackrate=16000.*useinbandfec=1.*usedtx=1", answer["sdp"])
    assert "a=ptime:40" in answer["sdp"]


@pytest.mark.stack
def test_fields_of_a_session_request(api: Api) -> None:
    for body, field in [
        ({"consent": CONSENT, "level": "expert"}, "level"),
        ({"consent": CONSENT, "x": 1}, "x"),
        ({}, "consent"),
        ({"consent": CONSENT, "playbook": "../secrets"}, "playbook"),
    ]:
        problem = assert_problem(
            api.call("POST", "/v1/sessions", json.dumps(body).encode(), api.token), 422, "invalid"
        )
        assert field in problem["field"]
    assert_problem(api.call("POST", "/v1/sessions", b"{", api.token), 400, "bad-request")


@pytest.mark.stack
def test_without_consent_there_is_no_audio(api: Api) -> None:
    session = api.session(consent=CONSENT | {"given": False})
    assert_problem(api.offer(session, offer()), 403, "consent-missing")
    api.call("POST", session["end_url"], b"", session["session_token"])


@pytest.mark.stack
async def test_a_message_that_is_not_json(api: Api, session: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {session['session_token']}"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(api.url + session["events_url"], headers=headers) as ws,
    ):
        for text, field in [
            ("not json", None),
            ('{"type": "ack", "cue_id": "x", "action": "shown"}', "cue_id"),
        ]:
            await ws.send_str(text)
            error = await _next(ws, "error")
            assert error["title"]
            assert field is None or field in error["field"]
        await ws.send_json({"type": "ping", "t": 7})
        assert (await _next(ws, "pong"))["t"] == 7


async def _next(ws: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = await ws.receive_json(timeout=5)
        if event["type"] == kind:
            return event


# ── settings and files, at the start of a service ────────────────────────────────────────────────────────


class Service:
    """One service process of the test."""

    def __init__(self, name: str, nats_url: str, **environment: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"fieldcoach.{name}"],
            cwd=ROOT,
            env=os.environ | {"NATS_URL": nats_url, "HEALTH_PORT": str(self.port), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def readiness(self, wanted: str, limit_s: float = 30) -> str:
        """What /readyz says, as soon as it says `wanted`."""
        deadline, said = time.monotonic() + limit_s, "nothing"
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as response:
                    said = response.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    said = error.read().decode()
            except OSError:
                pass
            if wanted in said:
                return said
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(f"/readyz said {said!r}, not {wanted!r}")

    def stop(self) -> tuple[int, str]:
        self.process.terminate()
        out, _ = self.process.communicate(timeout=20)
        return self.process.returncode, out


@pytest.mark.stack
def test_a_missing_model_says_what_to_set(nats_url: str) -> None:
    asr = Service("asr", nats_url, ASR_ENGINE="whisper", ASR_MODEL="/nowhere/model")
    said = asr.readiness("/nowhere/model")
    assert "ASR_MODEL" in said
    assert asr.stop()[0] == 0


@pytest.mark.stack
def test_a_playbook_with_an_unknown_key_is_named(nats_url: str, tmp_path: Path) -> None:
    text = (ROOT / "playbooks" / "outlet-en.yaml").read_text()
    (tmp_path / "outlet-en.yaml").write_text(text.replace("\nlimits:", "\nlimitz: {}\nlimits:", 1))
    coach = Service("coach", nats_url, PLAYBOOKS_DIR=str(tmp_path))
    said = coach.readiness("limitz")
    assert re.search(r"outlet-en\.yaml:\d+: limitz", said)
    assert coach.stop()[0] == 0


@pytest.mark.stack
@pytest.mark.parametrize("service", ["ingest", "asr", "coach", "gateway"])
def test_a_service_waits_for_nats_says_so_and_then_works(service: str, tmp_path: Path) -> None:
    server = NatsServer(nats_server_binaries()[0], tmp_path / "jetstream")
    keys = {"USER_TOKEN_KEY": "k" * 48, "SESSION_TOKEN_KEY": "s" * 48, "PORT": str(free_port())}
    process = Service(service, server.url, **keys)
    process.readiness("waiting for NATS")
    server.start()
    try:
        process.readiness("ready\n")
        status, out = process.stop()
    finally:
        server.kill()
    assert status == 0
    assert out.count("waiting for NATS") == 1


@pytest.mark.stack
def test_a_missing_key_says_what_to_set() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fieldcoach.gateway"],
        env={name: value for name, value in os.environ.items() if not name.endswith("_KEY")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "USER_TOKEN_KEY" in done.stderr
    assert "Traceback" not in done.stderr
