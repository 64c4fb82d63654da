"""`/v1/sessions/{id}/audio`: Opus by WebSocket, for a phone whose UDP is blocked."""

from fastapi import APIRouter, WebSocket

from . import events_socket
from .access import socket_claims
from .audio_socket import PROTOCOL, AudioConnection
from .channel import CloseCode
from .errors import Refused, TokenRefused
from .gateway import Gateway

router = APIRouter(tags=["media"])


@router.websocket("/v1/sessions/{session_id}/audio")
async def socket_audio(socket: WebSocket, session_id: str) -> None:
    """Accept first, refuse afterwards: a browser shows a page the close code, but no HTTP status."""
    gateway: Gateway = socket.app.state.gateway
    await events_socket.accept(socket, PROTOCOL)
    code = await _serve(gateway, socket, session_id)
    if code is not None:
        gateway.telemetry.audio_closes.add(str(int(code)))
        await events_socket.close(socket, code)


async def _serve(gateway: Gateway, socket: WebSocket, session_id: str) -> CloseCode | None:
    try:
        claims = socket_claims(gateway, socket, session_id)
    except TokenRefused as refused:
        gateway.telemetry.tokens_refused.add(refused.why)
        return CloseCode.TOKEN
    except Refused:
        return CloseCode.FORBIDDEN
    if "media" not in claims.scopes:  # the visit began without consent
        return CloseCode.FORBIDDEN
    connection = AudioConnection(
        claims, gateway.bus, gateway.sessions, gateway.fleet, gateway.active_audio, gateway.telemetry
    )
    try:
        await connection.open()
    except Refused as refused:
        return CloseCode.ENDED if refused.problem.status == 404 else CloseCode.TOO_SLOW
    return await connection.serve(socket)
