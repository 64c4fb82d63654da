"""The visit on a terminal: transcript, cue card, checklist, link. Redrawn in place."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from .board import Board

REDRAWS_PER_S = 10
MIN_HEIGHT = 16
MAX_HEIGHT = 28


class LiveView:
    """Use as a context manager around the visit."""

    def __init__(
        self, console: Console, title: str, length_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._board = Board()
        self._title = title
        self._length_s = length_s
        self._clock = clock
        self._height = max(MIN_HEIGHT, min(MAX_HEIGHT, console.height - 2))
        self._live = Live(
            console=console, refresh_per_second=REDRAWS_PER_S, get_renderable=self.render, transient=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def session(self, answer: dict[str, Any]) -> None:
        """Name the engine and the profile."""
        self._board.session(answer)

    def audio_started(self, now: float) -> None:
        """Seconds count from here."""
        self._board.started = now

    def event(self, event: dict[str, Any], now: float) -> None:
        """Take it into the picture."""
        self._board.event(event, now)

    def render(self) -> RenderableType:
        """The picture of this moment."""
        screen = Layout(size=self._height)
        screen.split_column(Layout(name="body"), Layout(self._status(), size=1))
        screen["body"].split_row(
            Layout(Panel(self._transcript(), title="heard", border_style="blue"), ratio=3),
            Layout(name="coach", ratio=2),
        )
        screen["coach"].split_column(
            Layout(self._cue(), size=6), Layout(Panel(self._checklist(), title="checklist"))
        )
        return Group(_Sized(screen, self._height))

    def _transcript(self) -> Text:
        room = self._height - 5
        text = Text(overflow="fold")
        for start, line in list(self._board.finals)[-room:]:
            text.append(f"{start:6.1f}  ", style="dim")
            text.append(f"{line}\n")
        if self._board.committed or self._board.tentative:
            text.append("     …  ", style="dim")
            text.append(self._board.committed, style="bold")
            if self._board.tentative:
                text.append(f" {self._board.tentative.strip()}", style="dim italic")
        return text

    def _cue(self) -> Panel:
        if not self._board.cue_is_shown(self._clock()):
            return Panel(Text("listening", style="dim"), title="cue")
        body = Text(self._board.cue_text, style="bold")
        return Panel(body, title=self._board.cue_title or "cue", border_style="yellow")

    def _checklist(self) -> Text:
        text = Text()
        for stage in self._board.stages:
            mark, style = ("✓", "green") if stage.done else ("·", "dim")
            text.append(f"{mark} {stage.title}\n", style=style)
        return text

    def _status(self) -> Text:
        board = self._board
        at = 0.0 if board.started is None else min(self._clock() - board.started, self._length_s)
        text = Text(f" {self._title}  {at:5.1f} / {self._length_s:.0f} s  ", style="reverse")
        text.append(f"  {board.state}", style="green" if board.state == "live" else "yellow")
        if board.degraded:
            text.append(f"  degraded: {board.degraded}", style="red")
        if board.gaps_s:
            text.append(f"  gaps {board.gaps_s:.1f} s", style="red")
        text.append(f"  {board.link}  {board.asr}", style="dim")
        return text


class _Sized:
    """A layout takes the whole screen unless it is told its height."""

    def __init__(self, layout: Layout, height: int) -> None:
        self._layout = layout
        self._height = height

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield from console.render(self._layout, options.update_height(self._height))
