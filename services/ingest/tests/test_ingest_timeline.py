"""The session's clock and its chunks."""

from itertools import pairwise

import pytest

from fieldcoach.common.audio import CHUNK_SAMPLES, SAMPLE_RATE, Flag
from fieldcoach.ingest.delay import BUCKET_S, BUCKETS, TransitEstimator, WindowedMinimum
from fieldcoach.ingest.timeline import MAX_SILENCE, Chunk, Timeline

TICKS = 3


def tone(n_samples: int, value: int = 1) -> bytes:
    return value.to_bytes(2, "little") * n_samples


def started(at: float = 10.0) -> Timeline:
    timeline = Timeline()
    timeline.audio(48_000, tone(320), Flag.OK, at)
    return timeline


def assert_contiguous(chunks: list[Chunk]) -> None:
    for before, after in pairwise(chunks):
        assert after.sample_index == before.sample_index + before.n_samples


def test_three_packets_of_20_ms_are_a_chunk() -> None:
    timeline = started()
    assert timeline.drain() == []
    timeline.audio(48_960, tone(320), Flag.OK, 10.02)
    timeline.audio(49_920, tone(320), Flag.OK, 10.04)
    (chunk,) = timeline.drain()
    assert (chunk.sample_index, chunk.n_samples, chunk.flags) == (0, CHUNK_SAMPLES, Flag.OK)
    assert chunk.pcm == tone(960)
    assert chunk.arrivals == ((320, 10.0), (640, 10.02), (960, 10.04))
    assert timeline.drain() == []


@pytest.mark.parametrize(
    ("ms", "sizes"), [(40, [640, 640]), (60, [960, 960]), (120, [960] * 4), (100, [960, 640] * 2)]
)
def test_no_packet_waits_for_one_that_would_not_fit(ms: int, sizes: list[int]) -> None:
    timeline = Timeline()
    for number in range(2):
        timeline.audio(number * ms * 48, tone(ms * 16), Flag.OK, number * ms / 1e3)
    assert [chunk.n_samples for chunk in timeline.drain()] == sizes


def test_a_change_of_flags_cuts() -> None:
    timeline = started()
    timeline.audio(48_960, tone(320, 2), Flag.FEC, 10.02)
    (chunk,) = timeline.drain()
    assert (chunk.n_samples, chunk.flags) == (320, Flag.OK)
    timeline.cut()
    (chunk,) = timeline.drain()
    assert (chunk.n_samples, chunk.flags) == (320, Flag.FEC)


def test_a_partial_chunk_goes_after_60_ms() -> None:
    timeline = started()
    assert timeline.next_due == pytest.approx(10.06)
    timeline.poll(10.05)
    assert timeline.drain() == []
    timeline.poll(10.06)
    assert [chunk.n_samples for chunk in timeline.drain()] == [320]
    assert timeline.next_due is None


def test_silence_fills_up_to_its_place_and_long_silence_is_no_pcm() -> None:
    timeline = started()
    timeline.silence(48_000 + TICKS * (320 + 960), 10.1)
    chunks = timeline.drain()
    assert [(c.n_samples, c.flags) for c in chunks] == [(320, Flag.OK), (960, Flag.DTX)]
    assert chunks[1].pcm == bytes(1_920)
    timeline.silence(48_000, 10.2)
    assert timeline.drain() == []
    timeline.silence(48_000 + TICKS * (1_280 + MAX_SILENCE + 500), 15)
    chunks = timeline.drain()
    assert chunks[-1] == Chunk(1_280 + MAX_SILENCE, 500, Flag.GAP | Flag.DTX, b"")
    assert timeline.drain_holes() == []


def test_sound_inside_told_silence_goes_behind_it_and_the_next_silence_is_shorter() -> None:
    timeline = started()
    timeline.silence(48_000 + TICKS * (320 + 960), 10.1)
    timeline.audio(48_000 + TICKS * 640, tone(320, 5), Flag.OK, 10.1)
    assert timeline.end == 1_280 + 320
    timeline.silence(48_000 + TICKS * (960 + 1_600), 10.3)
    assert timeline.end == 2_560
    timeline.cut()
    chunks = timeline.drain()
    assert_contiguous(chunks)
    assert sum(chunk.n_samples for chunk in chunks) == 2_560
    assert b"".join(chunk.pcm for chunk in chunks).count(tone(1, 5)) == 320


