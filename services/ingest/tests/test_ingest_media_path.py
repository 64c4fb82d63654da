"""From a datagram to the session: what is taken, what is counted, and that nothing is raised."""

import random
import struct
from collections import Counter

import pylibsrtp
import pytest
from aiortc.rtp import RtcpByePacket, RtcpRrPacket, RtcpSenderInfo, RtcpSrPacket

from fieldcoach.ingest.media_path import MAX_EARLY, MediaPath
from fieldcoach.ingest.rtp import MalformedRtp, RtpPacket, parse_rtp

KEY = bytes(range(30))


def srtp(direction: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(key=KEY, ssrc_type=direction)
    policy.window_size = 1024
    return pylibsrtp.Session(policy)


def rtp(sequence: int = 1, payload: bytes = b"\x48abc", payload_type: int = 111, first: int = 0x80) -> bytes:
    return struct.pack("!BBHLL", first, payload_type, sequence, 960 * sequence, 7) + payload


SENDER_REPORT = bytes(RtcpSrPacket(ssrc=7, sender_info=RtcpSenderInfo(0x1122334455667788, 0, 0, 0)))


class Scene:
    """A path, the phone's end of its SRTP, and what came through."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.seen: list[tuple[object, ...]] = []
        self.is_broken = False
        self.phone = srtp(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self.path = MediaPath(111, self, lambda reason: self.counts.update([reason]))

    def open(self) -> "Scene":
        self.path.open(srtp(pylibsrtp.Policy.SSRC_ANY_INBOUND))
        return self

    def on_rtp(self, ssrc: int, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        if self.is_broken:
            raise RuntimeError("broken")
        self.seen.append((ssrc, sequence, timestamp, payload))

    def on_sender_report(self, ssrc: int, ntp_timestamp: int, arrival: float) -> None:
        self.seen.append((ssrc, ntp_timestamp))

    def on_transport_lost(self) -> None:
        raise AssertionError("not by a datagram")


def test_media_reach_the_session_within_the_call() -> None:
    scene = Scene().open()
    assert scene.path.take(scene.phone.protect(rtp()))
    assert scene.path.take(scene.phone.protect_rtcp(SENDER_REPORT))
    assert scene.path.take(scene.phone.protect_rtcp(bytes(RtcpByePacket(sources=[7]))))
    assert scene.seen == [(7, 1, 960, b"\x48abc"), (7, 0x1122334455667788)]
    assert scene.counts == {"bye": 1}


def test_what_comes_before_the_key_waits_for_it_within_bounds() -> None:
    scene = Scene()
    for number in range(MAX_EARLY + 2):
        assert not scene.path.take(scene.phone.protect(rtp(number)))
    assert scene.counts == {"media-without-key": 2}
    scene.open()
    assert [packet[1] for packet in scene.seen] == list(range(2, MAX_EARLY + 2))
    scene.path.close()
    assert not scene.path.take(scene.phone.protect(rtp(100)))
    assert len(scene.seen) == MAX_EARLY


def test_only_the_phones_key_proves_the_phone() -> None:
    scene = Scene().open()
    datagram = scene.phone.protect(rtp())
    forged = datagram[:-1] + bytes([datagram[-1] ^ 1])
    assert not scene.path.take(forged)
    assert scene.path.take(datagram)
    assert not scene.path.take(datagram)
    assert not scene.path.take(b"\x80")
    assert not scene.path.take(bytes([0x80, 111]) + bytes(1_600))
    assert scene.path.take(scene.phone.protect(rtp(3_000)))
    assert not scene.path.take(srtp(pylibsrtp.Policy.SSRC_ANY_OUTBOUND).protect(rtp(2)))
    assert scene.counts == {
        "srtp-forged": 1,
        "srtp-replay": 1,
        "srtp-error": 1,
        "media-too-long": 1,
        "srtp-too-old": 1,
    }
    assert len(scene.seen) == 2


def test_what_the_phone_sends_wrong_is_counted() -> None:
    scene = Scene().open()
    protect = scene.phone.protect
    assert scene.path.take(protect(rtp(payload_type=63)))
    assert scene.path.take(protect(rtp(2, b"\xff", first=0xA0)))
    assert scene.path.take(scene.phone.protect_rtcp(SENDER_REPORT[:2] + b"\xff\xff" + SENDER_REPORT[4:]))
    scene.is_broken = True
    assert scene.path.take(protect(rtp(3)))
    assert scene.seen == []
    assert scene.counts == {"rtp-other-payload": 1, "rtp-padding": 1, "rtcp-malformed": 1, "media-handler": 1}


def test_sources_extensions_and_padding_are_not_payload() -> None:
    sources = struct.pack("!LL", 1, 2)
    extension = struct.pack("!HHL", 0xBEDE, 1, 0)
    data = rtp(5, sources + extension + b"abc" + b"\0\0\3", first=0x80 | 0x20 | 0x10 | 2)
    assert parse_rtp(data) == RtpPacket(111, 5, 4_800, 7, b"abc")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80" * 11, "short"),
        (rtp(first=0x40), "version"),
        (rtp(first=0x8F), "csrc"),
        (rtp(payload=b"abc", first=0x90), "extension"),
        (rtp(payload=b"\xbe\xde\0\5abcd", first=0x90), "extension"),
        (rtp(payload=b"ab\0", first=0xA0), "padding"),
        (rtp(payload=b"ab\4", first=0xA0), "padding"),
    ],
)
def test_a_header_that_contradicts_itself_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedRtp) as malformed:
        parse_rtp(data)
    assert malformed.value.reason == reason


def mutated(draw: random.Random, data: bytes) -> bytes:
    mutant = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        match draw.randrange(4):
            case 0 if mutant:
                mutant[draw.randrange(len(mutant))] = draw.randrange(256)
            case 1:
                del mutant[draw.randrange(len(mutant) + 1) :]
            case 2:
                mutant += draw.randbytes(draw.randrange(40))
            case _ if mutant:
                mutant[draw.randrange(min(4, len(mutant)))] = draw.randrange(256)
    return bytes(mutant)


def test_mutated_datagrams_raise_nothing_and_each_is_accounted_for() -> None:
    """Of a stranger, who has no key, and of the phone itself, behind the key."""
    draw = random.Random(11)
    scene, taken = Scene().open(), 0
    for number in range(3_000):
        plain = draw.choice([rtp(number), SENDER_REPORT, bytes(RtcpByePacket(sources=[7]))])
        before = scene.counts.total() + len(scene.seen)
        if number % 2:
            taken += scene.path.take(mutated(draw, scene.phone.protect(rtp(number))))
            assert scene.counts.total() + len(scene.seen) == before + 1
        else:
            scene.path._take_rtp(mutated(draw, rtp(number)), 0.0)
            assert scene.counts.total() + len(scene.seen) == before + 1
            scene.path._take_rtcp(mutated(draw, plain), 0.0)
    assert taken < 30  # a mutation of nothing
    assert {"srtp-forged", "rtp-version", "rtp-other-payload", "rtcp-malformed"} <= set(scene.counts)
    assert "media-handler" not in scene.counts


def test_other_reports_are_read_over() -> None:
    scene = Scene().open()
    assert scene.path.take(scene.phone.protect_rtcp(bytes(RtcpRrPacket(ssrc=7, reports=[]))))
    assert not scene.counts
