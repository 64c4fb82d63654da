"""`fieldcoach bench visit`: recorded visits through the whole system, one by one, against their scripts."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fieldcoach.common.audio import SAMPLE_RATE

from ..collector import Collector
from ..percentiles import summary_ms
from ..phone.audio_file import read_pcm
from ..phone.visit import Visit, VisitPlan, VisitResult
from ..project import DEFAULT_PLAYBOOK
from ..stack import Stack, StackOptions
from .gold import GoldVisit, load_visit, visits_in
from .machine import machine, process_age_s
from .replay import allowed_objection_cues
from .score import VisitScore, score_visit
from .services import audio_bus_ms
from .words import NO_ERRORS

DEFAULT_VISITS = ("biscuits-no-space", "soap-margin", "quick-order")
MAX_VISITS = 3
COLUMNS = (
    *("WER", "objec-\ntions", "orders", "cues", "final\np50", "final\np95", "cue\np95", "over-\nhead\np95"),
    "ser-\nvices\np95",
)
QUICK_VISIT = "enough-stock"
"""Three objections and an order line in its first 37 s."""
QUICK_LIMIT_S = 50.0
QUICK_RESERVE_S = 5.5
"""After the audio: 1.2 s of silence, the summary, the stop of five processes, and their last spans."""


async def bench_visit(root: Path, quick: bool, folder: Path | None, console: Console) -> dict[str, Any]:
    """Play them and score them.

    Raises:
        ToolError: a visit can't be read, or can't be played.
    """
    golds = _chosen(root, quick, folder)
    playbook = root / "playbooks" / f"{DEFAULT_PLAYBOOK}.yaml"
    before = machine()
    played: list[tuple[GoldVisit, VisitResult, int]] = []
    with tempfile.TemporaryDirectory(prefix="fieldcoach-bench-") as run_dir:
        async with Collector() as collector:
            options = StackOptions(root=root, run_dir=Path(run_dir), otlp_endpoint=collector.endpoint)
            async with Stack(options) as stack:
                for gold in golds:
                    if quick:
                        gold = gold.until(QUICK_LIMIT_S - QUICK_RESERVE_S - process_age_s())
                    _say(console, f"playing {gold.id}, {gold.seconds:.0f} s")
                    plan = VisitPlan(
                        gateway=stack.gateway_url,
                        token=stack.user_token(),
                        pcm=read_pcm(gold.audio)[: 2 * round(SAMPLE_RATE * gold.seconds)],
                        playbook=DEFAULT_PLAYBOOK,
                    )
                    # beside the visit's beginning, so that it costs no time at the end
                    replaying = asyncio.create_task(allowed_objection_cues(playbook, gold))
                    try:
                        result = await Visit(plan).run()
                        played.append((gold, result, await replaying))
                    finally:
                        replaying.cancel()
                        await asyncio.gather(replaying, return_exceptions=True)
            # the stack has stopped, so the last spans have arrived
            reports = [
                _report(gold, result, score_visit(gold, result.events, result.summary), collector, allowed)
                for gold, result, allowed in played
            ]
    figures = _total(reports, before, played[0][1].asr, quick)
    _print(console, figures)
    return figures


def _chosen(root: Path, quick: bool, folder: Path | None) -> list[GoldVisit]:
    if folder is not None:
        return visits_in(folder, 1 if quick else MAX_VISITS)
    names = (QUICK_VISIT,) if quick else DEFAULT_VISITS
    return [load_visit(root / "visits" / f"{name}.json") for name in names]


def _report(
    gold: GoldVisit, result: VisitResult, score: VisitScore, collector: Collector, allowed: int
) -> dict[str, Any]:
    """The figures of one visit, and under `raw` the samples that the totals are made of."""
    overheads = [times.overhead for times in result.stages.finals]
    uplinks = collector.named("ingest.uplink")
    finals = [(t, event) for t, event in result.events if event.get("type") == "final"]
    services = []
    for t, event in finals:
        on_bus = audio_bus_ms(uplinks, result.session, event)
        if on_bus is not None:
            received_at = result.audio_started_at + t * 1e3
            services.append(on_bus + received_at - float(event["timing"]["published_at"]))
    return {
        "id": gold.id,
        "seconds": round(gold.seconds, 2),
        "synthetic": gold.synthetic,
        "wer": _rounded(score.words.rate),
        "words": score.words.words,
        "word_errors": {
            "substituted": score.words.substituted,
            "deleted": score.words.deleted,
            "inserted": score.words.inserted,
        },
        "finals": len(finals),
        "lines": len(score.lines),
        "lines_without_final": sum(1 for line in score.lines if line.eos_to_final_ms is None),
        "lines_merged": sum(1 for line in score.lines if line.is_merged),
        "objections": {
            "found": sorted(score.objections.found),
            "missed": sorted(score.objections.missed),
            "invented": sorted(score.objections.invented),
        },
        "orders": {"right": score.orders.right, "wrong": score.orders.wrong},
        "cues": {"allowed": allowed, "shown": score.objection_cues},
        "eos_to_final_ms": summary_ms(score.eos_to_final_ms, 50, 95),
        "cue_ms": summary_ms(score.cue_ms, 50, 95),
        "overhead_ms": summary_ms(overheads, 50, 95),
        "services_ms": summary_ms(services, 50, 95),
        "stages_ms": {
            row.stage: {"p50": round(row.p50, 1), "p95": round(row.p95, 1)} for row in result.stages.rows()
        },
        "rtt_ms": _rounded(result.rtt_ms),
        "worst_send_delay_ms": round(result.worst_send_delay_ms, 1),
        "reconnects": result.reconnects,
        "raw": {"score": score, "services": services, "overheads": overheads},
    }


def _total(
    reports: list[dict[str, Any]], before: dict[str, object], asr: dict[str, Any], quick: bool
) -> dict[str, Any]:
    raws = [report.pop("raw") for report in reports]
    scores: list[VisitScore] = [raw["score"] for raw in raws]
    services = [value for raw in raws for value in raw["services"]]
    return {
        "bench": "visit",
        "quick": quick,
        "engine": asr.get("engine"),
        "model": asr.get("model"),
        "machine": before,
        "wer": _rounded(sum((score.words for score in scores), NO_ERRORS).rate),
        "objections": {
            name: sum(len(getattr(score.objections, name)) for score in scores)
            for name in ("found", "missed", "invented")
        },
        "orders": {
            "right": sum(score.orders.right for score in scores),
            "wrong": sum(score.orders.wrong for score in scores),
        },
        "cues": {name: sum(report["cues"][name] for report in reports) for name in ("allowed", "shown")},
        "eos_to_final_ms": summary_ms([ms for score in scores for ms in score.eos_to_final_ms], 50, 95),
        "cue_ms": summary_ms([ms for score in scores for ms in score.cue_ms], 50, 95),
        "overhead_ms": summary_ms([ms for raw in raws for ms in raw["overheads"]], 95),
        "services_ms": summary_ms(services, 95),
        "lines_without_final": sum(report["lines_without_final"] for report in reports),
        "visits": reports,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _print(console: Console, figures: dict[str, Any]) -> None:
    table = Table(title=f"bench visit: {figures['engine']} / {figures['model']}", title_justify="left")
    table.add_column("visit")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for report in figures["visits"]:
        objections = {name: len(ids) for name, ids in report["objections"].items()}
        table.add_row(*_cells(report["id"], report, objections))
    table.add_section()
    table.add_row(*_cells("all", figures, figures["objections"]), style="bold")
    console.print(table)
    _say(console, "objections: found/missed/invented; orders: right/wrong; cues: shown/allowed; times in ms")
    if all(report["synthetic"] for report in figures["visits"]):
        _say(console, "The visits are spoken by synthetic voices.")
    machine_ = figures["machine"]
    _say(
        console,
        f"{machine_['cores']} cores of {machine_['cpu']}, load before the run {machine_['load_1min']}",
    )


def _cells(name: str, figures: dict[str, Any], objections: dict[str, int]) -> list[str]:
    wer = figures["wer"]
    return [
        name,
        "-" if wer is None else f"{100 * wer:.1f} %",
        f"{objections['found']}/{objections['missed']}/{objections['invented']}",
        f"{figures['orders']['right']}/{figures['orders']['wrong']}",
        f"{figures['cues']['shown']}/{figures['cues']['allowed']}",
        _ms(figures["eos_to_final_ms"]["p50"]),
        _ms(figures["eos_to_final_ms"]["p95"]),
        _ms(figures["cue_ms"]["p95"]),
        _ms(figures["overhead_ms"]["p95"]),
        _ms(figures["services_ms"]["p95"]),
    ]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
