"""Missing ranges: what is asked for, what comes, and when it is given up; their decoding."""

from collections import Counter
from itertools import pairwise

import numpy as np

from fieldcoach.common.backfill import Record
from fieldcoach.common.opus import OpusEncoder
from fieldcoach.ingest.backfill import decode_range
from fieldcoach.ingest.missing import (
    LONGEST,
    MARGIN,
    MAX_RANGE_BYTES,
    MAX_RANGES,
    RETRY_S,
    Anchor,
    MissingRanges,
    missing_list,
)

S = 16_000
ANCHOR = Anchor(7, 4_294_960_000, 20 * S)


def make() -> tuple[MissingRanges, Counter[str]]:
    counts: Counter[str] = Counter()
    return MissingRanges(lambda reason: counts.update([reason])), counts


def asked(first_s: float = 10, end_s: float = 15) -> tuple[MissingRanges, Counter[str]]:
    missing, counts = make()
    missing.add(int(first_s * S), int(end_s * S), "suspended", 0.0)
    assert missing.poll(2.0, 21 * S, ANCHOR)
    return missing, counts


def test_a_hole_is_asked_for_when_it_has_settled_and_a_stream_is_there() -> None:
    missing, _ = make()
    missing.add(10 * S, 10 * S + 1_920, "lost", 0.0)  # 120 ms: concealed
    missing.add(10 * S, 12 * S, "paused", 0.0)
    assert missing.poll(5.0, 20 * S, ANCHOR) is None
    missing.add(10 * S, 13 * S, "suspended", 5.0)
    missing.add(13 * S, 15 * S, "suspended", 5.5)  # its continuation
    missing.add(18 * S, 19 * S, "lost", 6.4)
    assert missing.poll(6.2, 20 * S, ANCHOR) is None
    assert missing.poll(6.6, 20 * S, None) is None
    ranges = missing.poll(6.6, 20 * S, ANCHOR)
    assert ranges is not None
    assert [(one.first, one.end) for one in ranges] == [(10 * S, 15 * S)]
    told = missing_list("s" * 26, 3, ranges).ranges[0]
    assert (told.ssrc, told.first_timestamp) == (7, (4_294_960_000 - 10 * 48_000) % 2**32)
    assert told.last_timestamp == (told.first_timestamp + 5 * 48_000) % 2**32
    assert missing.poll(6.7, 20 * S, ANCHOR) is None
    assert len(missing.poll(9.0, 20 * S, ANCHOR) or ()) == 2


def test_a_timestamp_beyond_the_wrap_has_its_place() -> None:
    missing, _ = asked()
    late = missing.ranges[0]
    assert late.sample_of(ANCHOR.timestamp) == 20 * S
    assert late.sample_of((ANCHOR.timestamp + 48_000) % 2**32) == 21 * S


def test_a_long_hole_is_asked_for_in_parts_and_old_ones_are_taken_back() -> None:
    missing, counts = make()
    missing.add(0, 4 * LONGEST - 8, "suspended", 0.0)
    ranges = missing.poll(2.0, 4 * LONGEST, ANCHOR)
    assert ranges is not None
    assert len(ranges) == 4
    assert all(one.end == following.first for one, following in pairwise(ranges))
    assert missing.poll(3.0, 305 * S, ANCHOR) is None
    assert len(missing.poll(4.0, 316 * S, ANCHOR) or ()) == 3
    assert counts["too-old"] == 1
    missing.add(0, S, "lost", 5.0)
    assert missing.poll(7.0, 316 * S, ANCHOR) is None


