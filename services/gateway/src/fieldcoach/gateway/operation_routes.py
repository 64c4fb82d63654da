"""`/healthz`, `/readyz` and `/docs`, which loads nothing from elsewhere."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from .access import GatewayHere
from .errors import Refused
from .models import problem_responses
from .problems import NOT_READY_RETRY_S, problem

_PAGE: Final = Path(__file__).parent / "docs_page"
_MEDIA_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_class=PlainTextResponse, summary="The process lives")
async def healthz() -> str:
    """Always 200."""
    return "ok\n"


@router.get(
    "/readyz",
    response_class=PlainTextResponse,
    summary="The gateway can serve",
    responses=problem_responses(503),
)
async def readyz(gateway: GatewayHere) -> str:
    """503 with the reason while the bus is away or the process drains."""
    reason = gateway.why_not_ready()
    if reason is not None:
        raise Refused(problem("not-ready", reason, retry_after_s=NOT_READY_RETRY_S))
    return "ready\n"


@router.get("/docs", include_in_schema=False)
async def docs_page() -> Response:
    """The operations of `/openapi.json`, readable."""
    return _asset("index.html")


@router.get("/docs/docs.js", include_in_schema=False)
async def docs_script() -> Response:
    """The page's script."""
    return _asset("docs.js")


@router.get("/docs/docs.css", include_in_schema=False)
async def docs_style() -> Response:
    """The page's style."""
    return _asset("docs.css")


def _asset(name: str) -> Response:
    path = _PAGE / name
    return Response(
        path.read_bytes(), media_type=_MEDIA_TYPES[path.suffix], headers={"Cache-Control": "no-cache"}
    )
