"""TURN credentials: as coturn's `use-auth-secret` checks them."""

import asyncio
import base64
import hashlib
import hmac
import time

import aiohttp
import pytest
from pydantic import ValidationError

from fieldcoach.gateway.settings import GatewaySettings
from fieldcoach.gateway.turn import MAX_TTL_S, TurnServers

from .conftest import SESSION_KEY, USER_KEY, Rig, Start
from .test_gateway_http import bearer

SECRET = "turn-secret-of-the-tests-0123456789abc"
URLS = "turns:turn.example.org:5349?transport=tcp, turn:turn.example.org:3478?transport=tcp"


def test_no_server_no_credentials() -> None:
    assert TurnServers((), "").for_session("s", 0) == []


def test_the_password_is_the_hmac_of_expiry_and_session() -> None:
    (server,) = TurnServers(("turn:t",), "secret").for_session("abc", 1_000.9)
    assert server.username == "1300:abc"
    expected = hmac.new(b"secret", b"1300:abc", hashlib.sha1).digest()
    assert server.credential == base64.b64encode(expected).decode()


async def test_a_session_gets_them_and_the_token_event_renews_them(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(turn_urls=URLS, turn_secret=SECRET, session_token_ttl_s=3)
    session = await rig.begin()
    (server,) = session["ice_servers"]
    assert len(server["urls"]) == 2
    expiry, name = server["username"].split(":")
    assert name == session["session_id"]
    assert 0 < int(expiry) - time.time() <= MAX_TTL_S
    headers = bearer(session["session_token"])
    async with rig.http.ws_connect(rig.url + session["events_url"], headers=headers) as ws:
        async with asyncio.timeout(10):
            while True:
                message = await ws.receive()
                assert message.type is aiohttp.WSMsgType.TEXT
                event = message.json()
                if event["type"] == "token":
                    break
    (renewed,) = event["ice_servers"]
    assert renewed["username"].split(":")[1] == name


async def test_tokens_live_no_longer_than_the_credentials(start_gateway: Start) -> None:
    rig: Rig = await start_gateway(turn_urls=URLS, turn_secret=SECRET)
    assert (await rig.begin())["expires_in"] == MAX_TTL_S


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"turn_urls": "stun:x:1", "turn_secret": SECRET}, "is no TURN server"),
        ({"turn_urls": "turn:x:1", "turn_secret": "short"}, "needs 32"),
        ({"turn_urls": "turn:x:1"}, "needs 32"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        GatewaySettings(user_token_key=USER_KEY, session_token_key=SESSION_KEY, **changes)  # type: ignore[arg-type]
