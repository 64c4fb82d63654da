"""The plot of a soak: one panel for each quantity, as SVG text."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 760
PANEL: Final = 96
LEFT: Final = 64
RIGHT: Final = 16
TOP: Final = 44
GAP: Final = 26
COLOUR: Final = "#1f6f8b"


def soak_plot(
    title: str, minutes: Sequence[float], series: Mapping[str, Sequence[float]], warm_up: float
) -> str:
    """Each series from zero to a little above its highest value; the warm-up is shaded. Times in minutes."""
    height = TOP + len(series) * (PANEL + GAP) + 14
    last = max(minutes, default=1.0) or 1.0

    def x(minute: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * minute / last

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="11" fill="#333">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="16" font-size="13">{escape(title)}</text>',
    ]
    for number, (name, values) in enumerate(series.items()):
        top = TOP + number * (PANEL + GAP)
        bottom = top + PANEL
        high = max([*values, 1e-9]) * 1.1
        points = " ".join(
            f"{x(minute):.1f},{bottom - PANEL * value / high:.1f}"
            for minute, value in zip(minutes, values, strict=True)
        )
        parts += [
            f'<rect x="{LEFT}" y="{top}" width="{x(warm_up) - LEFT:.1f}" height="{PANEL}" fill="#f1efe8"/>',
            f'<path d="M{LEFT} {top}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="#999"/>',
            f'<text x="{LEFT}" y="{top - 5}" font-weight="bold">{escape(name)}</text>',
            f'<text x="{LEFT - 4}" y="{top + 10}" text-anchor="end">{high:.4g}</text>',
            f'<text x="{LEFT - 4}" y="{bottom}" text-anchor="end">0</text>',
            f'<polyline points="{points}" fill="none" stroke="{COLOUR}" stroke-width="1.4"/>',
        ]
    axis = height - 8
    for tick in range(6):
        minute = last * tick / 5
        anchor = "end" if tick == 5 else "middle"
        parts.append(f'<text x="{x(minute):.1f}" y="{axis}" text-anchor="{anchor}">{minute:.4g} min</text>')
    return "\n".join([*parts, "</svg>", ""])
