"""Who is calling: the FastAPI dependencies that turn a request's token into a user or a session."""

from typing import Annotated

from fastapi import Depends, Path, Request, WebSocket
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from .errors import Refused, TokenRefused
from .events_socket import token_in_protocols
from .gateway import Gateway
from .problems import problem
from .tokens import SessionClaims, User, bearer

_user_scheme = HTTPBearer(
    scheme_name="userToken",
    bearerFormat="JWT",
    auto_error=False,
    description="A user token (`aud=fieldcoach`); opens sessions",
)
_session_scheme = HTTPBearer(
    scheme_name="sessionToken",
    bearerFormat="JWT",
    auto_error=False,
    description="The `session_token` of a session; opens that session only",
)

_FIXES = {
    "token-missing": "send Authorization: Bearer <token>",
    "token-invalid": "get a new token",
    "token-expired": "get a new token",
}


async def gateway_of(request: Request) -> Gateway:
    """What the process is made of."""
    gateway: Gateway = request.app.state.gateway
    return gateway


GatewayHere = Annotated[Gateway, Depends(gateway_of)]


def refuse_token(gateway: Gateway, refused: TokenRefused) -> Refused:
    """The answer to a token that opens nothing; counts it."""
    gateway.telemetry.tokens_refused.add(refused.why)
    detail = {
        "token-missing": "the request has no bearer token",
        "token-invalid": "the token is not one that we accept",
        "token-expired": "the token's time is over",
    }[refused.kind]
    error = "" if refused.kind == "token-missing" else ' error="invalid_token"'
    return Refused(
        problem(refused.kind, detail, field="Authorization", fix=_FIXES[refused.kind]),
        {"WWW-Authenticate": f"Bearer{error}"},
    )


async def current_user(
    request: Request,
    gateway: GatewayHere,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_user_scheme)],
) -> User:
    """The user of the request's token."""
    try:
        return gateway.user_tokens.verify(bearer(request.headers.get("authorization")))
    except TokenRefused as refused:
        raise refuse_token(gateway, refused) from None


def session_claims(gateway: Gateway, session_id: str, token: str) -> SessionClaims:
    """The claims of a token for this session.

    Raises:
        TokenRefused: it is not valid.
        Refused: it is another session's, or there is no such session: the same answer.
    """
    claims = gateway.session_tokens.verify(token)
    if claims.sid != session_id:
        gateway.telemetry.tokens_refused.add("not-yours")
        raise Refused(
            problem("not-yours", "the token is for another session", fix="use the token of this session")
        )
    return claims


def socket_claims(gateway: Gateway, socket: WebSocket, session_id: str) -> SessionClaims:
    """The claims of a WebSocket's token, which may stand in a header or among the subprotocols.

    Raises:
        TokenRefused: it is not valid.
        Refused: another session's, or a page of an origin that may not connect.
    """
    if not gateway.origins.allows(socket.headers.get("origin"), socket.headers.get("host", "")):
        raise Refused(problem("origin", "pages of this origin may not connect"))
    token = token_in_protocols(socket.scope.get("subprotocols", []))
    return session_claims(gateway, session_id, token or bearer(socket.headers.get("authorization")))


async def current_session(
    request: Request,
    gateway: GatewayHere,
    session_id: Annotated[str, Path(description="As given by `POST /v1/sessions`")],
    _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_session_scheme)],
) -> SessionClaims:
    """The session of the request's token, which must be that of the path."""
    try:
        return session_claims(gateway, session_id, bearer(request.headers.get("authorization")))
    except TokenRefused as refused:
        raise refuse_token(gateway, refused) from None


CurrentUser = Annotated[User, Depends(current_user)]
CurrentSession = Annotated[SessionClaims, Depends(current_session)]
