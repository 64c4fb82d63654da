"""The events channel: a WebSocket that resumes after the last event, renews its token and pings."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from ..errors import EventsClosed, Refused
from .api import GatewayApi, unreachable
from .backoff import Backoff
from .clocks import ClockOffset, WallClock

SUBPROTOCOL = "fieldcoach.events.v1"
MAX_EVENT_BYTES = 256 * 1024
"""Far above the longest event (16 KiB on the bus) and what JSON adds to it."""
PATIENCE_S = 60.0
"""A walk through a cellar; then the visit is given up."""
FIRST_PINGS = 5
"""At once, to know the clock offset before the first final."""
FIRST_PING_PAUSE_S = 0.1
PING_PAUSE_S = 2.0
ENDED = 1000
_WHY_CLOSED = {
    1008: "too many messages that the server could not read",
    4401: "the session's token is missing or has expired",
    4403: "the session is not this token's",
    4409: "another client took over this session's events",
}
"""Close codes after which a reconnect would only be closed again."""

Deliver = Callable[[dict[str, Any]], None]


class EventChannel:
    """Runs until the session has ended. Every event is delivered once, in order, as it comes."""

    def __init__(
        self,
        api: GatewayApi,
        events_url: str,
        token: str,
        deliver: Deliver,
        wall: WallClock,
        backoff: Backoff | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.token = token
        self.ice_servers: list[dict[str, Any]] | None = None
        """TURN servers with fresh credentials, once the gateway has sent them with a token."""
        self.offset = ClockOffset()
        self.connected = asyncio.Event()
        self.reconnects = 0
        self._api = api
        self._url = events_url
        self._deliver = deliver
        self._wall = wall
        self._backoff = backoff or Backoff()
        self._patience_s = patience_s
        self._lost_at: float | None = None
        self._last_id: str | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Receive until the server closes with 1000.

        Raises:
            EventsClosed: closed for good, or all attempts to come back failed.
            Refused: the first connection was answered with a problem.
            GatewayUnreachable: the first connection found nobody.
        """
        while True:
            try:
                code = await self._one_connection()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                if isinstance(error, aiohttp.WSServerHandshakeError) and error.status in (401, 403):
                    raise self._as_tool_error(error) from error
                if not self.connected.is_set() and self._last_id is None:
                    raise self._as_tool_error(error) from error
                code = -1
            finally:
                self._socket = None
            if code == ENDED:
                return
            if code in _WHY_CLOSED:
                raise EventsClosed(f"the events channel was closed: {_WHY_CLOSED[code]} (code {code})")
            now = time.monotonic()
            self._lost_at = self._lost_at or now
            if now - self._lost_at >= self._patience_s:
                raise EventsClosed(
                    f"the events channel was lost and did not come back within {self._patience_s:.0f} s;"
                    " wait longer with --patience"
                )
            await asyncio.sleep(self._backoff.next())
            self.reconnects += 1

    async def send(self, message: dict[str, Any]) -> None:
        """Send, or keep until the channel is back (a visit has few messages of its own)."""
        socket = self._socket
        if socket is None or socket.closed:
            self._waiting.append(message)
            return
        try:
            await socket.send_str(json.dumps(message))
        except (ConnectionError, aiohttp.ClientError):
            self._waiting.append(message)

    async def _one_connection(self) -> int:
        url = self._api.url(self._url)
        async with self._api.http.ws_connect(
            url,
            params={"after": self._last_id} if self._last_id else None,
            headers={"Authorization": f"Bearer {self.token}"},
            protocols=(SUBPROTOCOL,),
            max_msg_size=MAX_EVENT_BYTES,
            compress=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
        ) as socket:
            self._socket = socket
            self.connected.set()
            waiting, self._waiting = self._waiting, []
            for kept in waiting:
                await socket.send_str(json.dumps(kept))
            pinging = asyncio.create_task(self._ping(socket))
            try:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self._receive(message.data)
                        self._backoff.reset()
                        self._lost_at = None
            finally:
                pinging.cancel()
                await asyncio.gather(pinging, return_exceptions=True)
            return socket.close_code or -1

    def _receive(self, text: str) -> None:
        try:
            event = json.loads(text)
        except ValueError:
            return  # not from our protocol; what matters has an id and will be missed by `after`
        if not isinstance(event, dict):
            return
        match event.get("type"):
            case "pong":
                if isinstance(event.get("t"), int | float) and isinstance(
                    event.get("server_at"), int | float
                ):
                    self.offset.add(event["t"], self._wall.now(), event["server_at"])
            case "token":
                self.token = str(event.get("session_token") or self.token)
                if isinstance(event.get("ice_servers"), list):
                    self.ice_servers = event["ice_servers"]
        if isinstance(event.get("id"), str):
            self._last_id = event["id"]
        self._deliver(event)

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        sent = 0
        try:
            while True:
                await socket.send_str(json.dumps({"type": "ping", "t": self._wall.now()}))
                sent += 1
                await asyncio.sleep(FIRST_PING_PAUSE_S if sent < FIRST_PINGS else PING_PAUSE_S)
        except (ConnectionError, aiohttp.ClientError):
            return  # the receiving side notices the same and reconnects

    def _as_tool_error(self, error: Exception) -> Exception:
        if isinstance(error, aiohttp.WSServerHandshakeError):
            return Refused("GET events", error.status, {"title": error.message})
        return unreachable(self._api.gateway, error)
