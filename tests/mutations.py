"""Seeded mutations of what anybody may send to an ingest: SDP, RTP, RTCP, STUN, DTLS and SCTP."""

import random
import struct
from collections.abc import Callable, Sequence

from aioice import stun
from aiortc.rtcsctptransport import (
    AbortChunk,
    CookieEchoChunk,
    DataChunk,
    InitChunk,
    SackChunk,
    serialize_packet,
)
from aiortc.rtp import (
    RtcpByePacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

HUGE = (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\xff\xff\0\0")
NUMBERS = ("-1", "0", "65536", "4294967296", "9" * 40, "1e999", "0x1", "\u0663", "")
LENGTH_AT = {"rtp": 14, "rtcp": 2, "stun": 2, "dtls": 11, "sctp": 14}
"""Where a length stands: of RTP's header extension, RTCP packet, STUN message, DTLS record, SCTP chunk."""


class Mutator:
    """The same seed, the same mutants."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self._ways: list[Callable[[bytearray, Sequence[bytes], int], bytes]] = [
            self._flip,
            self._cut,
            self._lengthen,
            self._length,
            self._splice,
            self._repeat,
            self._version,
            self._huge,
        ]

    def datagram(self, kind: str, samples: Sequence[bytes]) -> bytes:
        """One of the samples after one to three mutations."""
        data = self.draw.choice(samples)
        for _ in range(self.draw.randint(1, 3)):
            way = self.draw.choice(self._ways)
            data = way(bytearray(data), samples, LENGTH_AT[kind]) if data else data
        return data[:1_400]

    def _flip(self, data: bytearray, _samples: Sequence[bytes], _at: int) -> bytes:
        for _ in range(self.draw.choice((1, 1, 2, 8, 64))):
            data[self.draw.randrange(len(data))] ^= 1 << self.draw.randrange(8)
        return bytes(data)

    def _cut(self, data: bytearray, _samples: Sequence[bytes], _at: int) -> bytes:
        return bytes(data[: self.draw.randrange(len(data))])

    def _lengthen(self, data: bytearray, _samples: Sequence[bytes], _at: int) -> bytes:
        return bytes(data) + self.draw.randbytes(self.draw.choice((1, 3, 4, 40, 1_000)))

    def _length(self, data: bytearray, _samples: Sequence[bytes], at: int) -> bytes:
        told = self.draw.choice((0, 1, 3, len(data) - 1, len(data) + 1, 0x7FFF, 0xFFFF))
        data[at : at + 2] = struct.pack("!H", max(0, told) & 0xFFFF)
        return bytes(data)

    def _splice(self, data: bytearray, samples: Sequence[bytes], _at: int) -> bytes:
        other = self.draw.choice(samples)
        return bytes(data[: self.draw.randrange(len(data))]) + other[self.draw.randrange(len(other) + 1) :]

    def _repeat(self, data: bytearray, _samples: Sequence[bytes], _at: int) -> bytes:
        """A stretch again and again, on a boundary of four as attributes and chunks are."""
        begin = self.draw.randrange(len(data)) & ~3
        piece = bytes(data[begin : begin + self.draw.choice((4, 8, 12, 24))])
        return bytes(data[:begin]) + piece * self.draw.choice((2, 3, 50)) + bytes(data[begin:])

    def _version(self, data: bytearray, _samples: Sequence[bytes], _at: int) -> bytes:
        at = self.draw.choice((0, 0, 1, 4)) % len(data)
        data[at] = self.draw.randrange(256)
        return bytes(data)

    def _huge(self, data: bytearray, _samples: Sequence[bytes], _at: int) -> bytes:
        at = self.draw.randrange(len(data)) & ~3
        data[at : at + 4] = self.draw.choice(HUGE)
        return bytes(data)

    def text(self, samples: Sequence[str]) -> str:
        """An SDP after one to four mutations of its lines."""
        lines = self.draw.choice(samples).split("\r\n")
        for _ in range(self.draw.randint(1, 4)):
            at = self.draw.randrange(len(lines))
            line = lines[at]
            match self.draw.randrange(10):
                case 0:
                    lines.pop(at)
                case 1:
                    lines[at:at] = [line] * self.draw.choice((1, 2, 40))
                case 2:
                    other = self.draw.randrange(len(lines))
                    lines[at], lines[other] = lines[other], line
                case 3:
                    lines[at] = line[: self.draw.randrange(len(line) + 1)]
                case 4:
                    lines = lines[:at]
                case 5:
                    lines[at] = self._with_number(line)
                case 6:
                    lines[at] = line + self.draw.choice(
                        (" ", "\0", "\n", ":", "\u2028", "é" * 300, " -1 -1 -1")
                    )
                case 7:
                    donor = self.draw.choice(samples).split("\r\n")
                    lines[at:] = donor[self.draw.randrange(len(donor)) :]
                case 8:
                    where = self.draw.randrange(len(line) + 1)
                    lines[at] = line[:where] + chr(self.draw.randrange(1, 0x250)) + line[where + 1 :]
                case _:
                    lines[at] = self.draw.choice(
                        ("v=1", "m=audio", "a=", "=", "m=application 9 DTLS/SCTP 5000")
                    )
            if not lines:
                return ""
        return "\r\n".join(lines)

    def _with_number(self, line: str) -> str:
        words = line.replace(":", " : ").split(" ")
        numbers = [index for index, word in enumerate(words) if any(c.isdigit() for c in word)]
        if numbers:
            words[self.draw.choice(numbers)] = self.draw.choice(NUMBERS)
        return " ".join(words).replace(" : ", ":")


def rtp_samples(payload_type: int, ssrc: int, payloads: Sequence[bytes]) -> list[bytes]:
    """Plain packets; some with padding, contributing sources and header extensions."""
    found = []
    for number, payload in enumerate(payloads):
        first, extra, tail = 0x80, b"", b""
        if number % 4 == 1:
            first |= 0x10
            extra = struct.pack("!HHL", 0xBEDE, 1, 0x10AA_0000)
        elif number % 4 == 2:
            first |= 0x02
            extra = struct.pack("!LL", 1, 2)
        elif number % 4 == 3:
            first |= 0x20
            tail = b"\0\0\0\4"
        head = struct.pack("!BBHLL", first, payload_type, number & 0xFFFF, 2_880 * number, ssrc)
        found.append(head + extra + payload + tail)
    return found


def rtcp_samples(ssrc: int) -> list[bytes]:
    """Reports, a source description, a goodbye, NACK and what nobody has asked for."""
    info = RtcpReceiverInfo(
        ssrc=ssrc, fraction_lost=1, packets_lost=2, highest_sequence=3, jitter=4, lsr=5, dlsr=6
    )
    sender = bytes(RtcpSrPacket(ssrc=ssrc, sender_info=RtcpSenderInfo(1 << 40, 960, 1, 60), reports=[info]))
    name = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=ssrc, items=[(1, b"phone")])])
    nack = RtcpRtpfbPacket(fmt=1, ssrc=ssrc, media_ssrc=ssrc, lost=[1, 2, 30])
    return [
        sender,
        sender + bytes(name),
        bytes(RtcpRrPacket(ssrc=ssrc, reports=[info, info])),
        bytes(RtcpByePacket(sources=[ssrc])),
        bytes(nack),
        struct.pack("!BBHLL", 0x81, 204, 2, ssrc, 7),
    ]


def stun_samples(username: str, password: str) -> list[bytes]:
    """Checks as ICE makes them, and messages that have no place there."""
    found = []
    for number, kind in enumerate(
        (stun.Class.REQUEST, stun.Class.REQUEST, stun.Class.INDICATION, stun.Class.RESPONSE, stun.Class.ERROR)
    ):
        message = stun.Message(stun.Method.BINDING, kind)
        message.attributes["USERNAME"] = username
        message.attributes["PRIORITY"] = 0x7FFFFFFF
        message.attributes["ICE-CONTROLLING"] = 1 << 63
        if number == 1:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(password.encode())
        message.add_fingerprint()
        found.append(bytes(message))
    found.append(bytes(stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST)))
    found.append(bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)))
    return found


def signed_stun(mutator: Mutator, username: str, password: str) -> bytes:
    """A check of somebody who has the credentials: its integrity is right, its attributes are nonsense."""
    draw = mutator.draw
    head = struct.pack("!HHL", 0x0001, 0, 0x2112A442) + draw.randbytes(12)
    body = bytearray()
    user = username.encode()
    attributes = [(0x0006, user), (0x0024, b"\x7f\0\0\1"), (0x802A, bytes(8)), (0x0025, b"")]
    attributes += [
        (draw.choice((0x0020, 0x8022, 0x0009, 0x8029, 0x0012)), draw.randbytes(draw.randrange(24)))
    ]
    draw.shuffle(attributes)
    for kind, value in attributes[draw.randrange(3) :] + attributes[: draw.randrange(3)]:
        if draw.random() < 0.1:
            value = value + bytes(draw.randrange(8))
        body += struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)
    data = head + bytes(body)
    digest = stun.message_integrity(data, password.encode())
    data += struct.pack("!HH", 0x0008, 20) + digest
    return data[:2] + struct.pack("!H", len(data) - 20) + data[4:]


def dtls_samples() -> list[bytes]:
    """Records as on the wire: client hello, alert, cipher change, application data, a later epoch."""
    hello = b"\x01" + bytes((0, 0, 60)) + bytes(2) + bytes(3) + bytes((0, 0, 60)) + b"\xfe\xfd" + bytes(58)

    def record(kind: int, epoch: int, number: int, body: bytes) -> bytes:
        return struct.pack("!BHHHLH", kind, 0xFEFD, epoch, 0, number, len(body)) + body

    return [
        record(22, 0, 0, hello),
        record(21, 0, 1, b"\x02\x28"),
        record(21, 0, 1, b"\x01\x00"),
        record(20, 0, 2, b"\x01"),
        record(23, 1, 5, bytes(80)),
        record(22, 1, 1, bytes(40)),
        record(24, 0, 3, b"\x01\x40\x00" + bytes(16)),
    ]


def sctp_samples() -> list[bytes]:
    """Packets of a data channel, ports and checksums in place."""
    begin = InitChunk()
    begin.initiate_tag, begin.advertised_rwnd = 7, 131_072
    begin.outbound_streams = begin.inbound_streams = 65_535
    data = DataChunk()
    data.tsn, data.stream_id, data.stream_seq, data.protocol = 1, 0, 0, 50
    data.user_data = b"\x03\0\0\0\0\0\0\0\0\4\0\0chat"
    sack = SackChunk()
    sack.cumulative_tsn, sack.advertised_rwnd, sack.gaps = 1, 0, [(2, 65_000)]
    chunks = (begin, data, sack, CookieEchoChunk(body=b"cookie" * 20), AbortChunk())
    return [serialize_packet(5_000, 5_000, 7, chunk) for chunk in chunks]
