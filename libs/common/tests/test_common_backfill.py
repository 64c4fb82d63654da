"""Records of an upload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.common.backfill import MAX_PACKET_BYTES, Record, pack_record, parse_records, pieces
from fieldcoach.common.errors import MessageRejected

RECORDS = st.lists(
    st.builds(Record, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=200)),
    max_size=30,
)


@given(RECORDS)
def test_pieces_hold_all_records_whole(records: list[Record]) -> None:
    cut = pieces(records, 512)
    assert all(len(piece) <= 512 for piece in cut)
    assert [record for piece in cut for record in parse_records(piece)] == records


@given(st.binary(max_size=400))
def test_any_bytes_are_records_or_refused(data: bytes) -> None:
    try:
        records = parse_records(data)
    except MessageRejected:
        return
    assert b"".join(map(pack_record, records)) == data


def test_what_is_no_record() -> None:
    whole = pack_record(Record(1, 2, b"abc"))
    for data in (whole[:5], whole[:-1], whole + b"x"):
        with pytest.raises(MessageRejected, match="cut-off"):
            parse_records(data)
    with pytest.raises(MessageRejected, match="too-long"):
        parse_records(pack_record(Record(1, 2, bytes(MAX_PACKET_BYTES + 1))))
