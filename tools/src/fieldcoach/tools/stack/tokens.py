"""Development user tokens for a local stack."""

import time

import jwt

AUDIENCE = "fieldcoach"
ISSUER = "fieldcoach-dev"
SUBJECT = "dev-user"
DEFAULT_TTL_S = 3_600


def dev_user_token(key: str, ttl_s: int = DEFAULT_TTL_S, now: float | None = None) -> str:
    """An HS256 user token that the gateway of the stack with this key accepts for `ttl_s` seconds."""
    issued = int(time.time() if now is None else now)
    claims = {"aud": AUDIENCE, "iss": ISSUER, "sub": SUBJECT, "iat": issued, "exp": issued + ttl_s}
    return jwt.encode(claims, key, algorithm="HS256")
