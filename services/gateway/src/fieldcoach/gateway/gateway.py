"""Everything that a request may need, put together once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fieldcoach.common.bus import Bus
from fieldcoach.common.position import Position

from .audio_socket import ActiveAudio
from .connections import ActiveConnections, EventsConnection
from .fleet import Fleet
from .limits import RateLimit
from .origins import OriginPolicy
from .sessions import Sessions
from .settings import GatewaySettings, user_key
from .telemetry import GatewayTelemetry
from .tokens import SessionClaims, SessionTokens, UserTokens
from .turn import TurnServers

UPLOADS_PER_MINUTE: Final = 60
"""Of one session: one call per range, and ranges come seldom."""


@dataclass(frozen=True)
class Gateway:
    """The parts of one gateway process."""

    settings: GatewaySettings
    bus: Bus
    fleet: Fleet
    user_tokens: UserTokens
    session_tokens: SessionTokens
    sessions: Sessions
    turn: TurnServers
    active: ActiveConnections
    active_audio: ActiveAudio
    origins: OriginPolicy
    telemetry: GatewayTelemetry
    uploads: RateLimit
    """Of back-fill, per session."""
    why_not_ready: Callable[[], str | None]

    def events_connection(self, claims: SessionClaims, after: Position) -> EventsConnection:
        """A new events connection of this session; not open yet."""
        return EventsConnection(
            claims,
            after,
            bus=self.bus,
            sessions=self.sessions,
            tokens=self.session_tokens,
            active=self.active,
            telemetry=self.telemetry,
            token_ttl_s=self.settings.token_ttl_s,
            messages_per_minute=self.settings.messages_per_minute,
            turn=self.turn,
        )


def build_gateway(settings: GatewaySettings, bus: Bus, why_not_ready: Callable[[], str | None]) -> Gateway:
    """Put the parts together; no I/O yet."""
    active, active_audio = ActiveConnections(), ActiveAudio()
    telemetry = GatewayTelemetry(active.__len__, active_audio.__len__)
    fleet = Fleet()
    turn = TurnServers(settings.turn_urls, settings.turn_secret.get_secret_value())
    session_tokens = SessionTokens(
        settings.session_token_key.get_secret_value().encode(),
        settings.token_ttl_s,
        settings.session_max_s,
        settings.region,
        time.time,
    )
    return Gateway(
        settings=settings,
        bus=bus,
        fleet=fleet,
        user_tokens=UserTokens(
            user_key(settings.user_token_key, settings.user_token_algorithm),
            settings.user_token_algorithm,
            settings.user_token_issuer,
            time.time,
        ),
        session_tokens=session_tokens,
        sessions=Sessions(settings, bus, fleet, session_tokens, telemetry, turn),
        turn=turn,
        active=active,
        active_audio=active_audio,
        origins=OriginPolicy(settings.allowed_origins),
        telemetry=telemetry,
        uploads=RateLimit(UPLOADS_PER_MINUTE),
        why_not_ready=why_not_ready,
    )
