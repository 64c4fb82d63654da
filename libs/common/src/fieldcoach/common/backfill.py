"""Opus packets that a phone uploads afterwards: the body of `POST …/backfill`, and of its pieces on the bus.

Records one after the other, each `range` (u32), `timestamp` (u32), `length` (u16), all big endian, and
`length` bytes of one Opus packet. The timestamp is on the clock that the range was asked by. A record of
length 0 says that the phone has sent all it has of that range.
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from .errors import MessageRejected

MAX_UPLOAD_BYTES: Final = 256 * 1024
"""Of one call: two and a half minutes at 12 kbit/s."""
MAX_PIECE_BYTES: Final = 48 * 1024
"""Of one message on the bus: no audio of others waits long behind it."""
MAX_PACKET_BYTES: Final = 1_500
"""libopus makes 1,275 bytes of a frame; the ladder's longest packet has 360."""
_HEADER: Final = struct.Struct(">IIH")


class Record(NamedTuple):
    """One packet of a range; without a payload the range's end."""

    range: int
    timestamp: int
    payload: bytes


def pack_record(record: Record) -> bytes:
    """One record."""
    return _HEADER.pack(record.range, record.timestamp & 0xFFFFFFFF, len(record.payload)) + record.payload


def parse_records(data: bytes) -> list[Record]:
    """All records.

    Raises:
        MessageRejected: they don't end where the data end, or a packet is too long.
    """
    records: list[Record] = []
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise MessageRejected("backfill", "cut-off")
        number, timestamp, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if length > MAX_PACKET_BYTES:
            raise MessageRejected("backfill", "too-long")
        if at + length > len(data):
            raise MessageRejected("backfill", "cut-off")
        records.append(Record(number, timestamp, data[at : at + length]))
        at += length
    return records


def pieces(records: Iterable[Record], max_bytes: int) -> list[bytes]:
    """The records packed, in pieces of at most `max_bytes`."""
    found: list[bytearray] = []
    for record in records:
        packed = pack_record(record)
        if not found or len(found[-1]) + len(packed) > max_bytes:
            found.append(bytearray())
        found[-1] += packed
    return [bytes(piece) for piece in found]
