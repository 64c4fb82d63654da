"""The settings that every service has, and how a wrong one is told.

Values come from the environment, or from files of the same (lower-case) name in `/run/secrets`.
"""

import sys
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import InvalidToken, SettingsInvalid
from .ids import require_region

_SECRETS = Path("/run/secrets")


class ServiceSettings(BaseSettings):
    """Base of every service's settings."""

    model_config = SettingsConfigDict(
        env_prefix="",
        extra="ignore",
        frozen=True,
        secrets_dir=_SECRETS if _SECRETS.is_dir() else None,
        env_ignore_empty=True,
    )

    nats_url: str = Field("nats://127.0.0.1:4222", description="Where the bus is; several, comma-separated")
    region: str = Field("local", description="Region token of all subjects, [a-z0-9]{1,16}")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    health_host: str = Field("127.0.0.1", description="Address of the health endpoint")
    health_port: int = Field(0, ge=0, le=65_535, description="Port of /healthz /readyz /metrics; 0: none")
    otel_exporter_otlp_endpoint: str = Field("", description="OTLP over HTTP; empty: nothing is exported")
    drain_timeout_s: float = Field(10.0, gt=0, description="How long SIGTERM may take")

    @field_validator("region")
    @classmethod
    def _region_is_a_token(cls, value: str) -> str:
        try:
            return require_region(value)
        except InvalidToken as error:
            raise ValueError("use 1 to 16 of a-z and 0-9") from error

    @field_validator("log_level")
    @classmethod
    def _level_exists(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return value.upper()


S = TypeVar("S", bound=ServiceSettings)


def load_settings(kind: type[S]) -> S:
    """Read the environment.

    Raises:
        SettingsInvalid: names each variable that is wrong, what is wrong and what it is for.
    """
    try:
        return kind()
    except ValidationError as error:
        lines = []
        for item in error.errors():
            name = str(item["loc"][0]) if item["loc"] else "settings"
            about = kind.model_fields[name].description if name in kind.model_fields else None
            lines.append(f"{name.upper()}: {item['msg']}" + (f" ({about})" if about else ""))
        raise SettingsInvalid("set the environment right: " + "; ".join(lines)) from error


def load_settings_or_exit(kind: type[S]) -> S:
    """`load_settings`, for a `__main__`: the message on standard error and status 2."""
    try:
        return load_settings(kind)
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