def test_an_odd_timestamp_is_rounded_without_a_hole() -> None:
    timeline = started()
    timeline.audio(48_000 + TICKS * 322 + 1, tone(320), Flag.OK, 10.02)
    timeline.cut()
    chunks = timeline.drain()
    assert_contiguous(chunks)
    assert timeline.end == 642


def test_a_loss_is_a_gap_with_its_concealment_and_told_over_300_ms() -> None:
    timeline = started()
    timeline.audio(48_960, tone(1_920), Flag.PLC, 10.1)
    timeline.lost(48_000 + TICKS * (320 + 1_920 + 2_880))
    chunks = timeline.drain()
    assert_contiguous(chunks)
    assert chunks[-1] == Chunk(2_240, 2_880, Flag.GAP, b"")
    (hole,) = timeline.drain_holes()
    assert (hole.first_sample, hole.n_samples, hole.is_told) == (320, 4_800, False)
    timeline.audio(48_000 + TICKS * 5_120, tone(1_920), Flag.PLC, 10.4)
    timeline.lost(48_000 + TICKS * (5_120 + 1_920 + 2_881))
    (hole,) = timeline.drain_holes()
    assert (hole.first_sample, hole.n_samples, hole.reason) == (5_120, 4_801, "lost")
    assert hole.is_told
    timeline.lost(48_000)
    assert timeline.drain_holes() == []


def test_a_new_stream_is_placed_by_the_wall_clock() -> None:
    timeline = started(at=10.0)  # sample 0 was captured at 9.98
    timeline.break_off("reconnected")
    timeline.audio(7, tone(960), Flag.OK, 15.0)
    chunks = timeline.drain()
    assert_contiguous(chunks)
    assert chunks[1].flags == Flag.GAP
    assert timeline.end == pytest.approx(5.02 * SAMPLE_RATE, abs=1)
    (hole,) = timeline.drain_holes()
    assert hole.reason == "reconnected"
    assert hole.n_samples == timeline.end - 960 - 320


def test_a_new_stream_without_a_hole_follows_at_once() -> None:
    timeline = started(at=10.0)
    timeline.break_off("reconnected")
    timeline.audio(7, tone(960), Flag.OK, 10.0)
    assert timeline.end == 1_280
    timeline.cut()
    assert_contiguous(timeline.drain())


def test_before_the_first_packet_the_clock_stands() -> None:
    timeline = Timeline()
    assert timeline.expected_at(100.0) == 0
    assert started(at=10.0).expected_at(11.98) == 2 * SAMPLE_RATE


def test_the_end_is_the_last_chunk() -> None:
    timeline = started()
    timeline.finish()
    assert [chunk.flags for chunk in timeline.drain()] == [Flag.OK, Flag.END]


def test_the_minimum_forgets_after_its_window() -> None:
    minimum = WindowedMinimum()
    assert minimum.value is None
    minimum.add(1.0, 0.0)
    assert minimum.add(2.0, 1.0) == 1.0
    assert minimum.add(0.5, 2.0) == 0.5
    for second in range(3, int(BUCKET_S * (BUCKETS + 1))):
        minimum.add(3.0, float(second))
    assert minimum.value == 3.0
    assert minimum.add(4.0, 1_000.0) == 4.0


def test_lateness_is_against_the_fastest() -> None:
    transit = TransitEstimator()
    assert transit.minimum == 0.0
    assert transit.add(1.0, 1.1) == 0.0
    assert transit.add(2.0, 2.15) == pytest.approx(0.05)
    assert transit.minimum == pytest.approx(0.1)
    for number in range(101, 160):
        transit.add(number / 50, number / 50 + 0.15)
    assert transit.p95 == pytest.approx(0.05)


def test_a_spike_is_forgotten_within_five_seconds() -> None:
    transit = TransitEstimator()
    for number in range(150):
        transit.add(number / 50, number / 50 + 0.1)
    for number in range(150, 250):
        transit.add(number / 50, number / 50 + 0.6)
    assert transit.p95 == pytest.approx(0.5)
    for number in range(250, 490):
        transit.add(number / 50, number / 50 + 0.1)
    assert transit.p95 == pytest.approx(0.0)
