"""bench network on the real system, as short as it goes: a network by name, and a rung in Chromium."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from fieldcoach.tools.bench import profiles, wire

from .conftest import ROOT


def console() -> Console:
    return Console(file=io.StringIO(), width=110)


@pytest.mark.stack
@pytest.mark.timeout(180)
async def test_a_network_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "QUICK_SECONDS", 8.0)
    figures = await profiles.bench_profiles(ROOT, True, None, console(), ("4g",), 3.0, tmp_path)
    report = figures["profiles"]["4g"]
    assert report["failure"] is None
    assert report["sessions"] == 1
    speech = report["speech"]
    assert sum(speech[flag] for flag in ("ok", "nack", "fec", "dtx")) > 0.8
    assert report["wer"] < 0.5
    assert report["delay_ms"]["p50"] > 35
    assert report["rungs"][0] == (0.0, "L1")
    assert 5 < report["wire_kbps"] < 60
    assert (tmp_path / "network-rungs.svg").is_file()


@pytest.mark.browser
@pytest.mark.stack
@pytest.mark.timeout(180)
@pytest.mark.leaks_allowed("playwright's driver ends with its process")
async def test_a_held_rung_in_chromium(
    chromium: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "SETTLE_S", 2.0)
    monkeypatch.setattr(wire, "QUICK_MEASURE_S", 3.0)
    figures = await wire.bench_wire(ROOT, True, None, console(), tmp_path)
    default, held = figures["chromium"]["default"], figures["chromium"]["L3"]
    assert default["packets_per_s"] == pytest.approx(50, abs=5)
    assert held["packets_per_s"] == pytest.approx(1_000 / 120, abs=1.5)
    assert figures["saved"]["L3"] > 0.6
    assert (tmp_path / "network-wire.svg").is_file()
