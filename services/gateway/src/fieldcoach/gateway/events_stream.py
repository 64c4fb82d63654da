"""Events over SSE: the same JSON for clients without WebSocket, resumed by `Last-Event-ID`."""

import asyncio
import json
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .channel import CloseCode, Closing
from .connections import EventsConnection, error_event
from .problems import problem

HEARTBEAT_S: Final = 15.0
"""Below the idle limits of common proxies and of mobile NATs (30 s and more)."""
RETRY_MS: Final = 2_000
"""After how long a client that lost the stream asks again."""
SEND_TIMEOUT_S: Final = 10.0
"""A client that takes no byte for so long is gone, or might as well be."""
_CLOSING_PROBLEMS: Final[dict[CloseCode, tuple[str, str]]] = {
    CloseCode.TOKEN: ("token-expired", "the session is older than its token may become"),
    CloseCode.TOO_SLOW: ("too-slow", "too many events wait for this client"),
    CloseCode.REPLACED: ("replaced", "a newer connection of this session reads the events"),
}


class EventStream(Response):
    """The response that lasts as long as the visit."""

    media_type = "text/event-stream"

    def __init__(self, session: str, connection: EventsConnection) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._session = session
        self._connection = connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the client leaves or the connection closes."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        writer = asyncio.ensure_future(self._write(send))
        reader = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                writer.result()
        except TimeoutError:
            transport = scope.get("extensions", {}).get("fieldcoach.transport")
            if transport is not None:
                transport.abort()
        finally:
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)
            await self._connection.stop()

    async def _write(self, send: Send) -> None:
        await _send(send, f"retry: {RETRY_MS}\n\n")
        while True:
            item = await self._connection.next(HEARTBEAT_S)
            if item is None:
                await _send(send, ": still here\n\n")
            elif isinstance(item, Closing):
                self._connection.count_close(item.code)
                await self._say_why(send, item.code)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            else:
                await _send(send, _frame(item.body, item.id))
                self._connection.sent(item)

    async def _say_why(self, send: Send, code: CloseCode) -> None:
        if code in _CLOSING_PROBLEMS:
            kind, detail = _CLOSING_PROBLEMS[code]
            await _send(send, _frame(error_event(self._session, problem(kind, detail)), None))


def _frame(event: dict[str, Any], position: str | None) -> str:
    identified = f"id: {position}\n" if position is not None else ""
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))  # has no line breaks
    return f"{identified}event: {event['type']}\ndata: {data}\n\n"


async def _send(send: Send, text: str) -> None:
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
