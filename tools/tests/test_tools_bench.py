"""The figures of bench visit by the names that scripts look for."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fieldcoach.tools.bench import visit as bench_visit
from fieldcoach.tools.bench.gold import GoldLine, GoldOrder, GoldVisit
from fieldcoach.tools.bench.report import report
from fieldcoach.tools.bench.score import score_visit
from fieldcoach.tools.collector import CollectedSpan, Collector
from fieldcoach.tools.phone.stages import StageTable, StageTimes
from fieldcoach.tools.phone.visit import VisitResult

TIMING = {
    "heard_at": 1_000_002_050.0,
    "endpoint_ms": 450.0,
    "asr_ms": 2.0,
    "decode_ms": 30.0,
    "published_at": 1_000_002_502.0,
}


def figures() -> dict[str, Any]:
    """One visit of two lines; of the second nothing was heard."""
    line = GoldLine(0.5, 2.0, "shop", "send ten boxes", (), ("credit",), (GoldOrder("tea", 10, "boxes"),))
    gold = GoldVisit("v", "en", (line, GoldLine(3, 4, "rep", "thank you")), Path("v.flac"), Path(), 5.0, True)
    events: list[tuple[float, dict[str, Any]]] = [
        (2.505, {"type": "final", "start": 0.5, "end": 2.0, "text": "send ten boxes", "timing": TIMING}),
        (2.6, {"type": "cue", "objection": "credit", "trigger": {"end": 2.0, "timing": TIMING}}),
    ]
    summary = {"objections": ["credit"], "orders": [{"sku": "tea", "qty": 10, "unit": "boxes"}]}
    result = VisitResult(
        session="s",
        asr={"engine": "whisper", "model": "outlet-en"},
        events=events,
        summary=summary,
        stages=StageTable([StageTimes(50, 450, 2, 3)], []),
        audio_started_at=1_000_000_000.0,
        rtt_ms=0.5,
        packets_sent=1,
        payload_bytes=1,
        worst_send_delay_ms=1.0,
        reconnects=0,
    )
    collector = Collector()
    told = {"session": "s", "end_sample": 32_000, "chunk_published_at": 1_000_002_048.0}
    collector.spans.append(CollectedSpan("ingest.uplink", "ingest", "t", "i", "", 0, 1, told))
    report = bench_visit._report(gold, result, score_visit(gold, events, summary), collector, allowed=1)
    return bench_visit._total([report], {"cores": 2, "cpu": "x", "load_1min": 0.0}, result.asr, quick=False)


def test_every_figure_has_its_name() -> None:
    found = figures()
    assert found["wer"] == pytest.approx(2 / 5)
    assert found["objections"] == {"found": 1, "missed": 0, "invented": 0}
    assert found["orders"] == {"right": 1, "wrong": 0}
    assert found["cues"] == {"allowed": 1, "shown": 1}
    assert found["eos_to_final_ms"] == {"p50": 505.0, "p95": 505.0}
    assert found["cue_ms"] == {"p50": 600.0, "p95": 600.0}
    assert found["overhead_ms"] == {"p95": 53}
    assert found["services_ms"] == {"p95": 5.0}
    assert (found["engine"], found["model"], found["lines_without_final"]) == ("whisper", "outlet-en", 1)
    assert found["visits"][0]["stages_ms"]["uplink"] == {"p50": 50, "p95": 50}


@pytest.mark.parametrize("as_json", [False, True])
async def test_json_is_the_last_line_and_the_table_stands_elsewhere(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fake(console: Console) -> dict[str, Any]:
        console.print("a table")
        return {"wer": 0.5}

    await report(fake, as_json)
    out, err = capsys.readouterr()
    assert (out, err) == (('{"wer": 0.5}\n', "a table\n") if as_json else ("a table\n", ""))


def test_the_table_holds_every_visit_and_the_total() -> None:
    out = io.StringIO()
    bench_visit._print(Console(file=out, width=110), figures())
    rows = [line for line in out.getvalue().splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["v", "all"]
    assert "40.0 %" in rows[1]
    assert "synthetic voices" in out.getvalue()
