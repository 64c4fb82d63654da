"""The media connections of one visit: the first by the way that works, later ones by the way in use."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ..errors import MediaFailed, ToolError
from .api import GatewayApi
from .audio_socket import AudioSocket
from .channel import EventChannel
from .media import MediaConnection
from .media_link import Connection
from .plan import VisitPlan
from .track import OpusTrack
from .transport_choice import TransportChoice, Way

CONNECT_POLL_S = 0.1
WHY_NO_MEDIA = (
    "UDP between this machine and the ingest may be blocked,"
    " or MEDIA_HOSTS of the ingest names an address that can't be reached from here"
)


class Connections:
    """Every connection that a visit has had, oldest first, and the ways that their sound took."""

    def __init__(
        self, plan: VisitPlan, api: GatewayApi, session: dict[str, Any], channel: EventChannel
    ) -> None:
        self._network = plan.network
        self._api = api
        self._session = session
        self._channel = channel
        self.choice = TransportChoice(plan.transport or ("auto" if plan.network is None else "udp"))
        self.all: list[MediaConnection | AudioSocket] = []
        self.ways: list[str] = []

    @property
    def newest(self) -> MediaConnection | AudioSocket:
        """The last that was made."""
        return self.all[-1]

    @property
    def is_impatient(self) -> bool:
        """Whether a way that does not work is given up for another one."""
        return self._network is None or self.choice.wanted == "auto"

    async def first(self, track: OpusTrack) -> MediaConnection | AudioSocket:
        """The way that works: the peer connection, and where it finds no answer the WebSocket.

        Raises:
            MediaFailed: no way works.
        """
        while True:
            way = self.choice.next()
            media = await self.open(way, track)
            begun = time.monotonic()
            while not track.is_sending and not media.lost.is_set():
                waited_s = time.monotonic() - begun
                if self.is_impatient and self.choice.gives_up(way, waited_s, media.is_answered):
                    break
                await asyncio.sleep(CONNECT_POLL_S)
            if track.is_sending:
                self.note_up(media)
                return media
            if self.choice.wanted != "auto" or way == "websocket":
                raise MediaFailed(f"the media connection failed before it was up; {WHY_NO_MEDIA}")
            await media.close()
            track = track.successor()

    async def next(self, track: OpusTrack) -> Connection:
        """Another one for this track, by the way that is to be tried now."""
        return await self.open(self.choice.next(), track)

    async def open(self, way: Way, track: OpusTrack) -> MediaConnection | AudioSocket:
        """A connection for this track; it comes up in the background."""
        if way == "udp":
            return await self._offer(track)
        if "audio_url" not in self._session:
            raise MediaFailed(f"no media connection; {WHY_NO_MEDIA}")
        media = AudioSocket(track)
        self.all.append(media)
        await media.open(self._api, self._session["audio_url"], self._channel.token)
        return media

    def note_up(self, media: Connection) -> None:
        """It has begun to send."""
        assert isinstance(media, MediaConnection | AudioSocket)
        self.choice.came_up("websocket" if isinstance(media, AudioSocket) else "udp", time.monotonic())
        if self.ways[-1:] != [media.way]:
            self.ways.append(media.way)

    async def close(self) -> None:
        """Stop all tracks, free all sockets."""
        for media in self.all:
            media.track.stop()
            await media.close()

    def origin_of(self, ssrc: int, place_of: Callable[[bytes], int | None]) -> int | None:
        """The RTP timestamp of the recording's first sample on one of our streams."""
        known = (media for media in self.all if media.ssrc == ssrc)
        return next((media.rtp_origin(place_of) for media in known), None)

    async def _offer(self, track: OpusTrack) -> MediaConnection:
        network = self._network
        media = MediaConnection(track, self._channel.ice_servers or self._session.get("ice_servers") or [])
        self.all.append(media)
        try:
            offer = await media.offer()
            if network is not None:
                offer = network.hide(offer)
            answer, _ = await self._api.offer(self._session["whip_url"], self._channel.token, offer)
            await media.accept(answer if network is None else await network.rewrite(answer))
        except ToolError:
            await media.close()
            raise
        return media
