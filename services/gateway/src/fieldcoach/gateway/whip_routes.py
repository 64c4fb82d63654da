"""WHIP (RFC 9725): SDP by HTTP, handed to the session's ingest."""

import re
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Request, Response

from fieldcoach.common.messages import Problem

from .access import CurrentSession, GatewayHere
from .errors import Refused
from .models import problem_responses
from .problems import problem
from .tokens import SessionClaims

SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
ANY: Final = "*"
_RESOURCE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

router = APIRouter(prefix="/v1/sessions/{session_id}/whip", tags=["media"])


def _text_body(media_type: str, example: str) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": 65_536}
    return {
        "requestBody": {"required": True, "content": {media_type: {"schema": schema, "example": example}}}
    }


@router.post(
    "",
    status_code=201,
    response_class=Response,
    summary="WHIP: an SDP offer for its answer",
    openapi_extra=_text_body(SDP, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n…"),
    responses={
        201: {
            "description": "The SDP answer",
            "content": {SDP: {"schema": {"type": "string"}}},
            "headers": {
                "Location": {
                    "description": "The WHIP session, for PATCH and DELETE",
                    "schema": {"type": "string"},
                },
                "ETag": {"description": "The ICE session", "schema": {"type": "string"}},
            },
        },
        **problem_responses(400, 401, 403, 413, 415, 429, 503),
    },
)
async def offer(claims: CurrentSession, request: Request, gateway: GatewayHere) -> Response:
    """A new offer under the same session replaces the peer connection and continues the timeline."""
    require_media(claims)
    sdp = await _read_sdp(request, SDP)
    reply = await gateway.sessions.signal(claims, "offer", sdp)
    resource = reply.etag if _RESOURCE.fullmatch(reply.etag) else "media"
    return Response(
        reply.sdp,
        201,
        {
            # relative: behind a proxy we don't know our own address (RFC 9110, 10.2.2)
            "Location": f"/v1/sessions/{claims.sid}/whip/{resource}",
            "ETag": f'"{resource}"',
            "Accept-Patch": FRAGMENT,
        },
        SDP,
    )


@router.patch(
    "/{resource}",
    status_code=200,
    response_class=Response,
    summary="WHIP: trickle ICE, or an ICE restart",
    openapi_extra=_text_body(FRAGMENT, "a=ice-ufrag:…\r\na=ice-pwd:…\r\n"),
    responses={
        200: {
            "description": "The fragment that answers an ICE restart",
            "content": {FRAGMENT: {"schema": {"type": "string"}}},
        },
        204: {"description": "The candidates were taken"},
        **problem_responses(400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503),
    },
)
async def patch(
    claims: CurrentSession,
    resource: str,
    request: Request,
    gateway: GatewayHere,
    if_match: Annotated[
        str | None, Header(description="The ICE session's ETag; `*` asks for an ICE restart")
    ] = None,
) -> Response:
    """With `If-Match: *` an ICE restart (RFC 9725, 4.3.3), otherwise more candidates (4.3.2).

    A fragment with new credentials under the present ETag is an ICE restart as well.
    """
    require_media(claims)
    etags = _etags(if_match)
    fragment = await _read_sdp(request, FRAGMENT)
    action: Literal["restart", "trickle"] = "restart" if ANY in etags else "trickle"
    reply = await gateway.sessions.signal(
        claims, action, fragment, resource=_name(resource), etag=",".join(sorted(etags))
    )
    if not reply.sdp:
        return Response(status_code=204)
    headers = {"ETag": f'"{reply.etag}"'} if _RESOURCE.fullmatch(reply.etag) else {}
    return Response(reply.sdp, 200, headers, FRAGMENT)


@router.delete(
    "/{resource}",
    status_code=200,
    response_class=Response,
    summary="WHIP: the media end",
    responses=problem_responses(401, 403, 404, 409, 429, 503),
)
async def delete(claims: CurrentSession, resource: str, gateway: GatewayHere) -> Response:
    """The peer connection closes; the visit goes on until `end`."""
    await gateway.sessions.signal(claims, "close", resource=_name(resource))
    return Response(status_code=200)


def _name(resource: str) -> str:
    if not _RESOURCE.fullmatch(resource):
        raise Refused(problem("not-found", "no such WHIP session", fix="use the Location of the offer"))
    return resource


def _etags(if_match: str | None) -> set[str]:
    """The entity tags of `If-Match`, without their quotes. A weak one never matches (RFC 9110, 13.1.1)."""
    if if_match is None:
        raise Refused(
            problem(
                "if-match-missing",
                "a PATCH must say which ICE session it knows",
                field="If-Match",
                fix="send the last ETag, or * to restart ICE",
            )
        )
    tags = {tag.strip().strip('"') for tag in if_match.split(",")}
    return {tag for tag in tags if tag == ANY or _RESOURCE.fullmatch(tag)}


def require_media(claims: SessionClaims) -> None:
    """Refuse what brings sound of a visit without consent."""
    if "media" not in claims.scopes:
        raise Refused(
            problem(
                "consent-missing",
                "the visit began without consent, so no audio is taken",
                field="consent.given",
                fix="ask, then begin a new session",
            )
        )


async def _read_sdp(request: Request, media_type: str) -> str:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        raise Refused(
            problem(
                "unsupported-media-type", f"not {media_type}", field="Content-Type", fix=f"send {media_type}"
            )
        )
    try:
        sdp = (await request.body()).decode()
    except UnicodeDecodeError:
        raise Refused(_bad_sdp("the body is not UTF-8")) from None
    if not sdp.strip() or "\0" in sdp:
        raise Refused(_bad_sdp("the body is empty" if not sdp.strip() else "the body has a NUL"))
    return sdp


def _bad_sdp(detail: str) -> Problem:
    return problem("bad-sdp", detail, field="body", fix="send the SDP as your WebRTC stack gave it")
