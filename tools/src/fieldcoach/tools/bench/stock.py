"""The receiver that one gets from aiortc as it is: `track.recv()` and a resampler, in this process."""

import asyncio
from dataclasses import dataclass, field

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import BenchError
from ..network import Relay
from ..phone.media import MediaConnection
from ..phone.packetiser import RTP_CLOCK, Packetiser
from ..phone.profile import SendProfile
from ..phone.track import OpusTrack

TRAILING_S = 3.0
"""Silence after the recording. Its jitter buffer holds the last packets until others come, and in DTX those
come every 400 ms; with less the end of the recording would count as lost."""
CONNECT_LIMIT_S = 20.0
_TICKS = RTP_CLOCK // SAMPLE_RATE


class StockNotConnected(BenchError):
    """No media connection in time; nothing was played."""


@dataclass(slots=True)
class StockReception:
    """What came out, on the sender's timeline."""

    given_out: list[tuple[int, int]] = field(default_factory=list)
    """(start, length) in samples at 16 kHz."""
    pcm: bytearray = field(default_factory=bytearray, repr=False)
    """16 kHz mono s16, zeros where nothing came."""


async def receive_stock(pcm: bytes, profile: SendProfile, relay: Relay) -> StockReception:
    """Send a recording through the relay in real time and take what aiortc's receiver makes of it.

    Raises:
        StockNotConnected: within 20 s.
    """
    track = OpusTrack(Packetiser(pcm + bytes(2 * round(SAMPLE_RATE * TRAILING_S)), profile))
    media = MediaConnection(track, [])
    far = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    found = StockReception()
    readers: list[asyncio.Task[None]] = []
    far.on("track", lambda received: readers.append(asyncio.create_task(_read(received, found))))
    try:
        await far.setRemoteDescription(RTCSessionDescription(relay.hide(await media.offer()), "offer"))
        await far.setLocalDescription(await far.createAnswer())
        await media.accept(await relay.rewrite(far.localDescription.sdp))
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await track.started.wait()
        except TimeoutError:
            raise StockNotConnected(f"stock: no media connection within {CONNECT_LIMIT_S:.0f} s") from None
        relay.start()
        await track.finished.wait()
    finally:
        track.stop()
        await media.close()
        await far.close()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    del found.pcm[len(pcm) :]
    found.pcm.extend(bytes(len(pcm) - len(found.pcm)))
    return found


async def _read(track: MediaStreamTrack, found: StockReception) -> None:
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    lag = 0  # the resampler holds a few samples back: what it gives out belongs behind what came before
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        assert isinstance(frame, av.AudioFrame)
        assert frame.pts is not None
        start = frame.pts // _TICKS  # aiortc's receiver counts from its first packet
        found.given_out.append((start, frame.samples // _TICKS))
        for resampled in resampler.resample(frame):
            sound = resampled.to_ndarray().tobytes()
            hole = 2 * (start - lag) - len(found.pcm)
            found.pcm.extend(bytes(max(0, hole)))
            found.pcm.extend(sound)
            lag = max(lag, frame.samples // _TICKS - len(sound) // 2)
