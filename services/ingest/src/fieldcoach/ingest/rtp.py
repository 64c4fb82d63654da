"""The RTP header (RFC 3550 section 5.1), as far as audio needs it: 1 µs a packet."""

import struct
from typing import Final, NamedTuple

HEADER: Final = 12
_FIXED: Final = struct.Struct("!BBHLL").unpack_from
_EXTENSION: Final = struct.Struct("!HH").unpack_from


class RtpPacket(NamedTuple):
    """One packet. `payload` is without padding."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


class MalformedRtp(ValueError):
    """`reason` names what is wrong: short, version, csrc, extension or padding."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_rtp(data: bytes) -> RtpPacket:
    """`read_rtp` with names.

    Raises:
        MalformedRtp: it contradicts itself.
    """
    return RtpPacket(*read_rtp(data))


def read_rtp(data: bytes) -> tuple[int, int, int, int, bytes]:
    """Payload type, sequence, timestamp, SSRC, payload; header extensions and sources are skipped.

    Raises:
        MalformedRtp: it contradicts itself.
    """
    size = len(data)
    if size < HEADER:
        raise MalformedRtp("short")
    first, second, sequence, timestamp, ssrc = _FIXED(data)
    if first >> 6 != 2:
        raise MalformedRtp("version")
    start, end = HEADER, size
    if first & 0x3F:  # padding, extension or contributing sources: seldom all, often one of them
        start += 4 * (first & 0x0F)
        if start > size:
            raise MalformedRtp("csrc")
        if first & 0x10:
            if start + 4 > size:
                raise MalformedRtp("extension")
            start += 4 + 4 * _EXTENSION(data, start)[1]
            if start > size:
                raise MalformedRtp("extension")
        if first & 0x20:
            padding = data[-1]
            if not 0 < padding <= size - start:
                raise MalformedRtp("padding")
            end -= padding
    return second & 0x7F, sequence, timestamp, ssrc, data[start:end]
