"""The table of `bench ingest`."""

from typing import Any

from rich.console import Console
from rich.table import Table

COLUMNS = ("sessions", "packet", "µs a packet", "of a core", "lag p99", "threads", "KB each", "keeps up")


def print_figures(console: Console, figures: dict[str, Any]) -> None:
    """For a person."""
    table = Table(title="bench ingest: from the datagram to 16 kHz PCM", title_justify="left")
    table.add_column("receiver")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    curve = figures["curve"]
    for row in (*curve["ours"], curve["published"], curve["p60_dtx"], *curve["stock"]):
        table.add_row(
            row["receiver"] + (" → bus" if row["published"] else ""),
            str(row["sessions"]),
            f"{row['ptime_ms']} ms" + (", DTX" if row["dtx"] else ""),
            f"{row['us_per_packet']:.0f}",
            f"{row['cpu_share'] * 100:.0f} %",
            f"{row['loop_lag_ms_p99']:.0f} ms",
            str(row["threads"]),
            str(row["kb_per_session"]),
            "yes" if row["keeps_up"] else "no",
        )
    console.print(table)
    cost, cores, machine = figures["us_per_packet"], figures["sessions_per_core"], figures["machine"]
    for line in (
        f"at {figures['compared_sessions']} sessions, both without a bus: {_said(cost['ours'])} µs a packet,"
        f" stock {_said(cost['stock'])}: {_said(figures['cpu_ratio'], 1)} times as much CPU",
        f"sessions a core: {_said(cores['p20'])} of 20 ms, {_said(cores['p60'])} of 60 ms with DTX",
        f"loop lag p99 {figures['loop_lag_ms']['p99']:.1f} ms at {figures['loop_lag_sessions']} sessions;"
        f" cost of a packet at the most sessions {_said(figures['flatness'], 2)} of that at the fewest",
        f"{machine['cores']} cores of {machine['cpu']}, load before the run {machine['load_1min']}",
    ):
        console.print(line, soft_wrap=True, highlight=False)


def _said(figure: float | None, digits: int = 0) -> str:
    """A figure, or that there is none: nobody who could give it kept up."""
    return "—" if figure is None else f"{figure:.{digits}f}"
