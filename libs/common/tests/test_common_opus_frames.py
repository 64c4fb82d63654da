"""The frame of Opus outside of RTP, and the ring in front of a slow way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.common.errors import MessageRejected
from fieldcoach.common.messages import OpusPacket
from fieldcoach.common.opus_frames import (
    MAX_FRAME_BYTES,
    RING_PACKETS,
    RING_TICKS,
    OpusRing,
    pack_frame,
    unpack_frame,
)

PACKETS = st.builds(
    OpusPacket,
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFF_FFFF),
    payload=st.binary(min_size=1, max_size=200),
)


def packet(number: int, ticks: int = 960, size: int = 1) -> OpusPacket:
    return OpusPacket(
        sequence=number & 0xFFFF, timestamp=number * ticks & 0xFFFF_FFFF, payload=b"\x48" * size
    )


@given(st.lists(PACKETS, min_size=1, max_size=255))
def test_what_is_packed_is_read(packets: list[OpusPacket]) -> None:
    assert unpack_frame(pack_frame(packets)) == tuple(packets)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_frame_or_rejected(data: bytes) -> None:
    try:
        packets = unpack_frame(data)
    except MessageRejected:
        return
    assert pack_frame(packets) == data


@given(st.lists(PACKETS, min_size=1, max_size=5), st.data())
def test_no_frame_is_read_that_was_cut_or_lengthened(packets: list[OpusPacket], data: st.DataObject) -> None:
    frame = pack_frame(packets)
    cut = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(MessageRejected, match="length"):
        unpack_frame(frame[:cut])
    with pytest.raises(MessageRejected, match="length"):
        unpack_frame(frame + b"x")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\2\1" + bytes(9), "version"),
        (b"\1\0", "empty"),
        (b"\1\1" + bytes(8), "length"),
        (b"\1\1" + b"\0\0\0\0\0\0\x05\x00" + bytes(0x500), "length"),
        (bytes(MAX_FRAME_BYTES + 1), "length"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, why: str) -> None:
    with pytest.raises(MessageRejected, match=why):
        unpack_frame(data)


@pytest.mark.parametrize("packets", [[], [packet(0)] * 256, [packet(0, size=1_275)] * 60])
def test_what_does_not_fit_is_not_packed(packets: list[OpusPacket]) -> None:
    with pytest.raises(ValueError, match="frame"):
        pack_frame(packets)


@pytest.mark.parametrize("begin", [0, 0xFFFF_FFFF // 960 - 20])
def test_the_ring_keeps_the_last_second(begin: int) -> None:
    ring = OpusRing()
    dropped = sum(ring.put(packet(begin + number)) for number in range(100))
    kept = ring.take()
    assert len(kept) == RING_TICKS // 960 + 1
    assert dropped == ring.dropped == 100 - len(kept)
    assert kept[-1] == packet(begin + 99)
    assert len(ring) == 0


def test_the_ring_is_bounded_for_any_timestamps() -> None:
    ring = OpusRing()
    for _ in range(200):
        ring.put(packet(7))
    assert len(ring) == RING_PACKETS
    assert len(ring.take(3)) == 3
    ring.put(packet(0))  # a sender that began anew: what was before it is of no use
    assert len(ring) == 1
