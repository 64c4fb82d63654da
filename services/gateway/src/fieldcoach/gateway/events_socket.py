"""Events over WebSocket: the shell that moves JSON between a socket and its connection."""

import asyncio
import contextlib
import json
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from .channel import CloseCode, Closing
from .connections import EventsConnection

PROTOCOL: Final = "fieldcoach.events.v1"
_TOKEN_PREFIX: Final = "bearer."
SEND_GRACE_S: Final = 1.0
"""How long a send that is under way may take once we want to close."""
CLOSE_TIMEOUT_S: Final = 5.0
"""Then the peer has answered the close frame, or never will: the connection is aborted."""

_REASONS: Final[dict[CloseCode, str]] = {
    CloseCode.ENDED: "the session has ended",
    CloseCode.TOO_MANY_BAD: "too many bad messages",
    CloseCode.GOING_AWAY: "the server restarts, connect again",
    CloseCode.TOO_SLOW: "too slow, connect again",
    CloseCode.TOKEN: "token missing, invalid or expired",
    CloseCode.FORBIDDEN: "origin or session",
    CloseCode.REPLACED: "replaced by a newer connection",
}


def token_in_protocols(protocols: list[str]) -> str | None:
    """The token that a browser offers as a subprotocol, as it can set no header."""
    for offered in protocols:
        if offered.startswith(_TOKEN_PREFIX):
            return offered.removeprefix(_TOKEN_PREFIX)
    return None


async def accept(socket: WebSocket, protocol: str = PROTOCOL) -> None:
    """Accept with our subprotocol, if the client offers it."""
    offered: list[str] = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=protocol if protocol in offered else None)


async def send_json(socket: WebSocket, event: dict[str, Any]) -> None:
    """Send one event."""
    await socket.send_text(json.dumps(event, ensure_ascii=False, separators=(",", ":")))


async def close(socket: WebSocket, code: CloseCode) -> None:
    """Close with a code that a browser can read; abort a connection that does not let us."""
    transport = socket.scope.get("extensions", {}).get("fieldcoach.transport")
    try:
        async with asyncio.timeout(SEND_GRACE_S):
            await socket.close(code, _REASONS[code])
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        if transport is not None:
            transport.abort()
    if transport is not None:
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, transport.abort)


async def serve(socket: WebSocket, connection: EventsConnection) -> None:
    """Run an accepted socket until either side closes."""
    writer = asyncio.ensure_future(_write(socket, connection))
    reader = asyncio.ensure_future(_read(socket, connection))
    must_close = asyncio.ensure_future(connection.closing.wait())
    code: CloseCode | None = None
    try:
        await asyncio.wait({writer, reader, must_close}, return_when=asyncio.FIRST_COMPLETED)
        if must_close.done() and not writer.done() and not reader.done():
            await asyncio.wait({writer, reader}, timeout=SEND_GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        if reader.done():
            reader.result()
        elif writer.done():
            code = writer.result()
        else:
            code = connection.code  # the writer is stuck in a send to a client that does not read
    finally:
        for task in (writer, reader, must_close):
            task.cancel()
        await asyncio.gather(writer, reader, must_close, return_exceptions=True)
        await connection.stop()
    if code is not None:
        connection.count_close(code)
        await close(socket, code)


async def _write(socket: WebSocket, connection: EventsConnection) -> CloseCode | None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the client has gone: the reader says so
        while True:
            item = await connection.next()
            if isinstance(item, Closing):
                return item.code
            if item is not None:
                await send_json(socket, item.body)
                connection.sent(item)
    return None


async def _read(socket: WebSocket, connection: EventsConnection) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await connection.receive(message.get("text"))
