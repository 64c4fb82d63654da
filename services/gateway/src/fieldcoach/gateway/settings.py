"""The gateway's settings. Secrets are checked at the start and never shown."""

from pathlib import Path
from typing import Annotated, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from fieldcoach.common.settings import ServiceSettings

from .origins import normal_origin
from .turn import MAX_TTL_S

MIN_KEY_BYTES: Final = 32
"""RFC 7518, 3.2: a key of HS256 is at least as long as its hash."""

Algorithm = Literal["HS256", "ES256", "EdDSA"]
UserKey = bytes | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey
StringList = Annotated[tuple[str, ...], NoDecode]


class GatewaySettings(ServiceSettings):
    """What the gateway reads from the environment."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 inside a container")
    port: int = Field(8080, ge=0, le=65_535, description="Port of the public surface; 0: a free one")
    web_dir: Path = Field(Path("clients/web/dist"), description="The built web app")
    forwarded_allow_ips: str = Field(
        "127.0.0.1", description="Proxies whose X-Forwarded-For is believed, comma-separated, or *"
    )

    user_token_algorithm: Algorithm = Field("HS256", description="The one accepted: HS256, ES256 or EdDSA")
    user_token_key: SecretStr = Field(
        description="Checks user tokens. HS256: a secret of at least 32 bytes (openssl rand -base64 48);"
        " ES256, EdDSA: the public key as PEM"
    )
    user_token_issuer: str = Field("fieldcoach-dev", min_length=1, description="The iss of user tokens")
    session_token_key: SecretStr = Field(
        description="Signs session tokens, the same on every gateway of the region:"
        " at least 32 bytes (openssl rand -base64 48)"
    )
    session_token_ttl_s: int = Field(900, ge=3, le=900, description="Life of a session token")
    session_max_s: int = Field(4 * 3600, ge=60, description="How long a session's token may be renewed")
    turn_urls: StringList = Field(
        (), description="TURN servers, comma-separated (turns:turn.example.org:5349?transport=tcp)"
    )
    turn_secret: SecretStr = Field(
        SecretStr(""), validate_default=True, description="coturn's static-auth-secret, at least 32 bytes"
    )
    dev_login: bool = Field(False, description="POST /v1/dev/token on localhost; never in production")

    allowed_origins: StringList = Field(
        (), description="Origins of other web apps, comma-separated (https://app.example.org)"
    )
    requests_per_address_per_minute: int = Field(
        1_200, ge=1, description="Of one address; many phones share one behind an operator's NAT"
    )
    sessions_per_user: int = Field(30, ge=1, description="At once")
    sessions_per_user_per_minute: int = Field(60, ge=1, description="Begun")
    messages_per_minute: int = Field(100, ge=1, description="Of one events connection")

    default_playbook: str = Field("outlet-en", description="The playbook of a visit that names none")

    @field_validator("user_token_key")
    @classmethod
    def _key_fits_algorithm(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if "user_token_algorithm" in info.data:
            user_key(value, info.data["user_token_algorithm"])
        return value

    @field_validator("dev_login")
    @classmethod
    def _dev_login_can_sign(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("user_token_algorithm", "HS256") != "HS256":
            raise ValueError("needs USER_TOKEN_ALGORITHM=HS256 to sign its tokens; set it to false")
        return value

    @field_validator("turn_urls")
    @classmethod
    def _turn_urls_are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(("turn:", "turns:")):
                raise ValueError(f"{url!r} is no TURN server: use turn:host:3478 or turns:host:5349")
        return value

    @field_validator("turn_secret")
    @classmethod
    def _turn_secret_is_there(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("turn_urls"):
            _require_long(value)
        return value

    @property
    def token_ttl_s(self) -> int:
        """Of session tokens. TURN credentials are renewed with them, and live for five minutes."""
        return min(self.session_token_ttl_s, MAX_TTL_S) if self.turn_urls else self.session_token_ttl_s

    @field_validator("session_token_key")
    @classmethod
    def _session_key_is_long(cls, value: SecretStr) -> SecretStr:
        _require_long(value)
        return value

    @field_validator("allowed_origins", "turn_urls", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if normal_origin(origin) is None:
                raise ValueError(f"{origin!r} is no origin: use scheme://host[:port] without a path")
        return value


def user_key(secret: SecretStr, algorithm: Algorithm) -> UserKey:
    """The key that checks user tokens, of the kind that the pinned algorithm takes.

    Raises:
        ValueError: too short, or no public key of that kind; says what to set, without the key.
    """
    text = secret.get_secret_value()
    if algorithm == "HS256":
        if "-----BEGIN" in text:
            # a public key taken as a shared secret would let everybody sign
            raise ValueError("is a PEM key, but USER_TOKEN_ALGORITHM is HS256: set ES256 or EdDSA")
        _require_long(secret)
        return text.encode()
    try:
        key = jwt.get_algorithm_by_name(algorithm).prepare_key(text.replace("\\n", "\n"))
    except (ValueError, TypeError, jwt.InvalidKeyError):
        raise ValueError(f"is no PEM public key for {algorithm}") from None
    if isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey):
        return key
    raise ValueError("is a private key: the gateway only checks, so give it the public one")


def _require_long(value: SecretStr) -> None:
    size = len(value.get_secret_value().encode())
    if size < MIN_KEY_BYTES:
        raise ValueError(f"has {size} bytes, needs {MIN_KEY_BYTES}: openssl rand -base64 48")
