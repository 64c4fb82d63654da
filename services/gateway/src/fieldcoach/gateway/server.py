"""uvicorn inside the service's own loop, with connections that can be bounded and aborted."""

import asyncio
import contextlib
import logging
import socket
from asyncio.transports import BaseTransport
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .errors import AddressUnavailable

MAX_FRAME_BYTES: Final = 64 * 1024
MAX_HEADER_BYTES: Final = 32 * 1024
"""httptools itself has no limit."""
HEADERS_TIMEOUT_S: Final = 20.0
"""From the connection to its first complete head: longer than the worst 2G round trips."""
WRITE_BUFFER_BYTES: Final = 16 * 1024
"""What waits in the process or the kernel can't be replaced by a newer partial any more: keep it short."""
PING_S: Final = 20.0
SHUTDOWN_S: Final = 5
_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)  # Linux; not in Python 3.11's names


class EventsProtocol(WebSocketsSansIOProtocol):
    """WebSocket connections of which the application may abort the transport."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Keep little unsent data, in the process and in the kernel."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):  # not TCP, or not Linux: only less prompt
            connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, WRITE_BUFFER_BYTES)

    def handle_connect(self, event: Any) -> None:
        """Give the application the transport: ASGI has no word for abort."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["fieldcoach.transport"] = self.transport

    def keepalive_timeout(self) -> None:
        """A peer that answers no ping reads nothing either: a polite close would wait for it for ever."""
        super().keepalive_timeout()
        self.transport.abort()


class RequestProtocol(HttpToolsProtocol):
    """HTTP connections with a bounded head that comes in bounded time."""

    def connection_made(self, transport: Any) -> None:
        """Start to wait for the head of the first request."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(
            HEADERS_TIMEOUT_S, transport.abort
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that does not end."""
        super().data_received(data)
        if self._head_timer is not None and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEADER_BYTES:
                self.send_400_response("Header fields are too large.")

    def on_message_begin(self) -> None:
        """Give the application the transport."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment] # uvicorn's TypedDict has no extensions
        scope["extensions"] = {"fieldcoach.transport": self.transport}
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEADERS_TIMEOUT_S, self.transport.abort)

    def on_headers_complete(self) -> None:
        """The head is in."""
        self._stop_timer()
        super().on_headers_complete()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: the service's lifecycle has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class WebServer:
    """Listens on HOST:PORT and serves the application until told to stop."""

    def __init__(self, app: Any, host: str, port: int, trusted_proxies: str) -> None:
        self._host = host
        self._wanted_port = port
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it logs a line per socket
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                http=RequestProtocol,
                ws=EventsProtocol,
                ws_max_size=MAX_FRAME_BYTES,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                ws_per_message_deflate=False,  # 110 KiB a connection
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                forwarded_allow_ips=trusted_proxies,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            AddressUnavailable: the address is taken or not ours.
        """
        listening = self._bind()
        self.port = listening.getsockname()[1]
        self._serving = asyncio.ensure_future(self._uvicorn.serve(sockets=[listening]))
        while not self._uvicorn.started:
            if self._serving.done():
                self._serving.result()
                raise AddressUnavailable("the web server stopped at once")
            await asyncio.sleep(0.005)  # uvicorn tells its start by a flag only

    async def stop(self) -> None:
        """Finish what is under way, then close."""
        self._uvicorn.should_exit = True
        if self._serving is not None:
            await self._serving

    def _bind(self) -> socket.socket:
        # our own socket: uvicorn would end the process without a word about which setting to change
        try:
            found = socket.getaddrinfo(
                self._host, self._wanted_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, kind, proto, _, address = found[0]
            listening = socket.socket(family, kind, proto)
            try:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(address)
                listening.setblocking(False)
            except OSError:
                listening.close()
                raise
        except OSError as error:
            raise AddressUnavailable(
                f"HOST={self._host} PORT={self._wanted_port}: can't listen there"
                f" ({error.strerror or error}); set PORT to a free one"
            ) from error
        return listening
