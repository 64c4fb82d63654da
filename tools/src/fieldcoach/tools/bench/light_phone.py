"""A phone that costs little: real ICE, DTLS and SRTP, but no track, no encoder and no jitter buffer.

Hundreds fit into one process, since all of them send the same Opus packets, encoded once. With
`aiortc_patience.py` the only file of the tools that uses private names of aiortc.
"""

import asyncio
import random
import struct
from typing import Any, Final

from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.sdp import SessionDescription, candidate_to_sdp

from ..errors import MediaFailed

PAYLOAD_TYPE: Final = 111
CONNECT_S: Final = 20.0
_HEADER: Final = struct.Struct("!BBHLL")


class LightPhone:
    """One connection: `offer`, `connect` with the answer, then `send_audio`."""

    def __init__(self, certificate: RTCCertificate | None = None) -> None:
        """Phones may share a certificate, which is slow to make."""
        self._gatherer = RTCIceGatherer(iceServers=[])
        self.ice = RTCIceTransport(self._gatherer)
        self.ice._connection.ice_controlling = True
        self.dtls = RTCDtlsTransport(self.ice, [certificate or RTCCertificate.generateCertificate()])
        self.dtls._set_role("server")
        self.ssrc = random.getrandbits(32)
        self.sequence = random.getrandbits(16)
        self.origin = random.getrandbits(32)
        """The RTP timestamp of tick zero."""
        self.far: list[tuple[str, int]] = []
        """Where the answer says that media are taken."""
        self.far_ufrag = self.far_pwd = ""
        self.packets = 0

    async def offer(self) -> str:
        """The SDP offer, with all candidates in it."""
        await self._gatherer.gather()
        local = self._gatherer.getLocalParameters()
        prints = [f for f in self.dtls.getLocalParameters().fingerprints if f.algorithm == "sha-256"]
        lines = [
            *("v=0", f"o=- {random.getrandbits(62)} 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0"),
            *(f"m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendonly"),
            *("a=rtcp-mux", f"a=rtpmap:{PAYLOAD_TYPE} opus/48000/2", f"a=rtcp-fb:{PAYLOAD_TYPE} nack"),
            *(f"a=ice-ufrag:{local.usernameFragment}", f"a=ice-pwd:{local.password}", "a=setup:actpass"),
            *(f"a=fingerprint:{f.algorithm} {f.value}" for f in prints),
            *(f"a=candidate:{candidate_to_sdp(c)}" for c in self._gatherer.getLocalCandidates()),
        ]
        return "\r\n".join([*lines, ""])

    async def connect(self, answer: str) -> None:
        """ICE and DTLS.

        Raises:
            MediaFailed: neither came up within 20 s.
        """
        media: Any = SessionDescription.parse(answer).media[0]
        self.far = [(candidate.ip, candidate.port) for candidate in media.ice_candidates]
        self.far_ufrag, self.far_pwd = media.ice.usernameFragment, media.ice.password
        for candidate in media.ice_candidates:
            await self.ice.addRemoteCandidate(candidate)
        await self.ice.addRemoteCandidate(None)
        try:
            async with asyncio.timeout(CONNECT_S):
                await self.ice.start(media.ice)
                if self.ice.state == "completed":
                    await self.dtls.start(media.dtls)
        except TimeoutError:
            pass
        if self.dtls.state != "connected":
            raise MediaFailed(f"no media connection: ICE {self.ice.state}, DTLS {self.dtls.state}")

    async def send_audio(self, tick: int, payload: bytes) -> None:
        """One packet; `tick` counts at 48 kHz."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        await self.send(self.rtp(self.sequence, tick, payload))

    def rtp(self, sequence: int, tick: int, payload: bytes) -> bytes:
        """An RTP packet of this phone, not encrypted yet."""
        timestamp = (self.origin + tick) & 0xFFFFFFFF
        return _HEADER.pack(0x80, PAYLOAD_TYPE, sequence, timestamp, self.ssrc) + payload

    async def send(self, packet: bytes) -> None:
        """Encrypt RTP or RTCP and send it.

        Raises:
            ConnectionError: the connection has gone.
        """
        await self.dtls._send_rtp(packet)
        self.packets += 1

    async def hang_up(self) -> None:
        """Say goodbye (DTLS `close_notify`) and free the sockets."""
        await self.dtls.stop()
        await self.ice.stop()

    async def vanish(self) -> None:
        """Be gone without a word, as a phone that lost its battery."""
        if self.dtls._task is not None:
            self.dtls._task.cancel()
            await asyncio.gather(self.dtls._task, return_exceptions=True)
        await self.ice.stop()
