"""`POST /v1/dev/token`: a user token for trying things out, on this machine only."""

from fastapi import APIRouter, Request

from .access import GatewayHere
from .errors import Refused
from .models import DevTokenAnswer
from .origins import is_local_host
from .problems import problem

router = APIRouter(include_in_schema=False)


@router.post("/v1/dev/token", response_model=DevTokenAnswer)
async def dev_token(request: Request, gateway: GatewayHere) -> DevTokenAnswer:
    """404 unless `DEV_LOGIN` is on, the host is local and a page, if one asks, is our own."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    is_ours = is_local_host(host) and (origin is None or gateway.origins.is_same(origin, host))
    if not gateway.settings.dev_login or not is_ours:
        raise Refused(problem("not-found", "no such path"))
    token, expires_in = gateway.user_tokens.issue_for_development()
    return DevTokenAnswer(token=token, expires_in=expires_in)
