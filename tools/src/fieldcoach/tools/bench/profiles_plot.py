"""The pictures of `bench network --profiles`: the rung over time, and the speech by flag."""

from pathlib import Path
from typing import Any

from .svg import INNER, LEFT, WIDTH, Drawing

RUNGS = ("L0", "L1", "L2", "L3", "L4", "L5")
PANEL, PANEL_GAP, TOP = 78, 22, 62
BAR, BAR_GAP = 22, 12
SPEECH = (
    # what is told, colour, opacity; in the order of the bar
    ("ok", "blue", 1.0),
    ("nack", "sky", 1.0),
    ("fec", "violet", 1.0),
    ("red", "violet", 0.6),
    ("dtx", "grey", 0.6),
    ("backfill", "green", 1.0),
    ("plc", "amber", 1.0),
    ("missing", "red", 1.0),
)


def save_plots(folder: Path, figures: dict[str, Any]) -> list[Path]:
    """Write `network-rungs.svg` and `network-speech.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"network-rungs.svg": rungs_plot(figures), "network-speech.svg": speech_plot(figures)}
    for name, svg in files.items():
        (folder / name).write_text(svg)
    return [folder / name for name in files]


def rungs_plot(figures: dict[str, Any]) -> str:
    """A panel for each profile, one time axis."""
    seconds = float(figures["seconds"])
    drawing = Drawing("Rung over time, by network")
    drawing.legend(TOP - 18, [("rung", "blue", 1), ("network away", "red", 0.25), ("suspended", "amber", 1)])
    top = float(TOP)
    for name, report in figures["profiles"].items():
        _rung_panel(drawing, top, name, report, seconds)
        top += PANEL + PANEL_GAP
    step = next(step for step in (1, 5, 10, 30, 60, 120, 300, 600) if seconds / step <= 12 or step == 600)
    for tick in range(0, int(seconds) + 1, step):
        drawing.text(_x(tick, seconds), top - PANEL_GAP + 18, str(tick), "middle")
    drawing.text(LEFT + INNER / 2, top + 18, "seconds since the first sample", "middle")
    return drawing.render(top + 30)


def _rung_panel(drawing: Drawing, top: float, name: str, report: dict[str, Any], seconds: float) -> None:
    drawing.text(8, top + 12, name, "title")
    kbps = report["wire_kbps"]
    drawing.text(8, top + 30, "" if kbps is None else f"{kbps:.1f} kbps")
    height = PANEL / (len(RUNGS) - 1)
    phases = report["phases"]
    for place, (at, phase) in enumerate(phases):
        end = phases[place + 1][0] if place + 1 < len(phases) else seconds
        if phase == "nothing" and at < seconds:
            left, right = _x(at, seconds), _x(min(end, seconds), seconds)
            drawing.bar(left, top, right - left, PANEL, "red", 0.15)
    for place, rung in enumerate(RUNGS):
        drawing.line(LEFT, top + place * height, WIDTH - 20, top + place * height)
        drawing.text(LEFT - 6, top + place * height + 4, rung, "end")
    for since, until in report["suspended"]:
        left = _x(since, seconds)
        drawing.bar(left, top + PANEL + 2, _x(until, seconds) - left, 4, "amber")
    points: list[tuple[float, float]] = []
    for at, rung in report["rungs"]:
        if at >= seconds:
            break
        x, y = _x(at, seconds), top + RUNGS.index(rung) * height
        if points:
            points.append((x, points[-1][1]))
        points.append((x, y))
    if points:
        drawing.path([*points, (_x(seconds, seconds), points[-1][1])], "blue")


def _x(at: float, seconds: float) -> float:
    return LEFT + INNER * at / seconds


def speech_plot(figures: dict[str, Any]) -> str:
    """A bar for each profile: all of its speech."""
    drawing = Drawing("How the speech came over, by network")
    shown = [
        entry
        for entry in SPEECH
        if any(_parts(report["speech"]).get(entry[0]) for report in figures["profiles"].values())
    ]
    drawing.legend(TOP - 18, shown)
    top = float(TOP)
    for name, report in figures["profiles"].items():
        drawing.text(LEFT - 6, top + BAR / 2 + 4, name, "end")
        parts, at = _parts(report["speech"]), 0.0
        for kind, colour, opacity in SPEECH:
            share = parts.get(kind, 0.0)
            drawing.bar(LEFT + INNER * at, top, INNER * share, BAR, colour, opacity)
            at += share
        top += BAR + BAR_GAP
    for tenth in range(0, 11, 2):
        x = LEFT + INNER * tenth / 10
        drawing.line(x, TOP - 4, x, top - BAR_GAP + 4)
        drawing.text(x, top + 8, f"{10 * tenth} %", "middle")
    drawing.text(LEFT + INNER / 2, top + 28, "share of the speech sent", "middle")
    return drawing.render(top + 40)


def _parts(speech: dict[str, float]) -> dict[str, float]:
    """Shares that sum to 1: what was concealed but came afterwards counts as back-fill."""
    if not speech:
        return {}
    parts = {kind: speech[kind] for kind in ("ok", "nack", "fec", "red", "dtx", "backfill", "missing")}
    return parts | {"plc": max(0.0, 1 - sum(parts.values()))}
