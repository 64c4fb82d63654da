"""The table of `bench network --profiles`."""

from typing import Any

from rich.console import Console
from rich.table import Table

from .network_table import warn_of_lateness

_SPEECH = ("ok", "nack", "fec", "dtx", "plc", "gap", "backfill", "missing")


def print_profiles(console: Console, figures: dict[str, Any]) -> None:
    """For a person."""
    reports = figures["profiles"].values()
    speech = Table(title="bench network --profiles: share of the speech, %", title_justify="left")
    speech.add_column("profile")
    for name in _SPEECH:
        speech.add_column(name, justify="right")
    for report in reports:
        shares = report["speech"]
        cells = [f"{100 * shares[name]:.1f}" if shares else "-" for name in _SPEECH]
        speech.add_row(report["profile"], *cells)
    console.print(speech)
    link = Table()
    link.add_column("profile")
    columns = ("delay\np50 ms", "delay\np95 ms", "WER\nlive", "WER\nfilled", "kbps", "rungs\na min")
    for name in (*columns, "sus-\npended s", "recon-\nnects", "longest\nhole s", "back to\nsound s"):
        link.add_column(name, justify="right")
    for report in reports:
        delay = report.get("delay_ms", {})
        suspended = report.get("suspended_s")
        link.add_row(
            report["profile"],
            _number(delay.get("p50"), 0),
            _number(delay.get("p95"), 0),
            _percent(report.get("wer_live")),
            _percent(report.get("wer")),
            _number(report["wire_kbps"], 1),
            _number(report.get("rung_changes_per_minute"), 1),
            "-" if suspended is None else _number(sum(suspended), 1),
            str(report.get("media_reconnects", "-")),
            _number(report.get("longest_hole_s"), 1),
            _number(report.get("back_to_sound_s"), 2),
        )
    console.print(link)
    for report in reports:
        if report["failure"]:
            _say(console, f"{report['profile']}: the visit broke off: {report['failure']}")
        if report["sessions"] > 1:
            _say(console, f"{report['profile']}: {report['sessions']} sessions instead of one")
    warn_of_lateness(console, max(report["late_ms"] for report in reports))
    machine = figures["machine"]
    _say(
        console,
        f"{figures['engine']} / {figures['model']}; {machine['cores']} cores of {machine['cpu']},"
        f" load before the run {machine['load_1min']}",
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
