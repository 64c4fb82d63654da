"""Which way the sound goes: a peer connection (UDP, or TURN's relay in the same ICE), or the WebSocket. Pure.

The peer connection first. Without a sign of life from the far side after 5 s UDP is taken as blocked and
the WebSocket is opened; so there is sound, or a clear error, within 10 s. On the WebSocket the peer
connection is tried again every minute: over TCP one lost packet holds up all that follow it.
"""

from typing import Final, Literal

from ..errors import VisitError

Way = Literal["udp", "websocket"]
Wanted = Literal["auto", "udp", "websocket"]

UDP_WAIT_S: Final = 5.0
"""ICE's first checks and their answers take two round trips: 2.6 s on the slowest link that works."""
CONNECT_S: Final = 10.0
"""After this a user has given up."""
RETURN_S: Final = 60.0
"""A phone that left the shop's network finds UDP open again; asking more often costs data on 2G."""


class TransportChoice:
    """Told what came up and what time it is (seconds, monotonic); says what to try."""

    def __init__(self, wanted: Wanted = "auto") -> None:
        self.wanted = wanted
        self._tries = 0
        self._return_at = float("inf")
        self._is_returning = False
        self.used: Way | None = None
        """What came up last."""

    def next(self) -> Way:
        """The way to try now: what worked last, then the other, in turn."""
        if self.wanted != "auto":
            return self.wanted
        if self._is_returning:
            self._is_returning = False
            return "udp"
        first = self.used or "udp"
        self._tries += 1
        return first if self._tries % 2 else _other(first)

    def came_up(self, way: Way, now: float) -> None:
        """Sound goes this way."""
        self.used = way
        self._tries = 0
        self._return_at = now + RETURN_S if way == "websocket" and self.wanted == "auto" else float("inf")

    def should_return(self, now: float) -> bool:
        """Whether the peer connection is due for another try; the next way is that one then."""
        if now < self._return_at:
            return False
        self._return_at = now + RETURN_S
        self._is_returning = True
        return True

    def gives_up(self, way: Way, waited_s: float, is_answered: bool) -> bool:
        """Whether a first connection that is not up after `waited_s` is hopeless.

        `is_answered` says that the far side has answered ICE's checks: then only the link is slow.
        """
        limit = UDP_WAIT_S if self.wanted == "auto" and way == "udp" and not is_answered else CONNECT_S
        return waited_s >= limit


def transport_of(text: str) -> Wanted:
    """What the user wants.

    Raises:
        VisitError: none of the three.
    """
    match text:
        case "auto" | "udp" | "websocket":
            return text
        case _:
            raise VisitError(f"--transport {text}: use auto, udp or websocket")


def _other(way: Way) -> Way:
    return "websocket" if way == "udp" else "udp"
