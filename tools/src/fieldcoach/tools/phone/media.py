"""The media connection: one audio track out, by WHIP."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from ..errors import MediaFailed
from .aiortc_patience import keep_consent, nominated_pair, note_retransmissions, rtp_origin
from .silence import Pulse
from .track import OpusTrack

_OPUS_RTPMAP = re.compile(r"^a=rtpmap:(\d+) opus/48000/2\r?$", re.MULTILINE | re.IGNORECASE)


class MediaConnection:
    """A peer connection that only sends. `lost` is set when it fails after having been up."""

    def __init__(self, track: OpusTrack, ice_servers: Sequence[Mapping[str, Any]]) -> None:
        # an empty list, not None: aiortc's default is a public STUN server
        servers = [
            RTCIceServer(
                urls=server["urls"], username=server.get("username"), credential=server.get("credential")
            )
            for server in ice_servers
        ]
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self.lost = asyncio.Event()
        self.track = track
        transceiver = self._peer.addTransceiver(track, direction="sendonly")
        transceiver.setCodecPreferences(
            [
                codec
                for codec in RTCRtpSender.getCapabilities("audio").codecs
                if codec.mimeType == "audio/opus"
            ]
        )
        self._sender = transceiver.sender
        self._retransmissions = note_retransmissions(self._sender)
        self._peer.on("connectionstatechange", self._note_state)

    @property
    def state(self) -> str:
        """`new connecting connected failed closed`."""
        return self._peer.connectionState

    @property
    def way(self) -> str:
        """`direct`, or `relay` if a TURN server stands between."""
        pair = nominated_pair(self._sender)
        return "relay" if pair is not None and pair.local_candidate.type == "relay" else "direct"

    @property
    def is_answered(self) -> bool:
        """Whether the far side has answered ICE's checks."""
        return nominated_pair(self._sender) is not None

    @property
    def retransmitted(self) -> int:
        """Packets sent again because the server asked for them."""
        return self._retransmissions.count

    @property
    def ssrc(self) -> int:
        """Of the stream that is sent."""
        return self._sender._ssrc

    def rtp_origin(self, place_of: Callable[[bytes], int | None]) -> int | None:
        """The RTP timestamp of the recording's first sample on this stream; None before its first packet."""
        return rtp_origin(self._sender, place_of)

    async def offer(self) -> str:
        """The SDP offer with all candidates in it; it says that we answer NACKs, which aiortc's does not."""
        await self._peer.setLocalDescription(await self._peer.createOffer())
        keep_consent(self._sender)
        return with_nack(self._peer.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the answer; the connection is made in the background.

        Raises:
            MediaFailed: not an answer to our offer.
        """
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except Exception as error:  # aiortc's parser raises six unrelated classes
            raise MediaFailed(f"the SDP answer can't be used: {type(error).__name__}: {error}") from error

    async def figures(self) -> dict[str, float]:
        """Packets and bytes sent, and the round trip in ms once the far side has reported one."""
        found: dict[str, float] = {"retransmitted": self.retransmitted}
        for report in (await self._sender.getStats()).values():
            if report.type == "outbound-rtp":
                found["packets_sent"] = report.packetsSent
                found["bytes_sent"] = report.bytesSent
            elif report.type == "remote-inbound-rtp" and report.roundTripTime is not None:
                found["rtt_ms"] = round(report.roundTripTime * 1e3, 1)
        return found

    async def pulse(self) -> Pulse:
        """What was sent, and the moment of the last report on it."""
        sent, report = 0, None
        for entry in (await self._sender.getStats()).values():
            if entry.type == "outbound-rtp":
                sent = entry.packetsSent
            elif entry.type == "remote-inbound-rtp":
                report = entry.timestamp
        return Pulse(sent, report)

    async def close(self) -> None:
        """Say goodbye and free the sockets."""
        await self._peer.close()

    def _note_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self.lost.set()


def with_nack(sdp: str) -> str:
    """The same description with generic NACK (RFC 4585 section 4.2) for each Opus payload type.

    aiortc's sender answers NACKs whatever was negotiated, and without RTX it resends the packet as it was.
    """
    return _OPUS_RTPMAP.sub(lambda line: f"{line[0].rstrip()}\r\na=rtcp-fb:{line[1]} nack\r", sdp)
