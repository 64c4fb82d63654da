"""A phone whose UDP is blocked: its Opus comes over the bus, from the gateway that holds its WebSocket.

To the session it is a connection like any other, without a transport of its own: jitter buffer, timeline,
pause, liveness and the change to and from a peer connection are the same.
"""

from collections.abc import Callable
from typing import Final, Protocol

from fieldcoach.common.messages import OpusFrames, Problem, SignalReply

from .connection import Connection
from .fragment import IceFragment
from .jitter import AudioPacket
from .life import SessionLife
from .whip_resource import WhipResource

SSRC: Final = 0
"""A WebSocket carries one stream; a new one is a new source."""


class OpusSource:
    """One WebSocket of a phone."""

    has_nack = False
    """TCP repairs; what the rings on the way have dropped is gone."""
    rtt_s: float | None = None
    """Unknown: the socket ends at the gateway."""

    def __init__(self, name: str) -> None:
        self.resource = WhipResource(name, name, "", "")

    async def patch(self, fragment: IceFragment, if_match: str) -> SignalReply:
        """There is no ICE here."""
        return SignalReply(
            problem=Problem(
                type="not-supported",
                title="Not supported",
                status=422,
                detail="this audio comes over a WebSocket, which has no ICE",
                fix="make an offer",
            )
        )

    async def upkeep(self, now: float) -> None:
        """Nothing is asked for again and nothing reported: TCP does both."""

    async def close(self) -> None:
        """The gateway holds the socket, and closes it at the session's end."""


class OpusSession(Protocol):
    """The part of a session that is used."""

    life: SessionLife

    def find(self, resource: str) -> Connection | Problem:
        """The connection of this name."""

    def attach(self, peer: Connection, now: float) -> None:
        """A new connection."""

    def on_packet(self, peer: Connection, ssrc: int, packet: AudioPacket) -> bool:
        """An audio packet."""

    def on_lost(self, peer: Connection, reason: str, now: float) -> None:
        """The connection is gone."""


def take(session: OpusSession, frames: OpusFrames, now: float, count: Callable[[str, int], None]) -> None:
    """Sound of a WebSocket arrived.

    A source that was given up after a silence and speaks again is taken back, unless another one has taken
    over meanwhile: its socket is open, so nobody will make a new one.
    """
    source = session.find(frames.source)
    if isinstance(source, Problem) and source.status == 404 and frames.packets and not session.life.has_ended:
        source = OpusSource(frames.source)
        session.attach(source, now)
    if not isinstance(source, OpusSource):
        count("old-connection", len(frames.packets))
        return
    for packet in frames.packets:
        session.on_packet(source, SSRC, AudioPacket(packet.sequence, packet.timestamp, packet.payload, now))
    if frames.last:
        session.on_lost(source, "closed", now)
