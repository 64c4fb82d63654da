"""An OTLP/HTTP collector in this process: keeps spans and counts metrics, for benchmarks and tests."""

import gzip
import zlib
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

MAX_SPANS = 100_000
"""About a thousand visits; the oldest go first."""
MAX_BODY_BYTES = 8 * 1024 * 1024
_PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """One finished span. Ids are hex; `parent_id` is empty for a root. Times are unix milliseconds."""

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    start_at: float
    end_at: float
    attributes: dict[str, Any]


class Collector:
    """Listens on a free loopback port; `endpoint` is what OTEL_EXPORTER_OTLP_ENDPOINT takes."""

    def __init__(self) -> None:
        self.spans: deque[CollectedSpan] = deque(maxlen=MAX_SPANS)
        self.metric_names: set[str] = set()
        self.rejected = 0
        self.endpoint = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/v1/traces", self._take_traces)
        app.router.add_post("/v1/metrics", self._take_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner:
            await self._runner.cleanup()

    def named(self, name: str) -> list[CollectedSpan]:
        """The spans of this name, oldest first."""
        return [span for span in self.spans if span.name == name]

    def trace(self, trace_id: str) -> list[CollectedSpan]:
        """The spans of one trace, by their start."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda s: s.start_at)

    async def _take_traces(self, request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest()
        if not await self._parse(request, message):
            return web.Response(status=400, text="not an OTLP trace request in protobuf")
        for resource in message.resource_spans:
            service = _attributes(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        CollectedSpan(
                            name=span.name,
                            service=str(service),
                            trace_id=span.trace_id.hex(),
                            span_id=span.span_id.hex(),
                            parent_id=span.parent_span_id.hex(),
                            start_at=span.start_time_unix_nano / 1e6,
                            end_at=span.end_time_unix_nano / 1e6,
                            attributes=_attributes(span.attributes),
                        )
                    )
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type=_PROTOBUF)

    async def _take_metrics(self, request: web.Request) -> web.Response:
        message = ExportMetricsServiceRequest()
        if not await self._parse(request, message):
            return web.Response(status=400, text="not an OTLP metrics request in protobuf")
        for resource in message.resource_metrics:
            for scope in resource.scope_metrics:
                self.metric_names.update(metric.name for metric in scope.metrics)
        answer = ExportMetricsServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type=_PROTOBUF)

    async def _parse(
        self, request: web.Request, message: ExportTraceServiceRequest | ExportMetricsServiceRequest
    ) -> bool:
        body = await request.read()
        try:
            # aiohttp inflates by itself where it knows the encoding, so look at the bytes, not at the header
            message.ParseFromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        except (DecodeError, OSError, EOFError, zlib.error):
            self.rejected += 1
            return False
        return True


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in _typed(pairs)}


def _typed(pairs: Any) -> list[KeyValue]:
    return list(pairs)


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