def test_holes_that_wait_close_to_each_other_are_one_range() -> None:
    missing, counts = make()

    def ask(first: int, end: int, now: float) -> list[tuple[int, int, int]]:
        missing.add(first, end, "lost", now)
        assert missing.poll(now + 2, 21 * S, ANCHOR) is not None
        return [(one.number, one.first // S, one.end // S) for one in missing.ranges]

    assert ask(2 * S, 3 * S, 0) == [(1, 2, 3)]
    assert ask(4 * S, 5 * S, 3) == [(2, 2, 5)]
    assert counts["joined"] == 1
    one = missing.ranges[0]
    missing.receive(Record(one.number, one.first_timestamp, b"x"))
    assert ask(6 * S, 7 * S, 6) == [(2, 2, 5), (3, 6, 7)], "the phone has begun with the one before"
    assert ask(7 * S + MARGIN, 10 * S, 9)[1:] == [(3, 6, 7), (4, 8, 10)], "too far"
    assert ask(11 * S, 24 * S, 12)[2:] == [(4, 8, 10), (5, 11, 24)], "together too long"
    assert ask(9 * S, 10 * S, 15)[3:] == [(5, 11, 24), (6, 9, 10)], "not behind it"


def test_memory_is_bounded() -> None:
    missing, counts = make()
    for number in range(MAX_RANGES + 2):
        missing.add(number * 3 * S, number * 3 * S + S, "lost", 0.0)
    assert len(missing.poll(2.0, 0, ANCHOR) or ()) == MAX_RANGES
    assert counts["dropped"] == 2
    one = missing.ranges[0]
    missing.receive(Record(one.number, one.first_timestamp, bytes(MAX_RANGE_BYTES)))
    missing.receive(Record(one.number, one.first_timestamp + 960, b"x"))
    assert counts["too-much"] == 1


def test_from_upload_to_words() -> None:
    missing, counts = asked()
    one = missing.ranges[0]
    missing.receive(Record(99, 0, b"x"))
    missing.receive(Record(one.number, (one.last_timestamp + 48_000 * 3) % 2**32, b"x"))
    assert (counts["unknown-range"], counts["stray"]) == (1, 1)
    for _ in range(2):
        missing.receive(Record(one.number, one.first_timestamp, b"x"))
    assert missing.take_ready(3.0) is None
    missing.receive(Record(one.number, one.last_timestamp, b""))
    assert missing.take_ready(3.0) is one
    missing.failed(one, 3.0)
    assert missing.take_ready(3.1) is None
    assert missing.take_ready(3.0 + RETRY_S) is one
    missing.filled(one)
    missing.filled(one)
    assert missing.poll(6.0, 21 * S, ANCHOR) == ()
    assert counts["filled"] == 1


def test_what_fails_again_and_again_is_given_up() -> None:
    missing, counts = asked()
    one = missing.ranges[0]
    missing.receive(Record(one.number, one.first_timestamp, b"x"))
    missing.receive(Record(one.number, one.last_timestamp, b""))
    for at in (10.0, 20.0, 30.0):
        assert missing.take_ready(at) is one
        missing.failed(one, at)
    assert missing.ranges == ()
    assert counts["failed"] == 1


def test_nothing_to_send_and_the_end() -> None:
    missing, counts = asked()
    missing.receive(Record(missing.ranges[0].number, 0, b""))
    assert missing.poll(3.0, 21 * S, ANCHOR) == ()
    assert counts["empty"] == 1
    missing, counts = asked()
    one = missing.ranges[0]
    missing.receive(Record(one.number, one.first_timestamp, b"x"))
    missing.receive(Record(one.number, one.last_timestamp, b""))
    missing.add(18 * S, 19 * S, "lost", 3.0)
    missing.end()
    assert missing.take_ready(9.0) is None
    assert one.packets == {}
    assert missing.poll(9.0, 21 * S, ANCHOR) is None
    assert counts["ended"] == 1


def test_a_range_is_decoded_to_its_place() -> None:
    missing, counts = asked(10, 11)
    one = missing.ranges[0]
    encoder = OpusEncoder(16_000, bitrate=24_000, frame_ms=20)
    tone = (8_000 * np.sin(np.arange(8 * S) * 2 * np.pi * 440 / S)).astype("<i2")
    begin = one.first - 2 * MARGIN + 100
    for at in range(0, 8 * S, 320):
        place = begin + at
        timestamp = (one.first_timestamp + (place - one.first) * 3) % 2**32
        missing.receive(Record(one.number, timestamp, encoder.encode(tone[at : at + 320].tobytes())))
    missing.receive(Record(one.number, (one.first_timestamp + 48) % 2**32, b"\xff\xff"))
    missing.receive(Record(one.number, one.last_timestamp, b""))
    late = missing.take_ready(3.0)
    assert late is not None
    stretch = decode_range(late, lambda reason: counts.update([reason]))
    assert counts["undecodable"] == 1
    assert stretch.first_sample == one.first - MARGIN
    assert one.end - one.first <= len(stretch.pcm) // 2 <= one.end - one.first + 2 * MARGIN
    sound = np.frombuffer(stretch.pcm, "<i2").astype(float)
    assert sound[: len(sound) - 320].std() > 4_000
