import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.common.audio import Flag, PcmChunk, unpack_chunk
from fieldcoach.common.errors import MessageRejected
from fieldcoach.common.ids import new_id

SESSION = "s" * 26


def fields(**changed: object) -> list[object]:
    whole: dict[str, object] = {
        "version": 1,
        "session": SESSION,
        "epoch": 1,
        "seq": 7,
        "sample_index": 960,
        "n_samples": 4,
        "flags": 0,
        "pcm": b"\0" * 8,
    }
    return list((whole | changed).values())


@pytest.mark.parametrize("flags", [Flag.OK, Flag.FEC, Flag.NACK | Flag.BACKFILL, Flag.DTX])
def test_a_chunk_survives_the_bus(flags: Flag) -> None:
    chunk = PcmChunk(new_id(), 3, 12, 960 * 12, 960, flags, b"\1\2" * 960)
    assert unpack_chunk(chunk.encode()) == chunk
    assert chunk.end_sample == 960 * 13


def test_a_gap_has_a_length_and_no_audio() -> None:
    gap = PcmChunk(SESSION, 1, 2, 0, 16_000 * 84, Flag.GAP, b"")
    assert unpack_chunk(gap.encode()) == gap


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": 2}, "version"),
        ({"epoch": -1}, "number"),
        ({"seq": "7"}, "number"),
        ({"sample_index": 1 << 63}, "number"),
        ({"flags": True}, "number"),
        ({"flags": 256}, "type"),
        ({"pcm": "text"}, "type"),
        ({"pcm": b"\0" * 7}, "length"),
        ({"n_samples": 5}, "length"),
        ({"flags": 32}, "length"),
        ({"n_samples": 1921, "pcm": b"\0" * 3842}, "length"),
        ({"session": "a.b"}, "session"),
        ({"session": None}, "session"),
    ],
)
def test_a_wrong_field_is_named(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageRejected) as caught:
        unpack_chunk(msgpack.packb(fields(**changed)))
    assert caught.value.reason == reason


def test_another_shape_and_a_megabyte_are_refused() -> None:
    for data, reason in [
        (msgpack.packb([1, 2]), "shape"),
        (msgpack.packb({"v": 1}), "shape"),
        (b"\xc1", "not-msgpack"),
        (b"\0" * 1_000_000, "too-long"),
    ]:
        with pytest.raises(MessageRejected) as caught:
            unpack_chunk(data)
        assert caught.value.reason == reason


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(MessageRejected):
        unpack_chunk(data)


@given(st.data())
def test_a_truncated_chunk_is_rejected(data: st.DataObject) -> None:
    whole = PcmChunk(SESSION, 1, 2, 3, 100, Flag.OK, b"\5\6" * 100).encode()
    with pytest.raises(MessageRejected):
        unpack_chunk(whole[: data.draw(st.integers(0, len(whole) - 1))])
