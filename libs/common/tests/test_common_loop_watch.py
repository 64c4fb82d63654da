"""Gauges of the event loop."""

import asyncio
import time

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.support import until

from fieldcoach.common.loop_watch import LoopWatch


def read(reader: InMemoryMetricReader) -> dict[str, float]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: point.value  # type: ignore[union-attr] # gauges and sums have one
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


async def test_tasks_lag_and_what_nobody_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    monkeypatch.setattr("fieldcoach.common.loop_watch.LAG_EVERY_S", 0.01)
    loop = asyncio.get_running_loop()
    watch = LoopWatch()
    watching = asyncio.create_task(watch.run())
    told: list[str] = []
    monkeypatch.setattr(loop, "default_exception_handler", lambda context: told.append(context["message"]))
    before = read(reader)
    waiting = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    assert read(reader)["fieldcoach_loop_tasks"] == before["fieldcoach_loop_tasks"] + 1
    assert before["fieldcoach_loop_exceptions"] == 0

    await asyncio.sleep(0.02)
    time.sleep(0.2)  # noqa: ASYNC251 - this is the stall
    await until(lambda: watch.worst_lag_s() > 0.1)
    assert read(reader)["fieldcoach_loop_lag_seconds"] > 0.1

    loop.call_soon(lambda: 1 / 0)
    await until(lambda: watch.exceptions == 1)
    assert read(reader)["fieldcoach_loop_exceptions"] == 1
    assert len(told) == 1  # the log has it as before
    loop.set_exception_handler(None)
    for task in (watching, waiting):
        task.cancel()
    await asyncio.gather(watching, waiting, return_exceptions=True)
    provider.shutdown()
