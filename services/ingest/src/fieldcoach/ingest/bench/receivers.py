"""The two receivers that are compared, each from the socket to 16 kHz PCM, without ICE and DTLS before it.

Ours is the whole service; its bus takes everything, and sends it on only if it is given a server. Stock is
aiortc as its examples use it: `track.recv()` and a resampler. Both find their keys in place, so only media
are measured. These are the only private names outside `rtc_tap.py`; the benchmark's own test notices when one
has moved.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final, Protocol, cast

import pylibsrtp
from aioice import Candidate, Connection
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport, RTCRtpReceiver
from aiortc.rtcdtlstransport import State
from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpDecodingParameters,
    RTCRtpReceiveParameters,
)
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from av import AudioResampler

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.bus import Bus, Responder
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    Ack,
    AckBatch,
    ClaimReply,
    SignalRequest,
    WorkerHeartbeat,
)
from fieldcoach.common.subjects import Subjects
from fieldcoach.common.telemetry import Counters

from ..service import IngestService
from ..settings import IngestSettings
from .sender import PAYLOAD_TYPE, SSRC, srtp_session

_OFFER: Final = "\r\n".join(
    [
        *("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}"),
        *("a=ice-ufrag:Abcd", "a=ice-pwd:" + "p" * 24, "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)),
        *("a=setup:actpass", "a=sendonly", "a=rtcp-mux", f"a=rtpmap:{PAYLOAD_TYPE} opus/48000/2"),
        *(f"a=rtcp-fb:{PAYLOAD_TYPE} nack", ""),
    ]
)


class Receiver(Protocol):
    """What is measured."""

    @property
    def packets(self) -> int:
        """Media datagrams taken."""

    @property
    def samples(self) -> int:
        """Of PCM at 16 kHz given out."""

    async def open(self, sessions: int) -> list[int]:
        """Listen; gives a UDP port per session."""

    async def close(self) -> None:
        """Free everything."""


def _connect(dtls: RTCDtlsTransport, connection: Connection, protocol: StunProtocol) -> None:
    """As after ICE and DTLS. Reports go to a port that nobody listens on."""
    dtls._rx_srtp = srtp_session(pylibsrtp.Policy.SSRC_ANY_INBOUND)
    dtls._tx_srtp = srtp_session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    dtls._state = State.CONNECTED
    pair = SimpleNamespace(protocol=protocol, remote_addr=("127.0.0.1", 9), component=1, task=None)
    connection._nominated[1] = cast(CandidatePair, pair)


class _Bus:
    """A bus that takes everything; it also stands for one asr worker, which acks all that it gets.

    With a `real` one behind it what is published goes out, to nobody in particular.
    """

    is_connected = True

    def __init__(self, real: Bus | None) -> None:
        self.subjects = Subjects("bench")
        self.faults = Counters("bench_faults", description="Faults")
        self._real = real

    @property
    def can_publish(self) -> bool:
        return self._real is None or self._real.can_publish

    async def publish(self, subject: str, payload: bytes, _headers: object = None) -> None:
        if self._real is not None:
            await self._real.publish(subject, payload)

    async def publish_event(self, event: Any) -> None:
        """Nobody listens."""

    async def request(self, *_arguments: object) -> ClaimReply:
        return ClaimReply(accepted=True)

    async def subscribe(self, *_arguments: object) -> Any:
        async def unsubscribe() -> None:
            """Nothing was subscribed."""

        return SimpleNamespace(unsubscribe=unsubscribe)

    async def serve(self, _subject: str, responder: Responder) -> Any:
        self.signalling = responder
        return await self.subscribe()

    def on_reconnect(self, _callback: Callable[[], Awaitable[None]]) -> None:
        """It never goes away."""


class OurReceiver:
    """The ingest service with one session per port."""

    def __init__(self, nats_url: str = "") -> None:
        self._real = Bus(nats_url, "bench", "fieldcoach-bench") if nats_url else None
        self._bus = _Bus(self._real)
        settings = IngestSettings(media_hosts="127.0.0.1", max_sessions=10_000)
        self._service = IngestService(settings, cast(Bus, self._bus))
        self._worker = new_id()
        self._task: asyncio.Task[None] | None = None

    @property
    def packets(self) -> int:
        """Media datagrams taken."""
        return self._service.telemetry.packets.total()

    @property
    def samples(self) -> int:
        """Of PCM at 16 kHz given out."""
        return self._service.telemetry.audio_ms.total() * SAMPLE_RATE // 1_000

    async def open(self, sessions: int) -> list[int]:
        """Listen; gives a UDP port per session."""
        if self._real is not None:
            await self._real.connect()
        await self._service.start()
        self._task = asyncio.create_task(self._work())
        ports = []
        for _ in range(sessions):
            session = new_id()
            # the offer's own connecting waits for a phone that never comes; media do not wait for it
            reply = await self._bus.signalling(
                SignalRequest(session=session, action="offer", sdp=_OFFER).encode()
            )
            assert not getattr(reply, "problem", None), reply
            peer = cast(Any, self._service.sessions[session].peers[-1])
            transport = peer._transport
            connection = transport._connection
            protocol = connection._protocols[0]
            assert peer._connecting is not None
            peer._connecting.cancel()
            _connect(transport._dtls, connection, protocol)
            transport._media.open(transport._dtls._rx_srtp)
            ports.append(protocol.transport.get_extra_info("sockname")[1])
        return ports

    async def _work(self) -> None:
        """The worker's heartbeats and acks."""
        while True:
            beat = WorkerHeartbeat(
                worker=self._worker,
                slots=100_000,
                used=0,
                real_time_factor=0.0,
                lag_ms=0.0,
                engine="none",
                model="none",
            )
            self._service._on_worker("", beat.encode(), {})
            acks = tuple(
                Ack(session=session.id, epoch=session.delivery.epoch, seq=session.delivery.cur)
                for session in self._service.sessions.values()
                if session.delivery.worker is not None
            )
            self._service._on_acks("", AckBatch(worker=self._worker, acks=acks).encode(), {})
            await asyncio.sleep(0.25)

    async def close(self) -> None:
        """Free everything."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for session in self._service.sessions.values():
            for peer in session.peers:
                cast(Any, peer)._transport._connection._nominated.clear()
        await self._service.drain()
        if self._real is not None:
            await self._real.drain()


class _CountedConnection(Connection):
    packets = 0

    def data_received(self, data: bytes, component: int) -> None:
        self.packets += 1
        super().data_received(data, component)


class StockReceiver:
    """aiortc's receiver, `track.recv()`, a resampler to 16 kHz mono."""

    def __init__(self) -> None:
        self._samples = 0
        self._connections: list[_CountedConnection] = []
        self._transports: list[RTCDtlsTransport] = []
        self._receivers: list[RTCRtpReceiver] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def packets(self) -> int:
        """Media datagrams taken."""
        return sum(connection.packets for connection in self._connections)

    @property
    def samples(self) -> int:
        """Of PCM at 16 kHz given out."""
        return self._samples

    async def open(self, sessions: int) -> list[int]:
        """Listen; gives a UDP port per session."""
        return [await self._add() for _ in range(sessions)]

    async def _add(self) -> int:
        connection = _CountedConnection(ice_controlling=False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(
            lambda: StunProtocol(connection), local_addr=("127.0.0.1", 0)
        )
        port = int(protocol.transport.get_extra_info("sockname")[1])
        protocol.local_candidate = Candidate("1", 1, "udp", 1, "127.0.0.1", port, "host")
        connection._protocols.append(protocol)
        gatherer = RTCIceGatherer(iceServers=[])
        gatherer._connection = connection
        dtls = RTCDtlsTransport(RTCIceTransport(gatherer), [RTCCertificate.generateCertificate()])
        _connect(dtls, connection, protocol)
        private = cast(Any, dtls)
        private._RTCDtlsTransport__handshake_done = True
        private._task = asyncio.ensure_future(private._RTCDtlsTransport__run())
        receiver = RTCRtpReceiver("audio", dtls)
        track = receiver._track = RemoteStreamTrack(kind="audio")
        codec = RTCRtpCodecParameters("audio/opus", 48_000, 2, PAYLOAD_TYPE)
        await receiver.receive(
            RTCRtpReceiveParameters(
                codecs=[codec],
                encodings=[RTCRtpDecodingParameters(ssrc=SSRC, payloadType=PAYLOAD_TYPE)],
                muxId="0",
            )
        )
        self._connections.append(connection)
        self._transports.append(dtls)
        self._receivers.append(receiver)
        self._tasks.append(asyncio.create_task(self._listen(track)))
        return port

    async def _listen(self, track: RemoteStreamTrack) -> None:
        resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        while True:
            frame = await track.recv()
            for part in resampler.resample(cast(Any, frame)):
                self._samples += len(bytes(part.planes[0])[: 2 * part.samples]) // 2

    async def close(self) -> None:
        """Free everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for receiver in self._receivers:
            await receiver.stop()
        for transport, connection in zip(self._transports, self._connections, strict=True):
            pump = transport._task
            assert pump is not None
            await transport.stop()
            await asyncio.gather(pump, return_exceptions=True)
            connection._nominated.clear()
            await connection.close()


async def watch_loop(lags: list[float], every_s: float = 0.02) -> None:
    """How late the loop wakes a task, in seconds."""
    while True:
        due = time.monotonic() + every_s
        await asyncio.sleep(every_s)
        lags.append(max(0.0, time.monotonic() - due))
