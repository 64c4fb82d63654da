"""What each service of the local stack is started with."""

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .ports import HOST
from .tokens import ISSUER

SERVICES = ("ingest", "asr", "coach", "gateway")
REGION = "local"
DRAIN_S = 5.0
"""How long a service may take to drain here; nobody's visit outlives the person at the terminal."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What can be chosen. `port` 0 takes a free one; `run_dir` holds the state file."""

    root: Path
    run_dir: Path
    port: int = 0
    otlp_endpoint: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings that win over the ones made here, by variable name."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The signing keys of one stack: made at its start, in memory and in its private state file only."""

    user: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    session: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)


def service_command(service: str) -> list[str]:
    """Its own process of the same interpreter."""
    return [sys.executable, "-m", f"fieldcoach.{service}"]


def service_environment(
    service: str,
    options: StackOptions,
    keys: Keys,
    nats_port: int,
    port: int,
    health_port: int,
    inherited: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The settings of one service on top of the user's environment, so `ASR_MODEL` and the like pass through.

    Only the gateway gets the keys.
    """
    otlp_endpoint = options.otlp_endpoint or inherited.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    made = {
        "NATS_URL": f"nats://{HOST}:{nats_port}",
        "REGION": REGION,
        "HEALTH_HOST": HOST,
        "HEALTH_PORT": str(health_port),
        "DRAIN_TIMEOUT_S": str(DRAIN_S),
        "PYTHONUNBUFFERED": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
    }
    match service:
        case "ingest":
            made |= {"MEDIA_HOSTS": HOST, **_PATIENCE}
        case "asr":
            made["ASR_MODELS_DIR"] = str(options.root / "models")
            made["PLAYBOOKS_DIR"] = str(options.root / "playbooks")
        case "coach":
            made["PLAYBOOKS_DIR"] = str(options.root / "playbooks")
        case "gateway":
            made |= {
                "HOST": HOST,
                "PORT": str(port),
                "WEB_DIR": str(options.root / "clients" / "web" / "dist"),
                "USER_TOKEN_KEY": keys.user,
                "USER_TOKEN_ALGORITHM": "HS256",
                "USER_TOKEN_ISSUER": ISSUER,
                "SESSION_TOKEN_KEY": keys.session,
                "DEV_LOGIN": "true",
            }
    kept = {name: value for name, value in inherited.items() if name not in _PRIVATE}
    return kept | made | dict(options.environment)


_PATIENCE = {"WORKER_FRESH_S": "2", "ACK_TIMEOUT_S": "2"}
"""A developer's machine that compiles something stalls a process longer than a server may."""

_PRIVATE = frozenset({"USER_TOKEN_KEY", "SESSION_TOKEN_KEY", "PORT"})
"""Not inherited: a production key in somebody's shell is none of the local stack's business."""
