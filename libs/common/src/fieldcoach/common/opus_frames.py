"""Opus outside of RTP: the binary frame of `GET /v1/sessions/{id}/audio`, and a ring that drops the oldest.

Big endian. Frame: version (u8, 1), number of packets (u8, 1-255); then of each packet its sequence number
(u16), its timestamp at 48 kHz (u32), its length (u16) and its bytes. At most 64 KiB.

Each packet has its own number and timestamp: what DTX leaves out and what a ring has dropped lies
between the packets of one frame as well.
"""

import struct
from collections import deque
from collections.abc import Sequence
from typing import Final

from .errors import MessageRejected
from .messages import MAX_OPUS_BYTES, OpusPacket

FRAME_VERSION: Final = 1
MAX_FRAME_BYTES: Final = 64 * 1024
MAX_FRAME_PACKETS: Final = 255
RING_TICKS: Final = 48_000
"""One second: sound that is older does not help the conversation any more."""
RING_PACKETS: Final = 64
"""More than a second of 20 ms packets; bounds what has the same timestamp."""
_HEAD: Final = struct.Struct("!BB")
_PACKET: Final = struct.Struct("!HIH")


def pack_frame(packets: Sequence[OpusPacket]) -> bytes:
    """One frame of these packets.

    Raises:
        ValueError: none, more than 255, or more than 64 KiB.
    """
    if not 1 <= len(packets) <= MAX_FRAME_PACKETS:
        raise ValueError(f"{len(packets)} packets do not fit into a frame")
    parts = [_HEAD.pack(FRAME_VERSION, len(packets))]
    for packet in packets:
        parts += (_PACKET.pack(packet.sequence, packet.timestamp, len(packet.payload)), packet.payload)
    frame = b"".join(parts)
    if len(frame) > MAX_FRAME_BYTES:
        raise ValueError(f"{len(frame)} bytes are too long for a frame")
    return frame


def unpack_frame(data: bytes) -> tuple[OpusPacket, ...]:
    """The packets of a frame.

    Raises:
        MessageRejected: another version, a length that does not fit, or no packet.
    """
    if len(data) < _HEAD.size or len(data) > MAX_FRAME_BYTES:
        raise MessageRejected("opus-frame", "length")
    version, count = _HEAD.unpack_from(data)
    if version != FRAME_VERSION:
        raise MessageRejected("opus-frame", "version")
    if count == 0:
        raise MessageRejected("opus-frame", "empty")
    packets = []
    at = _HEAD.size
    for _ in range(count):
        if len(data) < at + _PACKET.size:
            raise MessageRejected("opus-frame", "length")
        sequence, timestamp, size = _PACKET.unpack_from(data, at)
        at += _PACKET.size
        payload = data[at : at + size]
        if not 1 <= size <= MAX_OPUS_BYTES or len(payload) != size:
            raise MessageRejected("opus-frame", "length")
        packets.append(OpusPacket(sequence=sequence, timestamp=timestamp, payload=payload))
        at += size
    if at != len(data):
        raise MessageRejected("opus-frame", "length")
    return tuple(packets)


class OpusRing:
    """The last second of packets for a slow way. What falls out leaves a hole in the numbers."""

    def __init__(self) -> None:
        self._packets: deque[OpusPacket] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, packet: OpusPacket) -> int:
        """Keep a packet; gives how many older ones had to go."""
        self._packets.append(packet)
        before = self.dropped
        while len(self._packets) > RING_PACKETS or self._span() > RING_TICKS:
            self._packets.popleft()
            self.dropped += 1
        return self.dropped - before

    def take(self, limit: int = MAX_FRAME_PACKETS) -> tuple[OpusPacket, ...]:
        """The oldest, in order."""
        return tuple(self._packets.popleft() for _ in range(min(limit, len(self._packets))))

    def _span(self) -> int:
        # serial arithmetic: timestamps wrap; one that goes back is a sender that began anew
        span = (self._packets[-1].timestamp - self._packets[0].timestamp) & 0xFFFF_FFFF
        return span if len(self._packets) > 1 else 0
