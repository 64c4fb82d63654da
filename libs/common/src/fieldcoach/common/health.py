"""The inside endpoint of a service: `/healthz`, `/readyz`, `/metrics`. Never public."""

import asyncio
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class HealthServer:
    """A few lines of HTTP/1.0, enough for probes and a scraper."""

    def __init__(self, host: str, port: int, why_not_ready: Callable[[], str | None]) -> None:
        self._host = host
        self._port = port
        self._why_not_ready = why_not_ready
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=4_096)

    async def stop(self) -> None:
        """Close."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(2):
                request = await reader.readuntil(b"\r\n")
                status, kind, body = self._answer(request.split(b" ")[1] if b" " in request else b"")
                head = f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a probe that went away
        finally:
            writer.close()

    def _answer(self, path: bytes) -> tuple[str, str, bytes]:
        match path.decode("ascii", "replace").partition("?")[0]:
            case "/healthz":
                return "200 OK", "text/plain", b"ok\n"
            case "/readyz":
                reason = self._why_not_ready()
                if reason is None:
                    return "200 OK", "text/plain", b"ready\n"
                return "503 Service Unavailable", "text/plain", f"{reason}\n".encode()
            case "/metrics":
                return "200 OK", CONTENT_TYPE_LATEST, generate_latest()
            case _:
                return "404 Not Found", "text/plain", b"only /healthz, /readyz, /metrics\n"
