"""A scripted visit: what is said when, and what a right system makes of it (visits/README.md)."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import BenchError


@dataclass(frozen=True, slots=True)
class GoldOrder:
    """One order line as agreed."""

    sku: str
    qty: int
    unit: str


@dataclass(frozen=True, slots=True)
class GoldLine:
    """One line of the script; `start` and `end` in seconds of the recording."""

    start: float
    end: float
    speaker: str
    text: str
    stages: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()
    orders: tuple[GoldOrder, ...] = ()


@dataclass(frozen=True, slots=True)
class GoldVisit:
    """The script of one recording."""

    id: str
    language: str
    lines: tuple[GoldLine, ...]
    audio: Path
    script: Path
    seconds: float
    synthetic: bool

    @property
    def objections(self) -> set[str]:
        """Every objection that is raised."""
        return {name for line in self.lines for name in line.objections}

    @property
    def orders(self) -> dict[str, GoldOrder]:
        """By SKU, the last agreement on it."""
        return {order.sku.casefold(): order for line in self.lines for order in line.orders}

    def until(self, limit_s: float) -> "GoldVisit":
        """Only the lines that end within `limit_s`, and the audio up to half a pause after them.

        Raises:
            BenchError: not one line does.
        """
        kept = tuple(line for line in self.lines if line.end <= limit_s)
        if not kept:
            raise BenchError(f"{self.id}: no line ends within {limit_s:.0f} s")
        if len(kept) == len(self.lines):
            return self
        following = self.lines[len(kept)].start
        return replace(self, lines=kept, seconds=(kept[-1].end + following) / 2)


def load_visit(script: Path) -> GoldVisit:
    """Read one script and find its recording beside it.

    Raises:
        BenchError: not a visit, or no recording beside it; names the file and the field.
    """
    try:
        fields = json.loads(script.read_text())
    except (OSError, ValueError) as error:
        raise BenchError(f"{script}: can't be read as JSON ({error})") from error
    audio = next(
        (path for path in sorted(script.parent.glob(f"{script.stem}.*")) if path.suffix != script.suffix),
        None,
    )
    if audio is None:
        raise BenchError(f"{script}: no recording beside it; put {script.stem}.flac there")
    try:
        lines = tuple(_line(line) for line in fields["lines"])
        return GoldVisit(
            id=str(fields["id"]),
            language=str(fields.get("language", "en")),
            lines=lines,
            audio=audio,
            script=script,
            seconds=float(fields.get("seconds") or lines[-1].end),
            synthetic=bool(fields.get("synthetic", False)),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BenchError(
            f"{script}: not a visit ({type(error).__name__}: {error}); see visits/README.md"
        ) from error


def _line(fields: dict[str, Any]) -> GoldLine:
    return GoldLine(
        start=float(fields["start"]),
        end=float(fields["end"]),
        speaker=str(fields.get("speaker", "")),
        text=str(fields["text"]),
        stages=tuple(fields.get("stages") or ()),
        objections=tuple(fields.get("objections") or ()),
        orders=tuple(
            GoldOrder(str(order["sku"]), int(order["qty"]), str(order["unit"]))
            for order in fields.get("orders") or ()
        ),
    )


def visits_in(folder: Path, at_most: int) -> list[GoldVisit]:
    """The visits with a recording in a folder, by name.

    Raises:
        BenchError: there is none.
    """
    if not folder.is_dir():
        raise BenchError(f"--visits {folder}: no such folder")
    recorded = [
        script
        for script in sorted(folder.glob("*.json"))
        if any(path.suffix != ".json" for path in folder.glob(f"{script.stem}.*"))
    ]
    if not recorded:
        raise BenchError(f"--visits {folder}: no NAME.json with a recording NAME.flac beside it")
    return [load_visit(script) for script in recorded[:at_most]]
