"""Slots and the pace of partials by measured cost."""

from math import inf

import pytest

from fieldcoach.asr.load import PARTIAL_INTERVAL_S, Capacity, Pace


def test_no_slots_before_anything_was_measured() -> None:
    assert Capacity(cores=2, most=64).slots(0) == 0


def test_slots_by_the_cost_of_a_decode() -> None:
    capacity = Capacity(cores=2, most=64)
    capacity.calibrate(0.05)  # (0.6 x (1/3 + 1/2.4) x 0.05 + 0.01) cores a session
    assert capacity.cost == pytest.approx(0.0325)
    assert capacity.slots(0) == 43
    capacity.calibrate(0.001)
    assert capacity.slots(0) == 64
    capacity.calibrate(3.0)
    assert capacity.slots(0) == 1  # or it would never learn better
    assert capacity.slots(5) == 5  # those that are here stay


def test_measurements_outweigh_the_calibration() -> None:
    capacity = Capacity(cores=2, most=1_000)
    capacity.calibrate(0.1)
    before = capacity.slots(0)
    for _ in range(200):
        capacity.observe(cpu_s=0.2 + 0.1, session_s=10.0, decodes=10)  # 20 ms each, 0.1 for listening
    assert capacity.cost == pytest.approx(0.01 + 0.45 * 0.02, rel=0.1)
    assert capacity.slots(0) > 2 * before


def test_listening_alone_is_no_decode() -> None:
    capacity = Capacity(cores=2, most=64)
    capacity.calibrate(0.05)
    capacity.observe(cpu_s=0.001, session_s=1.0, decodes=0)
    assert capacity.cost == pytest.approx(0.0325)


@pytest.mark.parametrize(("busy", "factor"), [(0.0, 1), (0.6, 2), (0.8, 4), (0.95, inf)])
def test_partials_slow_down_and_stop(busy: float, factor: float) -> None:
    pace = Pace(threads=2)
    for _ in range(100):
        pace.observe(decode_s=busy * 2, elapsed_s=1.0)
    assert pace.busy == pytest.approx(busy, abs=0.01)
    assert pace.interval_s(0.01) == pytest.approx(PARTIAL_INTERVAL_S * factor)
    assert pace.interval_s(1.0) == 2 * factor


def test_no_time_is_no_measurement() -> None:
    pace = Pace(threads=1)
    pace.observe(1.0, 0.0)
    assert pace.busy == 0.0
