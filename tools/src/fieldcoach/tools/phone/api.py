"""The HTTP calls of the public surface (docs/protocol.md), and how each failure is told."""

import asyncio
import json
import ssl
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import aiohttp

from ..errors import GatewayUnreachable, Refused, VisitError

CALL_TIMEOUT_S = 10.0
"""Longer than the slowest call: an offer may wait 2 s for an ingest, twice."""


class GatewayApi:
    """One gateway. `insecure` accepts a certificate that nobody vouches for, as Caddy's own on localhost."""

    def __init__(self, gateway: str, insecure: bool = False) -> None:
        parts = urlsplit(gateway)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise VisitError(f"--gateway {gateway}: give an address like http://127.0.0.1:8080")
        self.gateway = gateway.rstrip("/") + "/"
        # False switches the verification off; True is aiohttp's default
        self._http = aiohttp.ClientSession(
            # no limit: a benchmark's phones share one, and each holds a connection for its events
            connector=aiohttp.TCPConnector(ssl=not insecure, limit=0),
            timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    @property
    def http(self) -> aiohttp.ClientSession:
        """The client that the events channel shares."""
        return self._http

    def url(self, path: str) -> str:
        """The absolute address of what the gateway named relatively."""
        return urljoin(self.gateway, path)

    async def create_session(self, user_token: str, request: dict[str, Any]) -> dict[str, Any]:
        """Begin a visit; the answer of `POST /v1/sessions`.

        Raises:
            Refused: no capacity, a bad token, a field that does not fit.
            GatewayUnreachable: no answer.
        """
        _, _, body = await self._call("POST", "v1/sessions", user_token, body=request)
        return _as_object("POST /v1/sessions", body)

    async def dev_token(self) -> str:
        """A token from a development gateway (`DEV_LOGIN=true`, local address only).

        Raises:
            Refused: the gateway hands out none.
            GatewayUnreachable: no answer.
        """
        _, _, body = await self._call("POST", "v1/dev/token", None)
        return str(_as_object("POST /v1/dev/token", body)["token"])

    async def offer(self, whip_url: str, token: str, sdp: str) -> tuple[str, str]:
        """WHIP: the SDP offer in, the SDP answer and the media's address (`Location`) out.

        Raises:
            Refused: the offer can't be used, or no ingest takes it.
            GatewayUnreachable: no answer.
        """
        _, headers, body = await self._call("POST", whip_url, token, sdp=sdp)
        return body, headers.get("Location", "")

    async def end_media(self, location: str, token: str) -> None:
        """WHIP `DELETE`.

        Raises:
            Refused: not a media resource of this session.
            GatewayUnreachable: no answer.
        """
        await self._call("DELETE", location, token)

    async def backfill(self, session: str, token: str, records: bytes) -> None:
        """Sound that was lost, as records of `fieldcoach.common.backfill`.

        Raises:
            Refused: too often, or nothing that this session takes.
            GatewayUnreachable: no answer.
        """
        await self._call("POST", f"v1/sessions/{session}/backfill", token, opus=records)

    async def end_session(self, end_url: str, token: str) -> None:
        """End the visit; the summary follows.

        Raises:
            Refused: not a live session of this token.
            GatewayUnreachable: no answer.
        """
        await self._call("POST", end_url, token)

    async def summary(self, summary_url: str, token: str) -> dict[str, Any] | None:
        """The summary; None while it is being made.

        Raises:
            Refused: no such session.
            GatewayUnreachable: no answer.
        """
        status, _, body = await self._call("GET", summary_url, token)
        return None if status == 202 else _as_object("GET summary", body)

    async def _call(
        self,
        method: str,
        path: str,
        token: str | None,
        *,
        body: dict[str, Any] | None = None,
        sdp: str | None = None,
        opus: bytes | None = None,
    ) -> tuple[int, dict[str, str], str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if sdp is not None:
            headers["Content-Type"] = "application/sdp"
        if opus is not None:
            headers["Content-Type"] = "application/vnd.fieldcoach.opus"
        data = sdp if opus is None else opus
        url = self.url(path)
        name = f"{method} {urlsplit(url).path}"
        try:
            async with self._http.request(method, url, headers=headers, json=body, data=data) as response:
                text = await response.text()
                if response.status >= 400:
                    raise Refused(name, response.status, _as_problem(text))
                return response.status, dict(response.headers), text
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            raise unreachable(self.gateway, error) from error


def unreachable(gateway: str, error: Exception) -> GatewayUnreachable:
    """The message for a gateway that does not answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLError):
        return GatewayUnreachable(
            f"{gateway} has a certificate that this machine does not trust;"
            " for a local stack's own certificate add --insecure"
        )
    reason = "no answer in time" if isinstance(error, asyncio.TimeoutError) else str(error)
    return GatewayUnreachable(
        f"can't reach the gateway at {gateway} ({reason}); start a stack with `fieldcoach up`,"
        " or name another one with --gateway"
    )


def _as_problem(text: str) -> dict[str, object]:
    try:
        problem = json.loads(text)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _as_object(call: str, text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise VisitError(f"{call}: the answer is no JSON object; is this a FieldCoach gateway?")
    return answer
