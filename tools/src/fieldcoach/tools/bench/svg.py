"""Small plots as SVG, written by hand: they need no library, and look right on a light and on a dark page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

WIDTH = 800
LEFT, RIGHT = 145, 20
INNER = WIDTH - LEFT - RIGHT
TITLE_Y = 22
COLOURS = {
    # middle tones, to be told apart on white, on black, and by who sees no red or green
    "blue": "#3b82c4",
    "sky": "#7fb8e6",
    "violet": "#8f7fd6",
    "amber": "#e0a02f",
    "red": "#d1495b",
    "grey": "#9aa4af",
    "green": "#2a9d8f",
}
_STYLE = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#4b5563}"
    ".title{font-size:14px;font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}"
    ".grid{stroke:#8c959f;stroke-opacity:.3}.axis{stroke:#8c959f}"
    "@media(prefers-color-scheme:dark){text{fill:#aab4c0}}"
)


@dataclass(slots=True)
class Drawing:
    """Elements in drawing order, in pixels from the top left."""

    title: str
    elements: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text(LEFT, TITLE_Y, self.title, "title")

    def text(self, x: float, y: float, text: str, style: str = "") -> None:
        """`style`: `title`, `end` (right-aligned), `middle`."""
        self.elements.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str = "grid") -> None:
        """`style`: `grid` or `axis`."""
        self.elements.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'
        )

    def bar(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> None:
        """A filled rectangle."""
        self.elements.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
            f' fill="{COLOURS[colour]}" fill-opacity="{opacity:g}"/>'
        )

    def path(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """A line through points."""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.elements.append(
            f'<polyline points="{joined}" fill="none" stroke="{COLOURS[colour]}" stroke-width="2"/>'
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        """A point of a line."""
        self.elements.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[colour]}"/>')

    def legend(self, y: float, entries: Sequence[tuple[str, str, float]]) -> None:
        """One line of (text, colour, opacity), from the left edge of the plot."""
        x = float(LEFT)
        for name, colour, opacity in entries:
            self.bar(x, y - 10, 12, 12, colour, opacity)
            self.text(x + 17, y, name)
            x += 17 + 7 * len(name) + 18

    def render(self, height: float) -> str:
        """The file."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img"'
            f' aria-label="{escape(self.title)}"><style>{_STYLE}</style>{"".join(self.elements)}</svg>\n'
        )
