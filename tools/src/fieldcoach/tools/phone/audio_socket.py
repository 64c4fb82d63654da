"""Sound over WebSocket, where UDP is blocked: the same packets, through a ring that drops the oldest."""

import asyncio
import contextlib
from collections.abc import Callable

import aiohttp
from aiortc.mediastreams import MediaStreamError

from fieldcoach.common.messages import OpusPacket
from fieldcoach.common.opus_frames import OpusRing, pack_frame

from ..errors import Refused
from .api import GatewayApi, unreachable
from .silence import Pulse
from .track import OpusTrack

SUBPROTOCOL = "fieldcoach.audio.v1"
HEARTBEAT_S = 5.0
"""A ping; without its pong after half of that again the socket is dead. TCP itself notices in minutes."""


class AudioSocket:
    """Stands for `MediaConnection`: one track out. `lost` is set when the socket is closed."""

    retransmitted = 0
    """TCP does not tell."""
    way = "websocket"
    ssrc = 0
    """What the server calls this stream: a socket carries one."""

    def __init__(self, track: OpusTrack) -> None:
        self.track = track
        self.lost = asyncio.Event()
        self.close_code: int | None = None
        self._ring = OpusRing()
        self._filled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._sequence = 0
        self._packets_sent = 0
        self._bytes_sent = 0

    @property
    def dropped(self) -> int:
        """Packets that the link was too slow for."""
        return self._ring.dropped

    @property
    def is_answered(self) -> bool:
        """Whether the far side is there: a socket that is open has been answered."""
        return self._socket is not None

    async def open(self, api: GatewayApi, audio_url: str, token: str) -> None:
        """Connect; the track begins with it.

        Raises:
            Refused: the gateway does not take it.
            GatewayUnreachable: no answer.
        """
        try:
            self._socket = await api.http.ws_connect(
                api.url(audio_url),
                headers={"Authorization": f"Bearer {token}"},
                protocols=(SUBPROTOCOL,),
                compress=0,
                heartbeat=HEARTBEAT_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise Refused("GET audio", error.status, {"title": error.message}) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unreachable(api.gateway, error) from error
        self._tasks = [
            asyncio.create_task(self._watch(self._socket)),
            asyncio.create_task(self._capture()),
            asyncio.create_task(self._send(self._socket)),
        ]

    def rtp_origin(self, _place_of: Callable[[bytes], int | None]) -> int | None:
        """The timestamp of the recording's first sample: here nobody adds a random number."""
        return 0

    async def figures(self) -> dict[str, float]:
        """Packets and bytes sent."""
        return {"packets_sent": self._packets_sent, "bytes_sent": self._bytes_sent}

    async def pulse(self) -> Pulse:
        """Nothing is reported back: pings find out whether the far side is there."""
        return Pulse()

    async def close(self) -> None:
        """Close the socket."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def _watch(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for _ in socket:  # the server says nothing
            pass
        self.close_code = socket.close_code
        self.lost.set()

    async def _capture(self) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                packet = await self.track.recv()
                assert packet.pts is not None
                self._ring.put(
                    OpusPacket(
                        sequence=self._sequence & 0xFFFF,
                        timestamp=packet.pts & 0xFFFF_FFFF,
                        payload=bytes(packet),
                    )
                )
                self._sequence += 1
                self._filled.set()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while True:
                await self._filled.wait()
                self._filled.clear()
                packets = self._ring.take()
                await socket.send_bytes(pack_frame(packets))
                self._packets_sent += len(packets)
                self._bytes_sent += sum(len(packet.payload) for packet in packets)
        except (ConnectionError, aiohttp.ClientError):
            self.lost.set()
