"""`fieldcoach bench coach`: the coach's own measurement of its rules, in a process of its own, as a table."""

from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from .coach_crowd import coach_crowd
from .machine import machine
from .measured_process import run_measured
from .visit import bench_visit

MODULE: Final = "fieldcoach.coach.bench"
SEEDS: Final = 5
QUICK_SEEDS: Final = 1
CROWD: Final = 200
CROWD_S: Final = 60.0
QUICK_CROWD: Final = 20
QUICK_CROWD_S: Final = 8.0


async def bench_coach(
    root: Path, quick: bool, visits: Path | None, console: Console, with_audio: bool = False
) -> dict[str, Any]:
    """Every `NAME.json` with gold marks in `visits`; `with_audio`: the recorded ones as whole visits, too.

    Raises:
        BenchError: a visit or a playbook is not one; in the coach's words.
    """
    before = machine()
    found = await run_measured(
        MODULE,
        "the coach's bench",
        None,
        str(visits or root / "visits"),
        str(root / "playbooks"),
        "--seeds",
        str(QUICK_SEEDS if quick else SEEDS),
    )
    crowd = await coach_crowd(root, QUICK_CROWD if quick else CROWD, QUICK_CROWD_S if quick else CROWD_S)
    figures = {"bench": "coach", "quick": quick, "machine": before, **found, "at_once": crowd}
    print_figures(console, figures)
    if with_audio:
        figures["audio"] = await bench_visit(root, quick, visits, console)
    return figures


def print_figures(console: Console, figures: dict[str, Any]) -> None:
    """For a person."""
    table = Table(title="bench coach: the rules on the visits' words", title_justify="left")
    for name in ("words", "language"):
        table.add_column(name)
    for name in ("precision", "recall", "false in\n10 min", "order F1", "stage F1", "cue after\nline p95"):
        table.add_column(name, justify="right")
    rows: list[tuple[str, str, dict[str, Any]]] = [("as said", "all", figures)]
    rows += [("as said", language, found) for language, found in figures["by_language"].items()]
    rows += [(f"{rate} % wrong", "all", found) for rate, found in figures["noise"].items()]
    for language, found in figures["by_language"].items():
        rows += [(f"{rate} % wrong", language, noisy) for rate, noisy in found["noise"].items()]
    rows.append(("20 % lost in stretches", "all", figures["lost_words"]))
    rows.append(("each from the other", "all", figures["flipped_speakers"]))
    for words, language, found in rows:
        waited = found["time_to_cue_ms"]["p95"]
        table.add_row(
            words,
            language,
            *(_share(found[name]) for name in ("precision", "recall")),
            _share(found["false_per_10min"]),
            *(_share(found[name]) for name in ("order_f1", "stage_f1")),
            "-" if waited is None else f"{waited:.0f} ms",
        )
    console.print(table)
    crowd, crowd_cue = figures["at_once"], figures["at_once"]["final_to_cue_ms"]
    for line in (
        f"cues where nobody objects: {figures['small_talk_cues']}",
        f"the rules' own compute: p99 {figures['compute_ms']['p99']} ms; an update of a visit of 20 minutes: "
        f"p99 {figures['update_ms']['p99']} ms",
        f"{crowd['visits']} visits at once at one coach, {crowd['finals']} finals in {crowd['seconds']} s: "
        f"final → cue p50 {crowd_cue['p50']}, p95 {crowd_cue['p95']} ms ({crowd['cues']} cues, "
        f"{crowd['held_back']} held back by a limit); "
        f"{crowd['cpu_ms_per_visit_s']} CPU ms a second of a visit",
        "playbooks: " + ", ".join(f"{k} {v['playbook']}" for k, v in figures["by_language"].items()),
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
