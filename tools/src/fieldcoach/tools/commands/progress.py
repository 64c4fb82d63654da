"""What the user sees while the stack starts: a spinner on a terminal, else a line a change."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class StartProgress:
    """Names what is waited for. Use as a context manager around the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._last = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("starting")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def waiting(self, reasons: dict[str, str]) -> None:
        """Service name → why it is not ready."""
        text = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        if not text or text == self._last:
            return
        self._last = text
        if self._status:
            self._status.update(f"waiting for {escape(text)}")
        else:
            self._console.print(f"  waiting for {text}", markup=False, highlight=False, soft_wrap=True)
