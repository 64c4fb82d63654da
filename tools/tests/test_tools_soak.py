"""Flat or not, the plot, and the light phones' speech."""

import random
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fieldcoach.tools.bench.process_sample import found_by_name, parse_metrics
from fieldcoach.tools.bench.soak import SoakPlan, bench_soak
from fieldcoach.tools.bench.soak_phones import speech_packets
from fieldcoach.tools.bench.soak_plot import soak_plot
from fieldcoach.tools.bench.trend import trend
from fieldcoach.tools.errors import BenchError

TIMES = [5.0 * number for number in range(300)]


def noisy(start: float, per_sample: float, noise: float) -> list[float]:
    draw = random.Random(3)
    return [start + per_sample * number + draw.gauss(0, noise) for number in range(300)]


def test_a_leak_is_told_from_noise() -> None:
    flat = trend(TIMES, noisy(200, 0, 3))
    leak = trend(TIMES, noisy(200, 0.1, 3))
    shrinking = trend(TIMES, noisy(200, -0.1, 3))
    unclear = trend(TIMES[:40], noisy(200, 0, 60)[:40])
    assert flat is not None
    assert leak is not None
    assert shrinking is not None
    assert unclear is not None
    assert flat.verdict == "flat"
    assert leak.verdict == "grows"
    assert leak.growth == pytest.approx(30, abs=3)
    assert leak.per_hour == pytest.approx(72, abs=7)
    assert shrinking.verdict == "falls"
    assert unclear.verdict == "not shown"


def test_what_is_constant_is_flat_and_too_few_samples_say_nothing() -> None:
    constant = trend(TIMES, [5.0] * 300)
    assert constant is not None
    assert (constant.verdict, constant.margin) == ("flat", 0)
    assert trend([0.0, 5.0], [1.0, 1.0]) is None
    assert trend([], []) is None


def test_the_plot_is_an_svg_with_a_line_for_each_series() -> None:
    svg = soak_plot("100 sessions <5 %>", [0, 1, 2], {"threads": [5, 5, 5], "tasks": [0, 0, 0]}, 0.5)
    root = ET.fromstring(svg)
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    assert all(len(str(line.get("points")).split()) == 3 for line in lines)


def test_metrics_are_read_by_name_and_label() -> None:
    found = parse_metrics('# HELP x\nx_total{a="b",event="bye"} 2.0\nx_total{event="c d"} 3\ny 1e3\n')
    assert found_by_name(found, "x") == 5
    assert found_by_name(found, "x", 'event="bye"') == 2
    assert found["y"] == 1_000


def test_the_plan_replaces_the_share_it_says() -> None:
    plan = SoakPlan(sessions=100, churn=5, minutes=30)
    assert plan.leave_every_s == 12
    assert plan.warm_up_s == 300
    assert SoakPlan(churn=0).leave_every_s == float("inf")


async def test_too_short_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"use 1\.8 or more"):
        await bench_soak(tmp_path, SoakPlan(sessions=100, minutes=1), None)  # type: ignore[arg-type]


def test_silence_costs_one_packet() -> None:
    tone = b"".join(((number * 977) % 9_000).to_bytes(2, "little") for number in range(16_000))
    packets = speech_packets(tone + bytes(2 * 48_000) + tone)
    numbers = [number for number, _ in packets]
    assert numbers == sorted(numbers)
    assert len(packets) < 60  # of 83 frames
    assert all(payload for _, payload in packets)
