"""Tokens: what opens, what does not, and why."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from fieldcoach.common.ids import new_id
from fieldcoach.gateway.errors import TokenRefused
from fieldcoach.gateway.tokens import MAX_TOKEN_CHARS, SessionClaims, SessionTokens, UserTokens, bearer

KEY = b"k" * 32
NOW = 1_000_000.0


def users(now: float = NOW) -> UserTokens:
    return UserTokens(KEY, "HS256", "issuer", lambda: now)


def token(key: Any = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"sub": "u", "aud": "fieldcoach", "iss": "issuer", "exp": NOW + 60} | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def unsigned(header: dict[str, Any]) -> str:
    claims = {"sub": "u", "aud": "fieldcoach", "iss": "issuer", "exp": NOW + 60}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    return b".".join([*parts, b""]).decode()


def test_a_valid_token_names_its_user() -> None:
    assert users().verify(token()).sub == "u"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (token(b"x" * 32), "signature"),
        (token(aud="elsewhere"), "audience"),
        (token(iss="somebody"), "issuer"),
        (token(aud=None), "claims"),
        (token(iss=None), "claims"),
        (token(exp=None), "claims"),
        (token(exp="soon"), "claims"),
        (token(exp=True), "claims"),
        (token(nbf="then"), "claims"),
        (token(sub=None), "claims"),
        (token(sub=""), "claims"),
        (token(nbf=NOW + 31), "not-yet"),
        (token(algorithm="HS512", key=b"k" * 64), "algorithm"),
        (unsigned({"alg": "none"}), "algorithm"),
        (unsigned({"alg": "NONE"}), "algorithm"),
        (unsigned({}), "algorithm"),
        ("", "malformed"),
        ("a.b", "malformed"),
        ("é.é.é", "malformed"),
        ("a" * (MAX_TOKEN_CHARS + 1), "length"),
    ],
)
def test_an_invalid_token_is_refused_with_its_reason(wrong: str, why: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        users().verify(wrong)
    assert (refused.value.kind, refused.value.why) == ("token-invalid", why)


def test_times_are_taken_with_thirty_seconds_of_skew() -> None:
    assert users(NOW + 60 + 29.9).verify(token(nbf=NOW)).sub == "u"
    assert users(NOW).verify(token(nbf=NOW + 30)).sub == "u"
    with pytest.raises(TokenRefused) as refused:
        users(NOW + 60 + 30).verify(token())
    assert refused.value.kind == "token-expired"


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [(ec.generate_private_key(ec.SECP256R1()), "ES256"), (ed25519.Ed25519PrivateKey.generate(), "EdDSA")],
)
def test_public_keys_check_tokens(
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, algorithm: str
) -> None:
    tokens = UserTokens(private.public_key(), algorithm, "issuer", lambda: NOW)
    assert tokens.verify(token(private, algorithm)).sub == "u"
    with pytest.raises(TokenRefused):
        tokens.verify(token())


def test_a_development_token_is_a_valid_one_of_a_new_user() -> None:
    tokens = users()
    (one, life), (two, _) = tokens.issue_for_development(), tokens.issue_for_development()
    assert life == 3_600
    assert tokens.verify(one).sub != tokens.verify(two).sub


def claims(**changes: Any) -> SessionClaims:
    values: dict[str, Any] = {
        "sid": new_id(),
        "region": "local",
        "ingest": new_id(),
        "playbook": "outlet-en",
        "languages": ("en",),
        "level": "standard",
        "scopes": ("events", "media"),
        "begun_at": NOW,
    }
    return SessionClaims(**(values | changes))


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def test_a_session_token_carries_the_session_and_expires() -> None:
    clock = Clock()
    tokens = SessionTokens(KEY, 900, 3_600, "local", clock)
    text, issued = tokens.issue(claims())
    assert tokens.verify(text) == issued
    assert issued.exp == NOW + 900
    clock.now = NOW + 931
    with pytest.raises(TokenRefused) as refused:
        tokens.verify(text)
    assert refused.value.kind == "token-expired"


def test_a_session_token_is_renewed_until_the_session_is_old() -> None:
    clock = Clock()
    tokens = SessionTokens(KEY, 900, 3_600, "local", clock)
    _, first = tokens.issue(claims())
    clock.now = NOW + 600
    renewed = tokens.renew(first)
    assert renewed is not None
    assert renewed[1].exp == NOW + 1_500
    clock.now = NOW + 3_601
    assert tokens.renew(first) is None


def test_a_session_token_of_another_region_or_shape_is_refused() -> None:
    tokens = SessionTokens(KEY, 900, 3_600, "local", lambda: NOW)
    elsewhere, _ = SessionTokens(KEY, 900, 3_600, "bom", lambda: NOW).issue(claims(region="bom"))
    shapeless = token(aud="fieldcoach-session", iss="fieldcoach-gateway")
    for text, why in ((elsewhere, "region"), (shapeless, "claims"), (token(), "issuer")):
        with pytest.raises(TokenRefused) as refused:
            tokens.verify(text)
        assert refused.value.why == why


def test_a_user_token_is_no_session_token_nor_the_other_way_round() -> None:
    text, _ = SessionTokens(KEY, 900, 3_600, "local", lambda: NOW).issue(claims())
    with pytest.raises(TokenRefused):
        users().verify(text)


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "Bearer  "])
def test_a_header_without_a_token(header: str | None) -> None:
    with pytest.raises(TokenRefused) as refused:
        bearer(header)
    assert refused.value.kind == "token-missing"


def test_a_header_with_a_token() -> None:
    assert bearer("bearer abc") == "abc"
