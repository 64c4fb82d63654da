"""The tables of `bench network`."""

from typing import Any

from rich.console import Console
from rich.table import Table

LATE_LIMIT_MS = 100.0
"""A packet that leaves so much later than planned is worse off than by a link's jitter: the run is void."""


def print_figures(console: Console, figures: dict[str, Any]) -> None:
    """For a person."""
    table = Table(
        title=f"bench network: round trip {figures['round_trip_ms']:.0f} ms, rung {figures['profile']}",
        title_justify="left",
    )
    table.add_column("loss, burst")
    columns = ("lost", "packets\nlost", "delivered\nours", "worst\nvisit", "delivered\nstock", "WER\nours")
    for name in (*columns, "WER\nstock"):
        table.add_column(name, justify="right")
    delivered, wer, spread = figures["delivered"], figures["wer"], figures["spread"]
    for network in sorted(delivered["ours"]):
        table.add_row(
            f"{int(network[1:3])} %, {network[4:]}",
            _percent(figures["lost"].get(network), 1),
            str(figures["packets_lost"].get(network, "-")),
            _percent(delivered["ours"].get(network), 2),
            _percent(spread["ours"][network][0], 2),
            _percent(delivered["stock"].get(network), 2),
            _percent(wer["ours"].get(network), 1),
            _percent(wer["stock"].get(network), 1),
        )
    console.print(table)
    delay = figures["delay_ms"]
    _say(console, f"added delay without loss: p50 {_ms(delay['p50'])}, p95 {_ms(delay['p95'])}")
    for title, name in (("while speaking", "wire_kbps"), ("over the visit", "wire_kbps_visit")):
        rungs = "  ".join(f"{rung} {kbps:.1f}" for rung, kbps in figures[name].items())
        _say(console, f"kbps on the wire {title}: {rungs}")
    warn_of_lateness(console, figures["worst_late_ms"])
    if figures["connect_retries"]:
        _say(console, f"connections that did not come up and were tried again: {figures['connect_retries']}")
    machine = figures["machine"]
    _say(
        console,
        f"{figures['engine']} / {figures['model']}; {machine['cores']} cores of {machine['cpu']},"
        f" load before the run {machine['load_1min']}",
    )


def warn_of_lateness(console: Console, worst_ms: float) -> None:
    """Say so if the machine was too busy to play a network in real time."""
    if worst_ms > LATE_LIMIT_MS:
        _say(
            console,
            f"This machine was too busy: a packet left {worst_ms:.0f} ms too late. Run it again with nothing"
            " beside it, or with a smaller --at-once.",
        )


def _percent(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
