"""Pictures of `bench network`: what is delivered at each loss, ours and stock; what each rung costs."""

from pathlib import Path
from typing import Any

from .svg import INNER, LEFT, Drawing

TOP, HEIGHT = 62, 240
BAR = 26
RECEIVERS = (("ours", "blue", "FieldCoach"), ("stock", "amber", "stock aiortc"))


def save_loss_plot(folder: Path, figures: dict[str, Any]) -> list[Path]:
    """Write `network-loss.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "network-loss.svg"
    path.write_text(loss_plot(figures))
    return [path]


def loss_plot(figures: dict[str, Any]) -> str:
    """Two bars for each loss level, with the worst and the best visit as a line."""
    drawing = Drawing(f"Voice delivered at {figures['round_trip_ms']:.0f} ms of round trip")
    entries = [(title, colour, 1.0) for _, colour, title in RECEIVERS]
    drawing.legend(TOP - 18, [*entries, ("line: worst to best visit", "grey", 1.0)])
    for fifth in range(6):
        y = TOP + HEIGHT * (1 - fifth / 5)
        drawing.line(LEFT, y, LEFT + INNER, y)
        drawing.text(LEFT - 8, y + 4, f"{20 * fifth} %", "end")
    levels = sorted(figures["delivered"]["stock"])
    for place, level in enumerate(levels):
        middle = LEFT + INNER * (place + 0.5) / len(levels)
        for side, (receiver, colour, _) in enumerate(RECEIVERS):
            share = figures["delivered"][receiver][level]
            low, high = figures["spread"][receiver][level]
            left = middle + (side - 1) * BAR
            drawing.bar(left + 1, TOP + HEIGHT * (1 - share), BAR - 2, HEIGHT * share, colour)
            drawing.bar(left + BAR / 2 - 1, TOP + HEIGHT * (1 - high), 2, HEIGHT * (high - low), "grey")
        drawing.text(middle, TOP + HEIGHT + 18, f"{int(level[1:3])} %", "middle")
        drawing.text(middle, TOP + HEIGHT + 34, f"burst {level[4:]}", "middle")
    drawing.text(LEFT + INNER / 2, TOP + HEIGHT + 56, "packet loss, mean packets lost in a row", "middle")
    return drawing.render(TOP + HEIGHT + 68)


def save_wire_plot(folder: Path, figures: dict[str, Any]) -> list[Path]:
    """Write `network-wire.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "network-wire.svg"
    path.write_text(wire_plot(figures))
    return [path]


def wire_plot(figures: dict[str, Any]) -> str:
    """Bars for Chromium, payload and headers apart, and dots for the phone in Python."""
    drawing = Drawing("On the wire while speaking, by rung")
    drawing.legend(
        TOP - 18,
        [
            ("payload", "blue", 1.0),
            ("RTP, SRTP, UDP and IP headers", "sky", 1.0),
            ("dot: the phone in Python", "amber", 1.0),
        ],
    )
    highest = 10 * (1 + max(one["wire_kbps"] for one in figures["chromium"].values()) // 10)
    for kbps in range(0, int(highest) + 1, 10):
        y = TOP + HEIGHT * (1 - kbps / highest)
        drawing.line(LEFT, y, LEFT + INNER, y)
        drawing.text(LEFT - 8, y + 4, f"{kbps} kbps", "end")
    names = list(figures["chromium"])
    for place, name in enumerate(names):
        one = figures["chromium"][name]
        middle = LEFT + INNER * (place + 0.5) / len(names)
        whole, payload = (HEIGHT * one[part] / highest for part in ("wire_kbps", "payload_kbps"))
        drawing.bar(middle - BAR, TOP + HEIGHT - whole, 2 * BAR, whole - payload, "sky")
        drawing.bar(middle - BAR, TOP + HEIGHT - payload, 2 * BAR, payload, "blue")
        drawing.text(middle, TOP + HEIGHT - whole - 12, f"{one['wire_kbps']:.1f}", "middle")
        if name in figures["wire_kbps_phone"]:
            kbps = figures["wire_kbps_phone"][name]
            drawing.dot(middle, TOP + HEIGHT * (1 - kbps / highest), "amber")
        drawing.text(middle, TOP + HEIGHT + 18, "Chrome's default" if name == "default" else name, "middle")
    drawing.text(LEFT + INNER / 2, TOP + HEIGHT + 40, "rung of the ladder", "middle")
    return drawing.render(TOP + HEIGHT + 52)
