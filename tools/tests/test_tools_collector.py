"""The collector, fed by the exporters that the services use."""

import asyncio
import gzip

import aiohttp
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from fieldcoach.tools.collector import Collector


def export_spans(endpoint: str) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "fieldcoach-test"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("utterance") as span:
        span.set_attribute("n", 3)
        span.set_attribute("ratio", 0.5)
        span.set_attribute("good", True)
        span.set_attribute("list", ["a", "b"])
        with tracer.start_as_current_span("asr.decode"):
            pass
    provider.shutdown()


def export_metrics(endpoint: str) -> None:
    exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
    provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(exporter, 60_000)])
    provider.get_meter("test").create_counter("fieldcoach_things").add(1)
    provider.shutdown()


async def test_spans_and_metrics_arrive() -> None:
    async with Collector() as collector:
        await asyncio.to_thread(export_spans, collector.endpoint)
        await asyncio.to_thread(export_metrics, collector.endpoint)
        await asyncio.get_running_loop().shutdown_default_executor()
    [root], [child] = collector.named("utterance"), collector.named("asr.decode")
    assert (child.trace_id, child.parent_id, root.parent_id) == (root.trace_id, root.span_id, "")
    assert root.attributes == {"n": 3, "ratio": 0.5, "good": True, "list": ["a", "b"]}
    assert root.service == "fieldcoach-test"
    assert root.start_at <= child.start_at <= child.end_at <= root.end_at
    assert collector.trace(root.trace_id) == [root, child]
    assert collector.metric_names == {"fieldcoach_things"}


@pytest.mark.parametrize("body", [b"\xff\xff\xff", gzip.compress(b"\xff\xff\xff"), b"\x1f\x8bnot gzip"])
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics"])
async def test_what_is_no_otlp_is_refused_and_counted(path: str, body: bytes) -> None:
    async with Collector() as collector, aiohttp.ClientSession() as http:
        async with http.post(collector.endpoint + path, data=body) as response:
            assert response.status == 400
        assert collector.rejected == 1
