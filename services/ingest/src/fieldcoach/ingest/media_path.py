"""The fast path: from a datagram to the session in one call, without a queue and without a task.

SRTP is undone, the header is read, the session is told. An exception here would end the socket of the
phone, so none gets out; what was wrong is counted by its kind.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import pylibsrtp
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpSrPacket

from .rtp import MalformedRtp, read_rtp

log = logging.getLogger(__name__)

_RTCP: Final = range(192, 224)
"""RFC 5761 section 4: the second byte of a datagram that is RTCP and not RTP."""
MAX_EARLY: Final = 64
"""Datagrams kept until there are keys: more than a second of 20 ms packets; anybody can send them."""
_SRTP_FAULTS: Final = {
    "authentication failure": "srtp-forged",
    "replay check failed (bad index)": "srtp-replay",
    "replay check failed (index too old)": "srtp-too-old",
    "error parsing data": "srtp-malformed",
}


class RtpSink(Protocol):
    """Takes what comes over one transport. Called from within the socket's callback; must only compute."""

    def on_rtp(self, ssrc: int, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        """A packet of the negotiated payload type; `arrival` in seconds, monotonic."""

    def on_sender_report(self, ssrc: int, ntp_timestamp: int, arrival: float) -> None:
        """The sender told its clock."""

    def on_transport_lost(self) -> None:
        """The phone closed DTLS, or its consent has expired."""


class Unprotect(Protocol):
    """The receiving SRTP session (of pylibsrtp)."""

    def unprotect(self, packet: bytes) -> bytes:
        """RTP of SRTP."""

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """RTCP of SRTCP."""


class MediaPath:
    """Of one transport. What comes before DTLS has made the keys waits for them."""

    def __init__(self, payload_type: int, sink: RtpSink, count: Callable[[str], None]) -> None:
        self._payload_type = payload_type
        self._sink = sink
        self._count = count
        self._srtp: Unprotect | None = None
        self._early: deque[tuple[bytes, float]] = deque()
        self.heard_at = -math.inf
        """When the phone was last heard: what its key has proved to come from it."""

    def open(self, srtp: Unprotect) -> None:
        """Media are taken from now on, beginning with those that came early."""
        self._srtp = srtp
        early, self._early = self._early, deque()
        for data, arrival in early:
            self._take(srtp, data, arrival)

    def close(self) -> None:
        """Nothing is taken any more."""
        self._srtp = None
        self._early.clear()

    def take(self, data: bytes) -> bool:
        """One datagram; says whether it came from the phone, which only its key can prove."""
        arrival = time.monotonic()
        if self._srtp is None:
            # a phone whose side of the handshake is through speaks at once, before we have read its end
            self._early.append((data, arrival))
            if len(self._early) > MAX_EARLY:
                self._early.popleft()
                self._count("media-without-key")
            return False
        return self._take(self._srtp, data, arrival)

    def _take(self, srtp: Unprotect, data: bytes, arrival: float) -> bool:
        is_rtcp = len(data) > 1 and data[1] in _RTCP
        try:
            plain = srtp.unprotect_rtcp(data) if is_rtcp else srtp.unprotect(data)
        except pylibsrtp.Error as error:
            self._count(_SRTP_FAULTS.get(str(error), "srtp-error"))
            return False
        except ValueError:  # longer than any datagram of ours
            self._count("media-too-long")
            return False
        self.heard_at = arrival
        try:
            if is_rtcp:
                self._take_rtcp(plain, arrival)
            else:
                self._take_rtp(plain, arrival)
        except Exception:
            self._count("media-handler")
            log.exception("media handler failed")
        return True

    def _take_rtp(self, plain: bytes, arrival: float) -> None:
        try:
            payload_type, sequence, timestamp, ssrc, payload = read_rtp(plain)
        except MalformedRtp as malformed:
            self._count(f"rtp-{malformed.reason}")
            return
        if payload_type != self._payload_type:
            self._count("rtp-other-payload")
            return
        self._sink.on_rtp(ssrc, sequence, timestamp, payload, arrival)

    def _take_rtcp(self, plain: bytes, arrival: float) -> None:
        try:
            packets = RtcpPacket.parse(plain)
        except Exception:  # aiortc's parser raises several unrelated classes on bad bytes
            self._count("rtcp-malformed")
            return
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                self._sink.on_sender_report(packet.ssrc, packet.sender_info.ntp_timestamp, arrival)
            elif isinstance(packet, RtcpByePacket):
                self._count("bye")
