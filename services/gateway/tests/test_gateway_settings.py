"""Settings: what is wrong is named with its fix, and a secret is never shown."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fieldcoach.common.errors import SettingsInvalid
from fieldcoach.common.settings import load_settings
from fieldcoach.gateway.keys import main, make_keys
from fieldcoach.gateway.settings import GatewaySettings, user_key

SECRET = "s3cret-" * 5


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GatewaySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("USER_TOKEN_KEY", SECRET)
    monkeypatch.setenv("SESSION_TOKEN_KEY", SECRET)


def pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> str:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def test_two_keys_are_enough() -> None:
    settings = load_settings(GatewaySettings)
    assert user_key(settings.user_token_key, settings.user_token_algorithm) == SECRET.encode()
    assert not settings.dev_login
    assert settings.session_token_ttl_s == 900


def test_origins_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://a.example, http://b.example:81,")
    assert load_settings(GatewaySettings).allowed_origins == ("https://a.example", "http://b.example:81")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("USER_TOKEN_KEY", "short-but-secret", "USER_TOKEN_KEY: Value error, has 16 bytes, needs 32"),
        ("SESSION_TOKEN_KEY", "short-but-secret", "SESSION_TOKEN_KEY: Value error, has 16 bytes"),
        ("USER_TOKEN_KEY", "", "USER_TOKEN_KEY: Field required"),
        ("USER_TOKEN_ALGORITHM", "none", "USER_TOKEN_ALGORITHM: Input should be 'HS256'"),
        ("USER_TOKEN_ALGORITHM", "ES256", "USER_TOKEN_KEY: Value error, is no PEM public key for ES256"),
        ("SESSION_TOKEN_TTL_S", "901", "SESSION_TOKEN_TTL_S"),
        ("ALLOWED_ORIGINS", "https://a.example/path", "ALLOWED_ORIGINS: Value error"),
        ("PORT", "http", "PORT"),
    ],
)
def test_what_is_wrong_is_named_without_the_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as invalid:
        load_settings(GatewaySettings)
    assert told in str(invalid.value)
    assert "secret" not in str(invalid.value).replace("a secret of at least", "")


def test_public_keys_fit_their_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    public = pem(ec.generate_private_key(ec.SECP256R1()).public_key())
    monkeypatch.setenv("USER_TOKEN_ALGORITHM", "ES256")
    monkeypatch.setenv("USER_TOKEN_KEY", public.replace("\n", "\\n"))
    settings = load_settings(GatewaySettings)
    assert isinstance(user_key(settings.user_token_key, "ES256"), ec.EllipticCurvePublicKey)
    monkeypatch.setenv("USER_TOKEN_ALGORITHM", "EdDSA")
    with pytest.raises(SettingsInvalid):
        load_settings(GatewaySettings)


def test_a_public_key_is_no_shared_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_TOKEN_KEY", pem(ed25519.Ed25519PrivateKey.generate().public_key()))
    with pytest.raises(SettingsInvalid, match="set ES256 or EdDSA"):
        load_settings(GatewaySettings)


def test_a_private_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    private = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    monkeypatch.setenv("USER_TOKEN_ALGORITHM", "EdDSA")
    monkeypatch.setenv("USER_TOKEN_KEY", private.decode())
    with pytest.raises(SettingsInvalid, match="give it the public one"):
        load_settings(GatewaySettings)


def test_development_login_needs_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_TOKEN_ALGORITHM", "EdDSA")
    monkeypatch.setenv("USER_TOKEN_KEY", pem(ed25519.Ed25519PrivateKey.generate().public_key()))
    monkeypatch.setenv("DEV_LOGIN", "true")
    with pytest.raises(SettingsInvalid, match=r"DEV_LOGIN: .*set it to false"):
        load_settings(GatewaySettings)


def test_keys_are_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_keys(tmp_path / "keys") == ["user_token_key", "session_token_key"]
    first = (tmp_path / "keys" / "user_token_key").read_text()
    assert len(first) >= 32
    assert stat.S_IMODE((tmp_path / "keys" / "user_token_key").stat().st_mode) & 0o222 == 0
    assert main([str(tmp_path / "keys")]) == 0
    assert (tmp_path / "keys" / "user_token_key").read_text() == first
    assert first not in capsys.readouterr().out
    assert main([]) == 2
