"""Sound over WebSocket, for a phone whose UDP is blocked: from the socket to the session's ingest."""

import asyncio
import time
from typing import Any, Final

from starlette.websockets import WebSocket

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import OpusFrames

from .audio_intake import AudioIntake
from .channel import CloseCode
from .fleet import Fleet, IngestWatch
from .sessions import Sessions
from .telemetry import GatewayTelemetry
from .tokens import SessionClaims

PROTOCOL: Final = "fieldcoach.audio.v1"
BUS_AWAY_S: Final = 0.1
"""Before the next try; the ring drops what is over a second old meanwhile."""


WATCH_S: Final = 0.5
"""As often as heartbeats come."""


class ActiveAudio:
    """The one audio socket of each session."""

    def __init__(self) -> None:
        self._by_session: dict[str, AudioConnection] = {}

    def __len__(self) -> int:
        return len(self._by_session)

    def add(self, session: str, connection: "AudioConnection") -> None:
        """Make it the session's socket; the one before is closed."""
        older = self._by_session.get(session)
        self._by_session[session] = connection
        if older is not None:
            older.close(CloseCode.REPLACED)

    def discard(self, session: str, connection: "AudioConnection") -> None:
        """Forget it, unless another has taken its place."""
        if self._by_session.get(session) is connection:
            del self._by_session[session]

    def has(self, session: str) -> bool:
        """Whether the session has a socket here."""
        return session in self._by_session

    def ended(self, session: str) -> None:
        """The visit is over."""
        connection = self._by_session.get(session)
        if connection is not None:
            connection.close(CloseCode.ENDED)

    def close_all(self, code: CloseCode) -> None:
        """Close every socket."""
        for connection in list(self._by_session.values()):
            connection.close(code)


class AudioConnection:
    """One socket: a source of its own to the ingest, as an SSRC is a stream."""

    def __init__(
        self,
        claims: SessionClaims,
        bus: Bus,
        sessions: Sessions,
        fleet: Fleet,
        active: ActiveAudio,
        telemetry: GatewayTelemetry,
    ) -> None:
        self._claims = claims
        self._bus = bus
        self._sessions = sessions
        self._fleet = fleet
        self._active = active
        self._source = new_id()
        self._count = telemetry.audio.add
        self._intake = AudioIntake(self._count, time.monotonic())
        self._arrived = asyncio.Event()
        self._closing: asyncio.Future[CloseCode] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Tell the ingest that sound will come, then take the session's place.

        Raises:
            Refused: the ingest has no room, does not answer, or the session has ended.
        """
        await self._sessions.signal(self._claims, "audio", resource=self._source)
        self._active.add(self._claims.sid, self)

    def close(self, code: CloseCode) -> None:
        """Close as soon as the shell can; the first reason stays."""
        if not self._closing.done():
            self._closing.set_result(code)

    async def serve(self, socket: WebSocket) -> CloseCode | None:
        """Move sound until either side closes; the code to close with, None if the client has gone."""
        reader = asyncio.ensure_future(self._read(socket))
        writer = asyncio.ensure_future(self._write())
        watch = asyncio.ensure_future(self._watch())
        awaited: set[asyncio.Future[Any]] = {reader, writer, watch, self._closing}
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            for task in (reader, writer, watch):
                if task.done():
                    task.result()
            return self._closing.result() if self._closing.done() else None
        finally:
            for task in (reader, writer, watch):
                task.cancel()
            await asyncio.gather(reader, writer, watch, return_exceptions=True)
            self._active.discard(self._claims.sid, self)
            await self._send(last=True)  # if the bus is away, the ingest notices the silence

    async def _read(self, socket: WebSocket) -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._intake.put(message.get("bytes"), time.monotonic())
            self._arrived.set()
            if self._intake.is_hopeless:
                self.close(CloseCode.TOO_MANY_BAD)
                return

    async def _write(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while len(self._intake):
                if not self._bus.can_publish:
                    await asyncio.sleep(BUS_AWAY_S)
                    continue
                await self._send()

    async def _watch(self) -> None:
        """When the ingest dies the phone connects again, and the session goes to another one."""
        watch = IngestWatch()
        while True:
            ingest, now = self._sessions.ingest_of(self._claims), time.monotonic()
            if watch.is_gone(now, self._bus.is_connected, self._fleet.has_ingest(ingest, now)):
                self._count("ingest-gone", 1)
                self.close(CloseCode.GOING_AWAY)
                return
            await asyncio.sleep(WATCH_S)

    async def _send(self, last: bool = False) -> None:
        packets = self._intake.take()
        frames = OpusFrames(session=self._claims.sid, source=self._source, packets=packets, last=last)
        try:
            ingest = self._sessions.ingest_of(self._claims)
            await self._bus.publish(self._bus.subjects.opus(ingest, self._claims.sid), frames.encode())
        except BusUnavailable:
            self._count("bus-away", len(packets))
        else:
            self._count("passed", len(packets))
