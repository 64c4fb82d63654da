"""After the visit: the summary with its order lines, and the table of where the time went."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ..phone.stages import StageRow


def print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Score, stages, objections, order lines, tips."""
    stages = [stage for stage in summary.get("checklist") or [] if isinstance(stage, Mapping)]
    titles = {str(stage.get("id")): str(stage.get("title") or stage.get("id")) for stage in stages}
    done = [titles.get(str(name), str(name)) for name in summary.get("stages") or []]
    left = [str(stage.get("title")) for stage in stages if not stage.get("done")]
    console.print()
    console.print(
        f"Summary: score {summary.get('score', '?')} of 100", style="bold", highlight=False, soft_wrap=True
    )
    console.print(f"  done        {', '.join(done) or 'nothing'}", highlight=False, soft_wrap=True)
    if left:
        console.print(f"  left out    {', '.join(left)}", highlight=False, soft_wrap=True)
    objections = ", ".join(str(name).replace("_", " ") for name in summary.get("objections") or [])
    console.print(f"  objections  {objections or 'none'}", highlight=False, soft_wrap=True)
    orders = summary.get("orders") or []
    if not orders:
        console.print("  order       none", highlight=False, soft_wrap=True)
    for number, line in enumerate(orders):
        label = "order" if number == 0 else ""
        console.print(
            f"  {label:<11} {line.get('qty')} {line.get('unit')} of {line.get('sku')}",
            highlight=False,
            soft_wrap=True,
        )
    for tip in summary.get("tips") or []:
        console.print(f"  tip         {tip}", highlight=False, soft_wrap=True)


def print_stages(console: Console, rows: Sequence[StageRow], finals: int, cues: int) -> None:
    """The table of where the time went."""
    console.print()
    if not rows:
        console.print("No final carried its timing, so there is no table of where the time went.")
        return
    table = Table(title=f"Where the time went ({finals} finals, {cues} cues)", title_justify="left")
    table.add_column("stage")
    table.add_column("p50 ms", justify="right")
    table.add_column("p95 ms", justify="right")
    for row in rows:
        table.add_row(row.stage, f"{row.p50:.0f}", f"{row.p95:.0f}", style="bold" if "→" in row.stage else "")
    console.print(table)
