"""Samples, arrivals and concealment by position."""

import numpy as np

from fieldcoach.asr.timeline import Timeline


def pcm(n: int, value: int = 1) -> bytes:
    return np.full(n, value, "<i2").tobytes()


def test_reads_any_kept_stretch() -> None:
    timeline = Timeline(100)
    timeline.append(pcm(10, 16_384), 0, 1.0, is_concealed=False)
    timeline.append(pcm(10, -16_384), 1, 2.0, is_concealed=False)
    assert timeline.head == 120
    assert timeline.read(105, 115).tolist() == [0.5] * 5 + [-0.5] * 5
    assert len(timeline.read(0, 1_000)) == 20
    assert len(timeline.read(115, 105)) == 0


def test_forgets_before() -> None:
    timeline = Timeline(0)
    for seq in range(4):
        timeline.append(pcm(10, seq), seq, float(seq), is_concealed=False)
    timeline.forget(25)
    assert timeline.base == 25
    assert timeline.seq_at(0) == 2
    assert timeline.read(25, 30).tolist() == [2 / 32_768] * 5
    timeline.forget(10)
    assert timeline.base == 25
    timeline.forget(1_000)
    assert timeline.base == timeline.head == 40
    assert timeline.seq_at(40) is None


def test_knows_when_a_sample_came() -> None:
    timeline = Timeline(0)
    timeline.append(pcm(10), 7, 1.5, is_concealed=False)
    timeline.append(pcm(10), 8, 2.5, is_concealed=False)
    assert timeline.arrival_of(9) == 1.5
    assert timeline.arrival_of(10) == 2.5
    assert timeline.arrival_of(20) is None
    assert timeline.seq_at(10) == 8


def test_counts_concealed_samples() -> None:
    timeline = Timeline(0)
    timeline.append(pcm(10), 0, 0.0, is_concealed=False)
    timeline.append(pcm(10), 1, 0.0, is_concealed=True)
    assert timeline.concealed(0, 20) == 10
    assert timeline.concealed(5, 12) == 2
    assert timeline.concealed(0, 10) == 0


def test_finds_the_quietest_place() -> None:
    timeline = Timeline(0)
    timeline.append(pcm(100, 1_000) + pcm(20, 10) + pcm(80, 1_000), 0, 0.0, is_concealed=False)
    assert timeline.quietest(0, 200, 20) == 110
    assert timeline.quietest(0, 10, 20) == 5
