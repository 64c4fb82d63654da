"""Clocks, stages, percentiles, lines, back-off."""

import json

import pytest

from fieldcoach.tools.percentiles import percentile, summary_ms
from fieldcoach.tools.phone.backoff import PAUSES_S, Backoff
from fieldcoach.tools.phone.clocks import ClockOffset, WallClock
from fieldcoach.tools.phone.lines import Lines
from fieldcoach.tools.phone.stages import StageTable, cue_times, final_times

TIMING = {
    "heard_at": 5_120.0,
    "endpoint_ms": 450.0,
    "asr_ms": 30.0,
    "decode_ms": 90.0,
    "published_at": 5_600.0,
}


def test_percentile_interpolates_between_ranks() -> None:
    assert percentile([], 50) is None
    assert percentile([7], 95) == 7
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile([0, 10], 95) == pytest.approx(9.5)
    assert percentile([1, 2, 3], 100) == 3
    with pytest.raises(ValueError, match="101"):
        percentile([1], 101)


def test_summary_names_the_percentiles() -> None:
    assert summary_ms([10.04, 20.0], 50, 95) == {"p50": 15.0, "p95": 19.5}
    assert summary_ms([], 95) == {"p95": None}


def test_the_wall_clock_never_jumps() -> None:
    wall = iter([1_000.0])
    clock = WallClock(monotonic=lambda: 5.0, wall=lambda: next(wall))
    assert clock.now() == 1_000_000.0
    assert clock.at(6.5) == 1_001_500.0


def test_the_offset_comes_from_the_fastest_ping() -> None:
    offset = ClockOffset()
    assert offset.to_server(10.0) == 10.0
    offset.add(sent_at=0, received_at=100, server_at=1_090)  # slow and lopsided
    offset.add(sent_at=200, received_at=210, server_at=1_205)
    offset.add(sent_at=300, received_at=400, server_at=1_399)
    offset.add(sent_at=500, received_at=499, server_at=9_999)  # the clock was set back: no sample
    assert (offset.offset_ms, offset.rtt_ms, offset.samples) == (1_000, 10, 3)
    assert offset.to_server(10.0) == 1_010.0


def test_the_stages_of_a_final_add_up_to_its_total() -> None:
    times = final_times({"end": 4.0, "timing": TIMING}, audio_started_at=1_000.0, received_at=5_607.0)
    assert times is not None
    assert (times.uplink, times.endpoint, times.asr, times.coach, times.delivery) == (120, 450, 30, None, 7)
    assert (times.total, times.overhead) == (607, 127)


def test_the_stages_of_a_cue_hold_the_coach() -> None:
    cue = {"trigger": {"end": 4.0, "timing": TIMING}, "coach_ms": 3.0}
    times = cue_times(cue, 1_000.0, 5_612.0)
    assert times is not None
    assert (times.coach, times.delivery, times.total) == (3, 9, 612)


@pytest.mark.parametrize("timing", [None, {}, {**TIMING, "heard_at": "soon"}])
def test_without_timing_there_are_no_stages(timing: object) -> None:
    assert final_times({"end": 4.0, "timing": timing}, 0.0, 0.0) is None
    assert final_times({"timing": TIMING}, 0.0, 0.0) is None
    assert cue_times({"trigger": None}, 0.0, 0.0) is None


def test_the_table_has_each_stage_once_and_the_totals() -> None:
    table = StageTable()
    assert table.rows() == []
    final = final_times({"end": 4.0, "timing": TIMING}, 1_000.0, 5_607.0)
    cue = cue_times({"trigger": {"end": 4.0, "timing": TIMING}, "coach_ms": 3.0}, 1_000.0, 5_612.0)
    assert final
    assert cue
    table.finals.append(final)
    table.cues.append(cue)
    assert [(row.stage, row.p50) for row in table.rows()] == [
        ("uplink", 120),
        ("endpoint", 450),
        ("asr", 30),
        ("coach", 3),
        ("delivery", 7),
        ("end of speech → final", 607),
        ("end of trigger → cue", 612),
    ]


def test_lines_count_from_the_first_sample_and_earlier_ones_wait_for_it() -> None:
    lines = Lines()
    assert lines.add({"type": "state", "state": "created"}, now=9.5) == []
    assert lines.add({"type": "pong", "t": 1}, now=9.6) == []
    held = [json.loads(line) for line in lines.start(10.0)]
    assert held == [{"t": -0.5, "type": "state", "state": "created"}]
    final = {"type": "final", "t": "not ours", "text": "नमस्ते", "end": 1.5, "session": "s"}
    [line] = lines.add(final, now=12.3456)
    assert line.startswith('{"t": 2.346, "type": "final", "text": "नमस्ते"')


def test_backoff_grows_and_gives_up() -> None:
    backoff = Backoff(uniform=lambda low, high: high)
    pauses = [backoff.next() for _ in range(len(PAUSES_S) + 1)]
    assert pauses == [pytest.approx(1.2 * pause) for pause in (*PAUSES_S, PAUSES_S[-1])]
    backoff.reset()
    assert backoff.next() == 0
