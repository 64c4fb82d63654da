"""How a command runs and how it ends: see `cli.py` for the statuses."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

from fieldcoach.common.errors import FieldCoachError

T = TypeVar("T")


class reported:  # noqa: N801 - used as a statement
    """Turns our errors into a message and status 1; everything else is a bug and shows its traceback."""

    def __init__(self, interrupt_is_success: bool = False) -> None:
        self._interrupt_is_success = interrupt_is_success

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FieldCoachError):
            print(f"fieldcoach: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        if isinstance(error, _Interrupted):
            raise typer.Exit(0 if self._interrupt_is_success else 128 + error.number) from None


class _Interrupted(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGINT and SIGTERM cancel the work, so that everything it started is stopped."""
    return asyncio.run(_signalled(work))


async def _signalled(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def interrupt(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise _Interrupted(received[0]) from None
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
