"""`bench ingest`: what becomes of the runs' figures, and what is refused."""

import io
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from fieldcoach.tools.bench.ingest import bench_ingest, summary
from fieldcoach.tools.bench.ingest_table import print_figures
from fieldcoach.tools.bench_cli import numbers_of
from fieldcoach.tools.errors import BenchError


def row(receiver: str, sessions: int, us: float, **other: Any) -> dict[str, Any]:
    share = sessions * 50 * us / 1e6
    return {
        "receiver": receiver,
        "sessions": sessions,
        "ptime_ms": 20,
        "dtx": False,
        "published": False,
        "us_per_packet": us,
        "cpu_share": share,
        "sessions_per_core": round(sessions / share),
        "loop_lag_ms_p99": sessions / 10,
        "threads": 1,
        "kb_per_session": 150,
        "keeps_up": True,
        **other,
    }


def figures() -> dict[str, Any]:
    pairs = [(row("ours", 50, ours), row("stock", 50, 240.0)) for ours in (40.0, 30.0, 60.0)]
    curve = [row("ours", 50, 40.0), row("ours", 200, 42.0), row("ours", 400, 44.0)]
    pausing = row("ours", 400, 70.0, sessions_per_core=900, ptime_ms=60, dtx=True)
    return summary(pairs, curve, [pairs[-1][1]], row("ours", 50, 50.0, published=True), pausing)


def test_the_median_of_the_rounds_counts() -> None:
    found = figures()
    assert found["us_per_packet"] == {"ours": 40.0, "stock": 240.0, "ours_published": 50.0}
    assert found["cpu_ratio"] == 6.0
    assert found["sessions_per_core"] == {"p20": 500, "p60": 900}
    assert found["flatness"] == 1.1


def test_who_does_not_keep_up_gives_no_figure() -> None:
    slow = {"keeps_up": False}
    pairs = [
        (row("ours", 50, 40.0), row("stock", 50, 90.0, **slow)),
        (row("ours", 50, 10.0, **slow), row("stock", 50, 300.0)),
        (row("ours", 50, 50.0), row("stock", 50, 250.0)),
    ]
    curve = [row("ours", 50, 40.0), row("ours", 100, 42.0), row("ours", 400, 9.0, **slow)]
    late = row("ours", 50, 5.0, **slow)
    found = summary(pairs, curve, [], late, late)
    assert found["us_per_packet"] == {"ours": 45.0, "stock": 275.0, "ours_published": None}
    assert found["cpu_ratio"] == 5.0  # of the one round in which both kept up
    assert found["sessions_per_core"] == {"p20": 450, "p60": None}
    assert found["flatness"] == 1.05
    found = summary(pairs[:1], curve[2:], [], late, late)
    assert (found["us_per_packet"]["stock"], found["cpu_ratio"], found["flatness"]) == (None, None, None)
    out = io.StringIO()
    print_figures(
        Console(file=out, width=110), {"machine": {"cores": 2, "cpu": "x", "load_1min": 1}, **found}
    )
    assert "stock —: — times" in out.getvalue()


def test_the_lag_is_that_of_the_most_sessions_that_leave_the_loop_some_room() -> None:
    found = figures()
    assert found["loop_lag_sessions"] == 200  # 400 take 88 % of the core
    assert found["loop_lag_ms"] == {"p99": 20.0}


def test_the_table_names_what_was_measured() -> None:
    out = io.StringIO()
    machine = {"cores": 2, "cpu": "a processor", "load_1min": 0.5}
    print_figures(Console(file=out, width=110), {"machine": machine, **figures()})
    text = out.getvalue()
    assert "ours → bus" in text
    assert "60 ms, DTX" in text
    assert "6.0 times as much CPU" in text


@pytest.mark.parametrize("text", ["0", "many", "50;100"])
def test_a_list_of_sessions_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="--sessions"):
        numbers_of("--sessions", text)


def test_a_list_of_sessions() -> None:
    assert numbers_of("--sessions", "100, 50,50,") == (50, 100)
    assert numbers_of("--sessions", "") == ()


async def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"quick-order\.flac"):
        await bench_ingest(tmp_path, True, None, Console())
