"""How a process's event loop is: its tasks, how late it wakes them, exceptions that nobody caught."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

LAG_EVERY_S: Final = 0.1
LAG_KEPT: Final = 100
"""The worst of the last 10 s is shown: a scrape every 5 or 10 s sees each stall, by whoever asks."""


class LoopWatch:
    """Gauges of the running loop. `run` measures its lag until it is cancelled."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lags: deque[float] = deque(maxlen=LAG_KEPT)
        self.exceptions = 0
        """That reached the loop: of a callback, or of a task that nobody awaited."""
        self._loop.set_exception_handler(self._handle)
        meter = metrics.get_meter("fieldcoach")
        meter.create_observable_gauge(
            "fieldcoach_loop_tasks", callbacks=[self._tasks], description="Tasks that are not done"
        )
        meter.create_observable_gauge(
            "fieldcoach_loop_lag_seconds",
            callbacks=[self._lag],
            description="How late the loop woke a task, the worst of the last 10 s",
        )
        meter.create_observable_counter(
            "fieldcoach_loop_exceptions",
            callbacks=[self._exceptions],
            description="Exceptions that nobody caught",
        )

    async def run(self) -> None:
        """Measure."""
        while True:
            due = time.monotonic() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._lags.append(max(0.0, time.monotonic() - due))

    def worst_lag_s(self) -> float:
        """Of the last 10 s."""
        return max(self._lags, default=0.0)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.exceptions += 1
        loop.default_exception_handler(context)

    # a reader may ask from a thread of its own

    def _tasks(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(len(asyncio.all_tasks(self._loop)))]

    def _lag(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.worst_lag_s())]

    def _exceptions(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.exceptions)]
