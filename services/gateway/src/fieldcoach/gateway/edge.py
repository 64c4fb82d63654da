"""The first thing a request meets: origin, rate and size are checked, security headers are added.

Plain ASGI: it must see a body before anybody reads it, and a response whoever made it.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fieldcoach.common.backfill import MAX_UPLOAD_BYTES
from fieldcoach.common.messages import Problem

from .errors import Refused
from .limits import RateLimit
from .origins import OriginPolicy, is_host
from .problems import problem

MAX_BODY_BYTES: Final = 64 * 1024
"""Enough for an SDP with every candidate; nothing public is larger but sound that comes late."""
BODY_TIMEOUT_S: Final = 10.0
"""64 KiB take 7 s at 80 kbit/s, a poor 2G link."""
BACKFILL_TIMEOUT_S: Final = 60.0
"""256 KiB take 26 s there, beside live sound twice that."""
_BACKFILL_PATH: Final = re.compile(r"/v1/sessions/[a-z0-9]{26}/backfill")
DISCARD_BYTES: Final = 1024 * 1024
DISCARD_S: Final = 2.0
"""A refused body is read on for so much and so long: a connection closed on unread data is reset, and
the client would see that instead of the 413."""
PREFLIGHT_MAX_AGE_S: Final = 600

_ALLOW_METHODS: Final = "GET, POST, PATCH, DELETE, OPTIONS"
_ALLOW_HEADERS: Final = "Authorization, Content-Type, If-Match, Last-Event-ID, Traceparent"
_EXPOSE_HEADERS: Final = "Location, ETag, Link, Retry-After, Accept-Patch"

RenderProblem = Callable[[Problem, dict[str, str]], Response]


class Edge:
    """The outermost application."""

    def __init__(
        self, app: ASGIApp, origins: OriginPolicy, addresses: RateLimit, render: RenderProblem
    ) -> None:
        self._app = app
        self._origins = origins
        self._addresses = addresses
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve_request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_rate(scope)
        except Refused as refused:
            response = self._render(refused.problem, refused.headers)
            await receive()  # websocket.connect
            await send(
                {
                    "type": "websocket.http.response.start",
                    "status": response.status_code,
                    "headers": response.raw_headers,
                }
            )
            await send({"type": "websocket.http.response.body", "body": bytes(response.body)})
        else:
            await self._app(scope, receive, send)

    async def _serve_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        is_api = scope["path"].startswith("/v1/")
        origin = headers.get("origin") if is_api else None
        allowed = self._origins.allows(origin, headers.get("host", ""))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                _add_security(out, headers.get("host", ""))
                if is_api:
                    out.setdefault("Cache-Control", "no-store")
                    out.add_vary_header("Origin")
                    if origin is not None and allowed:
                        out["Access-Control-Allow-Origin"] = origin
                        out["Access-Control-Expose-Headers"] = _EXPOSE_HEADERS
            await send(message)

        try:
            if is_api:
                self._check_rate(scope)
                if not allowed:
                    raise Refused(
                        problem(
                            "origin", "pages of this origin may not call", fix="add it to ALLOWED_ORIGINS"
                        )
                    )
                if scope["method"] == "OPTIONS":
                    await _preflight(scope["path"])(scope, receive, send_with_headers)
                    return
            is_sound = _BACKFILL_PATH.fullmatch(scope["path"]) is not None
            max_bytes = MAX_UPLOAD_BYTES if is_sound else MAX_BODY_BYTES
            timeout_s = BACKFILL_TIMEOUT_S if is_sound else BODY_TIMEOUT_S
            whole_body = await _read_body(headers, receive, max_bytes, timeout_s)
        except Refused as refused:
            response = self._render(refused.problem, refused.headers)
            await _respond_and_discard(response, receive, send_with_headers)
        except ConnectionError:
            return
        else:
            await self._app(scope, _replay(whole_body, receive), send_with_headers)

    def _check_rate(self, scope: Scope) -> None:
        client = scope.get("client")
        wait_s = self._addresses.retry_after_s(client[0] if client else "", time.monotonic())
        if wait_s:
            raise Refused(problem("too-many", "too many requests from your address", retry_after_s=wait_s))


def _preflight(path: str) -> Response:
    """The answer to OPTIONS: CORS (Fetch, 3.2.2), and what a WHIP client asks (RFC 9725, 4.2)."""
    response = Response(status_code=204)
    response.headers["Allow"] = _ALLOW_METHODS
    response.headers["Access-Control-Allow-Methods"] = _ALLOW_METHODS
    response.headers["Access-Control-Allow-Headers"] = _ALLOW_HEADERS
    response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE_S)
    if path.endswith("/whip"):
        response.headers["Accept-Post"] = "application/sdp"
    return response


async def _read_body(headers: Headers, receive: Receive, max_bytes: int, timeout_s: float) -> bytes:
    too_large = problem("too-large", f"the body has more than {max_bytes} bytes", fix="send a smaller one")
    declared = headers.get("content-length", "0")
    if not declared.isdecimal():
        raise Refused(problem("bad-request", "not a length", field="Content-Length", fix="send a number"))
    if int(declared) > max_bytes:
        raise Refused(too_large)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > max_bytes:
                    raise Refused(too_large)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise Refused(
            problem("too-slow", f"the body took more than {timeout_s:.0f} s", fix="send it again")
        ) from None


def _replay(whole_body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": whole_body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


async def _respond_and_discard(response: Response, receive: Receive, send: Send) -> None:
    response.headers["Connection"] = "close"
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    await send({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
    left = DISCARD_BYTES
    try:
        async with asyncio.timeout(DISCARD_S):
            more = True
            while more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _add_security(headers: MutableHeaders, host: str) -> None:
    # older Safari takes 'self' in connect-src for HTTP only
    sockets = f" ws://{host} wss://{host}" if is_host(host) else ""
    headers["Content-Security-Policy"] = (
        f"default-src 'self'; connect-src 'self'{sockets}; img-src 'self' data:; media-src 'self' blob:;"
        " worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    )
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "microphone=(self), camera=(), geolocation=()"
