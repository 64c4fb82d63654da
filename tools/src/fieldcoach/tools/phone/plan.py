"""A visit's plan, what it gives, and who looks on or stands between."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from .media_link import PATIENCE_S
from .profile import SendProfile
from .stages import StageTable
from .transport_choice import Wanted


class Listener(Protocol):
    """Who wants to see the visit as it happens. Times are monotonic seconds."""

    def session(self, answer: dict[str, Any]) -> None:
        """The session was created; the answer of `POST /v1/sessions`."""

    def audio_started(self, now: float) -> None:
        """The first sample was captured."""

    def event(self, event: dict[str, Any], now: float) -> None:
        """An event came."""


class Network(Protocol):
    """Stands between the phone and the media server (`fieldcoach.tools.network.Relay`)."""

    def hide(self, offer: str) -> str:
        """The phone's offer without its addresses."""

    async def rewrite(self, answer: str) -> str:
        """The server's answer with the network's addresses in place of the server's."""

    def start(self) -> None:
        """The first sample was captured."""


class Silent:
    """A listener that does not care."""

    def session(self, answer: dict[str, Any]) -> None:
        """Nothing."""

    def audio_started(self, now: float) -> None:
        """Nothing."""

    def event(self, event: dict[str, Any], now: float) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class VisitPlan:
    """What to play to whom. `profile` None follows the server."""

    gateway: str
    token: str
    pcm: bytes = field(repr=False)
    playbook: str | None = None
    languages: tuple[str, ...] = ()
    profile: SendProfile | None = None
    insecure: bool = False
    network: Network | None = None
    patience_s: float = PATIENCE_S
    busy_patience_s: float = 2.0
    """How long to ask again where every worker is full. Heartbeats come at 2 Hz and count for 2 s: a system
    that has just started knows its workers by then, and who is refused for longer is refused for a reason."""
    transport: Wanted | None = None
    """None: `auto`, but only `udp` on a simulated network, which has no say over TCP."""


@dataclass(slots=True)
class VisitResult:
    """What a visit gave. `events` are (seconds since the first sample, event); in memory only."""

    session: str
    asr: dict[str, Any]
    events: list[tuple[float, dict[str, Any]]]
    summary: dict[str, Any]
    stages: StageTable
    audio_started_at: float
    """Wall-clock milliseconds of the first sample, on the server's clock."""
    rtt_ms: float | None
    packets_sent: int
    payload_bytes: int
    worst_send_delay_ms: float
    reconnects: int
    retransmitted: int = 0
    """Packets sent again because the server asked for them."""
    media_reconnects: int = 0
    filled_ranges: int = 0
    """Holes that were sent afterwards."""
    transports: tuple[str, ...] = ()
    """The ways that the sound took: `direct`, `relay`, `websocket`."""
    unsent_s: float = 0.0
    """Of the recording, while there was no connection."""
    started_at: float = 0.0
    """The first sample on this process's monotonic clock, seconds."""
