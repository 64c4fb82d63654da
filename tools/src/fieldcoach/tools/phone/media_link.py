"""One media connection after another under the same session, until the recording is through.

aiortc can't restart ICE as a client, so a connection that failed or fell silent is followed by a fresh one.
The recording goes on meanwhile as a conversation does; what is spoken in the hole is not sent.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..errors import GatewayUnreachable, MediaFailed, Refused
from .backoff import Backoff
from .silence import Pulse, SilenceWatch
from .track import OpusTrack

PULSE_S = 0.25
"""How often the far side's reports are looked for."""
CONNECT_S = 10.0
"""ICE and DTLS take four round trips: 6 s on the slowest link that works."""
PATIENCE_S = 60.0
"""A walk through a cellar; then the visit is given up."""

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Connection(Protocol):
    """The part of `MediaConnection` that is used."""

    lost: asyncio.Event

    async def pulse(self) -> Pulse:
        """What was sent, and the last report on it."""

    async def close(self) -> None:
        """Free the sockets."""


Connect = Callable[[OpusTrack], Awaitable[Connection]]
"""Make an offer for a track under the session, and take the answer."""


class MediaLink:
    """Holds the connection in use. `run` keeps one up."""

    def __init__(
        self,
        connect: Connect,
        patience_s: float = PATIENCE_S,
        backoff: Backoff | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        should_return: Callable[[float], bool] = lambda _now: False,
        on_up: Callable[[Connection], None] = lambda _connection: None,
    ) -> None:
        """`should_return` says when to try a better way while this works; `on_up` is told what came up."""
        self._should_return = should_return
        self._on_up = on_up
        self._connect = connect
        self._patience_s = patience_s
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._sleep = sleep
        self._watch = SilenceWatch()
        self.reconnects = 0
        """Fresh connections that came up after a loss."""

    async def run(self, connection: Connection, track: OpusTrack) -> tuple[Connection, OpusTrack]:
        """Watch this connection, replace it when it is lost; gives the last one at the recording's end.

        Raises:
            MediaFailed: no connection for longer than the patience.
            Refused: the gateway takes no more offers for this session.
        """
        while True:
            connection, track, is_through = await self._watch_over(connection, track)
            if is_through:
                return connection, track
            lost_at = self._clock()
            self._backoff.reset()
            while True:
                if self._clock() - lost_at >= self._patience_s:
                    played = lost_at - track.started_at
                    raise MediaFailed(
                        f"the media connection was lost after {played:.1f} s of audio and did not come back"
                        f" within {self._patience_s:.0f} s; wait longer with --patience"
                    )
                await self._sleep(self._backoff.next())
                fresh = await self._attempt(connection, track)
                if fresh is not None:
                    connection, track = fresh
                    break
                if track.is_over or not await self._is_silent(connection):
                    break

    async def _watch_over(
        self, connection: Connection, track: OpusTrack
    ) -> tuple[Connection, OpusTrack, bool]:
        """Wait for the recording's end (true) or the loss of the connection (false)."""
        while not track.is_over:
            if await self._is_silent(connection):
                return connection, track, False
            if self._should_return(self._clock()):
                better = await self._attempt(connection, track)
                connection, track = better or (connection, track)
            await self._sleep(PULSE_S)
        return connection, track, True

    async def _is_silent(self, connection: Connection) -> bool:
        return connection.lost.is_set() or self._watch.observe(self._clock(), await connection.pulse())

    async def _attempt(self, old: Connection, track: OpusTrack) -> tuple[Connection, OpusTrack] | None:
        """A fresh connection that has begun to send; None if it does not come up, or the old one is back."""
        successor = track.successor()
        try:
            fresh = await self._connect(successor)
        except GatewayUnreachable:
            return None
        except Refused as refused:
            if refused.retryable:
                return None
            raise
        begun = self._clock()
        while not successor.is_sending:
            is_hopeless = fresh.lost.is_set() or self._clock() - begun >= CONNECT_S
            if is_hopeless or track.is_over or not await self._is_silent(old):
                successor.stop()
                await fresh.close()
                return None
            await self._sleep(PULSE_S)
        self._watch = SilenceWatch()
        self.reconnects += 1
        self._on_up(fresh)
        await old.close()
        return fresh, successor
