"""`/v1/sessions/{id}/backfill`: sound that was lost on the way, from the phone's memory."""

import time
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from fieldcoach.common.backfill import MAX_PIECE_BYTES, MAX_UPLOAD_BYTES, parse_records, pieces
from fieldcoach.common.errors import BusUnavailable, MessageRejected
from fieldcoach.common.messages import BackfillPackets

from .access import CurrentSession, GatewayHere
from .errors import Refused
from .models import problem_responses
from .problems import NOT_READY_RETRY_S, problem
from .whip_routes import require_media

RECORDS: Final = "application/vnd.fieldcoach.opus"

router = APIRouter(prefix="/v1/sessions", tags=["media"])

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            RECORDS: {"schema": {"type": "string", "format": "binary", "maxLength": MAX_UPLOAD_BYTES}}
        },
    }
}


@router.post(
    "/{session_id}/backfill",
    status_code=202,
    response_class=Response,
    summary="Sound that was lost",
    openapi_extra=_BODY,
    responses=problem_responses(400, 401, 403, 413, 415, 429, 503),
)
async def backfill(claims: CurrentSession, request: Request, gateway: GatewayHere) -> Response:
    """Opus packets of the ranges that a `missing` event listed; see docs/protocol.md for their form."""
    require_media(claims)
    wait_s = gateway.uploads.retry_after_s(claims.sid, time.monotonic())
    if wait_s:
        raise Refused(problem("too-many", "too many uploads of this session", retry_after_s=wait_s))
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != RECORDS:
        raise Refused(
            problem("unsupported-media-type", f"not {RECORDS}", field="Content-Type", fix=f"send {RECORDS}")
        )
    try:
        records = parse_records(await request.body())
    except MessageRejected as rejected:
        raise Refused(
            problem(
                "bad-request", f"not records of packets: {rejected.reason}", field="body", fix="see the docs"
            )
        ) from None
    subject = gateway.bus.subjects.backfill(claims.ingest, claims.sid)
    try:
        for piece in pieces(records, MAX_PIECE_BYTES):
            message = BackfillPackets(session=claims.sid, records=piece)
            await gateway.bus.publish(subject, message.encode())
    except BusUnavailable:
        raise Refused(
            problem("not-ready", "the bus is away", fix="try again", retry_after_s=NOT_READY_RETRY_S)
        ) from None
    return Response(status_code=202)
