"""The FastAPI application: routes, problems for everything that goes wrong, the OpenAPI document."""

from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fieldcoach.common.messages import Problem

from . import (
    audio_routes,
    backfill_routes,
    dev_login,
    event_routes,
    operation_routes,
    session_routes,
    whip_routes,
)
from .edge import Edge
from .errors import Refused
from .gateway import Gateway
from .limits import RateLimit
from .models import PendingAnswer, ProblemDetails
from .problems import MEDIA_TYPE, body, label, problem
from .web_app import web_app

VERSION: Final = "1"
_ABOUT: Final = (
    "Live coaching of a field visit. A user token opens a session; WHIP brings its audio in, the events"
    " channel brings transcript, cues, checklist and summary out. Errors are problem details (RFC 9457)."
)


def build_app(gateway: Gateway) -> FastAPI:
    """Routes and handlers around the gateway's parts."""
    app = FastAPI(
        title="FieldCoach",
        version=VERSION,
        description=_ABOUT,
        docs_url=None,  # the stock pages load their scripts from a CDN
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.gateway = gateway

    def render(shown: Problem, headers: dict[str, str]) -> Response:
        gateway.telemetry.problems.add(label(shown))
        if shown.retry_after_s is not None:
            headers = headers | {"Retry-After": str(shown.retry_after_s)}
        return JSONResponse(body(shown), shown.status, headers, MEDIA_TYPE)

    def on_refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return render(error.problem, error.headers)

    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return render(_explain_invalid(request, error), {})

    def on_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return render(_explain_http(error), dict(error.headers or {}))

    def on_bug(_request: Request, _error: Exception) -> Response:
        return render(problem("internal", "this should not have happened; the log says more"), {})

    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_bug)

    for module in (
        session_routes,
        whip_routes,
        audio_routes,
        backfill_routes,
        event_routes,
        operation_routes,
        dev_login,
    ):
        app.include_router(module.router)
    # not a mount: that would take the API's paths, too, when only their method does not fit
    app.router.default = web_app(gateway.settings.web_dir)
    app.add_middleware(
        Edge,
        origins=gateway.origins,
        addresses=RateLimit(gateway.settings.requests_per_address_per_minute),
        render=render,
    )
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign] # FastAPI's documented way to extend it
    return app


def _explain_invalid(request: Request, error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part != "body"]
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if first["loc"][:1] == ("body",) and content_type not in ("application/json", ""):
        return problem(
            "unsupported-media-type",
            "not application/json",
            field="Content-Type",
            fix="send application/json",
        )
    if first["type"] == "json_invalid":
        return problem("bad-request", "the body is not JSON", field="body", fix="send one JSON object")
    extra = first["type"] == "extra_forbidden"
    return problem(
        "invalid",
        str(first["msg"]),
        field=".".join(path) or "body",
        fix="leave it out" if extra else "see /docs for what it takes",
    )


def _explain_http(error: HTTPException) -> Problem:
    match error.status_code:
        case 404:
            return problem("not-found", "no such path", fix="see /docs")
        case 405:
            return problem("method-not-allowed", "the path is there, the method is not", fix="see /docs")
        case 400:
            return problem("bad-request", "the request can't be read", fix="see /docs")
        case status:
            return Problem(type="about:blank", title=str(error.detail), status=status)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = schema["components"]["schemas"]
        for model in (ProblemDetails, PendingAnswer):
            schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for methods in schema["paths"].values():
            for operation in methods.values():
                _drop_stock_validation(operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _drop_stock_validation(operation: dict[str, Any]) -> None:
    # FastAPI adds its own shape of 422; ours is a problem, and only where a body is read
    content = operation["responses"].get("422", {}).get("content", {})
    if "application/json" in content:
        del operation["responses"]["422"]
