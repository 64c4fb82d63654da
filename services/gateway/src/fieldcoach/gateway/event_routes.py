"""`/v1/sessions/{id}/events`: by WebSocket, and the same by SSE."""

from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response, WebSocket

from fieldcoach.common.errors import BusUnavailable, MessageRejected
from fieldcoach.common.position import Position

from . import events_socket
from .access import CurrentSession, GatewayHere, socket_claims
from .channel import CloseCode
from .connections import error_event
from .errors import Refused, TokenRefused
from .events_stream import EventStream
from .gateway import Gateway
from .models import problem_responses
from .problems import NOT_READY_RETRY_S, problem

MAX_POSITION_CHARS: Final = 100
"""Four writers with 17 characters each, and the points between them."""

router = APIRouter(tags=["events"])


def _position(text: str, field: str) -> Position:
    try:
        if len(text) > MAX_POSITION_CHARS:
            raise MessageRejected("position", "length")
        return Position.parse(text)
    except MessageRejected:
        raise Refused(
            problem(
                "bad-request", "not an event id of ours", field=field, fix="give back the last id, or none"
            )
        ) from None


@router.get(
    "/v1/sessions/{session_id}/events",
    response_class=Response,
    summary="The visit's events, live and from where you left off",
    responses={
        200: {
            "description": "Server-sent events; each `data` is one event of `docs/protocol.md`",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        101: {"description": "The same as WebSocket messages (subprotocol `fieldcoach.events.v1`)"},
        **problem_responses(400, 401, 403, 406, 429, 503),
    },
)
async def stream_events(
    claims: CurrentSession,
    gateway: GatewayHere,
    request: Request,
    after: Annotated[str, Query(description="The last event id that you have")] = "",
    last_event_id: Annotated[str | None, Header(description="As `after`; it goes first")] = None,
) -> Response:
    """By WebSocket with the same URL, where `after` is the only way to resume; otherwise SSE."""
    accepted = request.headers.get("accept", "*/*")
    if not any(kind in accepted for kind in ("text/event-stream", "text/*", "*/*")):
        raise Refused(
            problem("not-acceptable", "events are text/event-stream", field="Accept", fix="text/event-stream")
        )
    field = "after" if last_event_id is None else "Last-Event-ID"
    connection = gateway.events_connection(claims, _position(last_event_id or after, field))
    try:
        await connection.open()
    except BaseException as error:
        await connection.stop()
        if isinstance(error, BusUnavailable):
            raise Refused(
                problem("not-ready", "the bus is away", fix="try again", retry_after_s=NOT_READY_RETRY_S)
            ) from error
        raise
    return EventStream(claims.sid, connection)


@router.websocket("/v1/sessions/{session_id}/events")
async def socket_events(socket: WebSocket, session_id: str, after: str = "") -> None:
    """Accept first, refuse afterwards: a browser shows a page the close code, but no HTTP status."""
    gateway: Gateway = socket.app.state.gateway
    await events_socket.accept(socket)
    try:
        claims = socket_claims(gateway, socket, session_id)
    except TokenRefused as refused:
        gateway.telemetry.tokens_refused.add(refused.why)
        await _refuse(gateway, socket, CloseCode.TOKEN)
        return
    except Refused:
        await _refuse(gateway, socket, CloseCode.FORBIDDEN)
        return
    try:
        position = _position(after, "after")
    except Refused as refused:
        await events_socket.send_json(socket, error_event(session_id, refused.problem))
        await _refuse(gateway, socket, CloseCode.TOO_MANY_BAD)
        return
    connection = gateway.events_connection(claims, position)
    try:
        await connection.open()
    except BusUnavailable:
        await connection.stop()
        await _refuse(gateway, socket, CloseCode.TOO_SLOW)
        return
    except BaseException:
        await connection.stop()
        raise
    await events_socket.serve(socket, connection)


async def _refuse(gateway: Gateway, socket: WebSocket, code: CloseCode) -> None:
    gateway.telemetry.closes.add(str(int(code)))
    await events_socket.close(socket, code)
