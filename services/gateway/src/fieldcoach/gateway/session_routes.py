"""`/v1/sessions`: a visit begins, ends, and gives its summary."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from .access import CurrentSession, CurrentUser, GatewayHere
from .models import (
    CreateSession,
    EndAnswer,
    PendingAnswer,
    SessionAnswer,
    SummaryAnswer,
    problem_responses,
)

SUMMARY_RETRY_S = 1
"""Rules sum up at once; an LLM takes a second or two."""

router = APIRouter(prefix="/v1/sessions", tags=["visit"])


@router.post(
    "",
    status_code=201,
    response_model=SessionAnswer,
    summary="A visit begins",
    responses=problem_responses(400, 401, 403, 413, 415, 422, 429, 503),
)
async def begin_session(
    user: CurrentUser, wanted: CreateSession, request: Request, gateway: GatewayHere
) -> SessionAnswer:
    """Gives the session's id, its token and its URLs. The token is renewed over the events channel."""
    headers = {"traceparent": request.headers["traceparent"]} if "traceparent" in request.headers else {}
    return await gateway.sessions.begin(user, wanted, headers)


@router.post(
    "/{session_id}/end",
    status_code=202,
    response_model=EndAnswer,
    summary="The visit ends",
    responses=problem_responses(401, 403, 429),
)
async def end_session(claims: CurrentSession, gateway: GatewayHere) -> EndAnswer:
    """The media end, the coach sums up. Saying it twice changes nothing."""
    await gateway.sessions.end(claims)
    return EndAnswer()


@router.get(
    "/{session_id}/summary",
    response_model=SummaryAnswer,
    summary="What the visit gave",
    responses={
        202: {
            "description": "Not yet; see `Retry-After`",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PendingAnswer"}}},
        },
        **problem_responses(401, 403, 429, 503),
    },
)
async def get_summary(claims: CurrentSession, gateway: GatewayHere) -> Response:
    """The last summary, for 15 minutes after it was made."""
    found = await gateway.sessions.summary(claims)
    if found is None:
        return JSONResponse(
            PendingAnswer().model_dump(), status_code=202, headers={"Retry-After": str(SUMMARY_RETRY_S)}
        )
    return JSONResponse(found)
