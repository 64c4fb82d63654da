"""The sender's track: packets at their moments, on absolute deadlines so that delays never add up."""

import asyncio
import fractions
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet

from .packetiser import RTP_CLOCK, Packetiser

SKIP_STEP_S = 2.0
"""Sound that could not be sent is encoded for the ring, so much of it before other tasks have their turn."""
END_SLACK_S = 1.0
"""The last packet goes out when its last sample was captured; later nobody will send it."""
_TIME_BASE = fractions.Fraction(1, RTP_CLOCK)

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class OpusTrack(MediaStreamTrack):
    """Gives aiortc's sender pre-encoded packets: it takes their pts as RTP timestamp and numbers them itself.

    The sender asks for the first packet when the transport is up: at that moment the microphone opens, and
    `started` is set.
    """

    kind = "audio"

    def __init__(
        self, packetiser: Packetiser, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        super().__init__()
        self.packetiser = packetiser
        self.started = asyncio.Event()
        self.finished = asyncio.Event()
        self.started_at = 0.0
        """When the first sample was captured, on the track's clock."""
        self.latest_s = 0.0
        """The worst delay of a packet behind its moment: how busy this machine is."""
        self.is_sending = False
        """Whether the transport has asked for a packet, which it does when it is up."""
        self._clock = clock
        self._sleep = sleep
        self._closed = asyncio.Event()
        self._predecessor: OpusTrack | None = None

    def successor(self) -> "OpusTrack":
        """The same recording for a fresh connection, which takes over when its transport is up."""
        track = OpusTrack(self.packetiser, self._clock, self._sleep)
        track.started, track.finished = self.started, self.finished
        track.started_at, track.latest_s = self.started_at, self.latest_s
        track._predecessor = self
        return track

    @property
    def is_over(self) -> bool:
        """Whether the recording has come to its end, sent or not."""
        if self.finished.is_set():
            return True
        played = self._clock() - self.started_at
        return self.started.is_set() and played > self.packetiser.duration_s + END_SLACK_S

    async def recv(self) -> "Packet[Any]":
        """The next packet, not before its moment. At the end of the audio it waits until it is stopped."""
        if self.readyState != "live":
            raise MediaStreamError
        self.is_sending = True
        if not self.started.is_set():
            self.started_at = self._clock()
            self.started.set()
        if self._predecessor is not None:
            self._predecessor.stop()
            self._predecessor = None
            while self.packetiser.skip_to(self._clock() - self.started_at, SKIP_STEP_S):
                await self._sleep(0)
        packet = self.packetiser.next()
        while packet is not None and packet.is_held:
            await self._until(packet.due)
            if self.readyState != "live":
                raise MediaStreamError
            packet = self.packetiser.next()
        if packet is None:
            await self._until(self.packetiser.position_s)  # the end may lie in silence that is not sent
            self.finished.set()
            await self._closed.wait()
            raise MediaStreamError
        await self._until(packet.due)
        self.latest_s = max(self.latest_s, self._clock() - self.started_at - packet.due)
        outgoing = Packet(packet.payload)
        outgoing.pts = packet.timestamp
        outgoing.time_base = _TIME_BASE
        return outgoing

    async def _until(self, due: float) -> None:
        wait = self.started_at + due - self._clock()
        if wait > 0:
            await self._sleep(wait)

    def stop(self) -> None:
        """End the track; a sender that waits for the next packet is let go."""
        self._closed.set()
        super().stop()
