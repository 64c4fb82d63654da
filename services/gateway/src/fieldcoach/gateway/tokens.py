"""User tokens are checked, session tokens are made and checked: JWT with one pinned algorithm each.

Everything that a session needs stands in its token, so any gateway can serve any request of it.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import Language, SessionId

from .errors import TokenRefused

USER_AUDIENCE: Final = "fieldcoach"
SESSION_AUDIENCE: Final = "fieldcoach-session"
SESSION_ISSUER: Final = "fieldcoach-gateway"
LEEWAY_S: Final = 30
"""How far the clocks of issuer and gateway may differ."""
MAX_TOKEN_CHARS: Final = 4_096
"""Longer than any token we know; what is longer is not worth parsing."""
DEV_TOKEN_TTL_S: Final = 3_600
"""A development token lasts for a morning's tinkering, and the page can ask for another."""

Scope = Literal["events", "media"]
Clock = Callable[[], float]
"""Seconds since 1970."""


class User(BaseModel):
    """Who may open sessions."""

    model_config = ConfigDict(frozen=True)

    sub: str = Field(min_length=1, max_length=256)


class SessionClaims(BaseModel):
    """What a session token says. `media` is missing from the scopes when there is no consent."""

    model_config = ConfigDict(frozen=True)

    sid: SessionId
    region: str
    ingest: SessionId
    playbook: str
    languages: tuple[Language, ...]
    level: Literal["novice", "standard", "minimal"]
    scopes: tuple[Scope, ...]
    begun_at: float
    exp: float = 0


class UserTokens:
    """Checks the tokens of an identity provider; makes one only for development."""

    def __init__(self, key: Any, algorithm: str, issuer: str, clock: Clock) -> None:
        self._key = key
        self._algorithm = algorithm
        self._issuer = issuer
        self._clock = clock

    def verify(self, token: str) -> User:
        """The user of a valid token.

        Raises:
            TokenRefused: it is not valid, or not any more.
        """
        claims = _decode(token, self._key, self._algorithm, USER_AUDIENCE, self._issuer, self._clock())
        try:
            return User.model_validate(claims)
        except ValidationError:
            raise TokenRefused("token-invalid", "claims") from None

    def issue_for_development(self) -> tuple[str, int]:
        """A token of a made-up user, and its life in seconds. Only with a shared secret."""
        now = int(self._clock())
        claims = {
            "sub": f"dev-{new_id()[:10]}",
            "aud": USER_AUDIENCE,
            "iss": self._issuer,
            "iat": now,
            "exp": now + DEV_TOKEN_TTL_S,
        }
        return jwt.encode(claims, self._key, self._algorithm), DEV_TOKEN_TTL_S


class SessionTokens:
    """Makes, renews and checks the tokens of sessions."""

    def __init__(self, key: bytes, ttl_s: int, session_max_s: int, region: str, clock: Clock) -> None:
        self._key = key
        self._ttl_s = ttl_s
        self._session_max_s = session_max_s
        self._region = region
        self._clock = clock

    def issue(self, claims: SessionClaims) -> tuple[str, SessionClaims]:
        """A token for these claims, and the claims with its expiry (whole seconds since 1970)."""
        now = int(self._clock())
        fresh = claims.model_copy(update={"exp": float(now + self._ttl_s)})
        payload = fresh.model_dump(mode="json") | {
            "aud": SESSION_AUDIENCE,
            "iss": SESSION_ISSUER,
            "iat": now,
            "exp": now + self._ttl_s,
        }
        return jwt.encode(payload, self._key, "HS256"), fresh

    def renew(self, claims: SessionClaims) -> tuple[str, SessionClaims] | None:
        """The next token; None once the session is older than any visit, so that a stolen one ends too."""
        if self._clock() - claims.begun_at > self._session_max_s:
            return None
        return self.issue(claims)

    def verify(self, token: str) -> SessionClaims:
        """The claims of a valid token of this region.

        Raises:
            TokenRefused: it is not valid, or not any more.
        """
        decoded = _decode(token, self._key, "HS256", SESSION_AUDIENCE, SESSION_ISSUER, self._clock())
        try:
            claims = SessionClaims.model_validate(decoded)
        except ValidationError:
            raise TokenRefused("token-invalid", "claims") from None
        if claims.region != self._region:
            raise TokenRefused("token-invalid", "region")
        return claims


def bearer(authorization: str | None) -> str:
    """The token of an `Authorization` header.

    Raises:
        TokenRefused: there is none.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRefused("token-missing", "header")
    return token.strip()


def _decode(token: str, key: Any, algorithm: str, audience: str, issuer: str, now: float) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARS:
        raise TokenRefused("token-invalid", "length")
    try:
        # the times are checked below, by a clock that can be given
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=issuer,
            options={
                "require": ["exp", "aud", "iss"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except jwt.InvalidAudienceError:
        raise TokenRefused("token-invalid", "audience") from None
    except jwt.InvalidIssuerError:
        raise TokenRefused("token-invalid", "issuer") from None
    except jwt.InvalidAlgorithmError:
        raise TokenRefused("token-invalid", "algorithm") from None
    except jwt.InvalidSignatureError:
        raise TokenRefused("token-invalid", "signature") from None
    except jwt.MissingRequiredClaimError:
        raise TokenRefused("token-invalid", "claims") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused("token-invalid", "malformed") from None
    expires, begins = claims["exp"], claims.get("nbf", 0)
    for moment in (expires, begins):
        if isinstance(moment, bool) or not isinstance(moment, int | float):
            raise TokenRefused("token-invalid", "claims")
    if now >= expires + LEEWAY_S:
        raise TokenRefused("token-expired", "expired")
    if now < begins - LEEWAY_S:
        raise TokenRefused("token-invalid", "not-yet")
    return claims
