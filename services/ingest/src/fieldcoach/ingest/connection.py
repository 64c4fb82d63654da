"""What a session knows of a connection of its phone, whichever way the sound comes."""

from typing import Protocol

from fieldcoach.common.messages import SignalReply

from .fragment import IceFragment
from .whip_resource import WhipResource


class Connection(Protocol):
    """A peer connection (`peer.py`), or a WebSocket at a gateway (`opus_source.py`)."""

    @property
    def has_nack(self) -> bool:
        """Whether the phone sends again what it is asked for."""

    @property
    def rtt_s(self) -> float | None:
        """The round trip in seconds, once it is known."""

    @property
    def resource(self) -> WhipResource:
        """Its name."""

    async def patch(self, fragment: IceFragment, if_match: str) -> SignalReply:
        """Trickle ICE, or an ICE restart."""

    async def upkeep(self, now: float) -> None:
        """Time has passed."""

    async def close(self) -> None:
        """Free what it holds."""
