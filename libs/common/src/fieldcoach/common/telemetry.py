"""OpenTelemetry: one trace per utterance, its context in NATS headers, counters that cost nothing.

Spans are made after the fact from wall-clock times, so the hot path never holds an open span.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span

STAGE_BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)

Headers = Mapping[str, str]
AttributeValue = str | int | float | bool


def set_up_telemetry(service: str, region: str, endpoint: str = "") -> None:
    """Install the providers of this process. Without an endpoint spans are dropped, metrics stay local."""
    resource = Resource.create({"service.name": f"fieldcoach-{service}", "fieldcoach.region": region})
    tracer_provider = TracerProvider(resource=resource)
    readers: list[MetricReader] = [PrometheusMetricReader()]
    if endpoint:
        base = endpoint.rstrip("/")
        tracer_provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=2), schedule_delay_millis=500
            )
        )
        readers.append(
            PeriodicExportingMetricReader(
                OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=2), export_interval_millis=10_000
            )
        )
    trace.set_tracer_provider(tracer_provider)
    stage_view = View(
        instrument_type=metrics.Histogram, aggregation=ExplicitBucketHistogramAggregation(STAGE_BUCKETS_S)
    )
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=readers, views=[stage_view]))


def shut_down_telemetry() -> None:
    """Send what is left, within two seconds."""
    tracer_provider = trace.get_tracer_provider()
    if isinstance(tracer_provider, TracerProvider):
        tracer_provider.force_flush(2_000)
        tracer_provider.shutdown()
    meter_provider = metrics.get_meter_provider()
    if isinstance(meter_provider, MeterProvider):
        meter_provider.shutdown(timeout_millis=2_000)


def inject(context: Context | None = None) -> dict[str, str]:
    """The NATS headers that carry a trace context (`traceparent`)."""
    headers: dict[str, str] = {}
    propagate.inject(headers, context=context)
    return headers


def extract(headers: Headers | None) -> Context:
    """The trace context in NATS headers; an empty one if there is none."""
    return propagate.extract(dict(headers or {}))


def record_span(
    name: str,
    start_at: float,
    end_at: float,
    parent: Context | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    links: Sequence[Link] = (),
) -> Context:
    """Make a finished span from wall-clock milliseconds; returns the context for its children.

    Never pass spoken or typed text as an attribute.
    """
    tracer = trace.get_tracer("fieldcoach")
    start_ns = round(start_at * 1e6)
    span: Span = tracer.start_span(
        name, context=parent or Context(), start_time=start_ns, attributes=attributes, links=links
    )
    span.end(end_time=max(start_ns, round(end_at * 1e6)))
    return trace.set_span_in_context(span, parent or Context())


class Counters:
    """Plain integers, read by one observable instrument when somebody asks.

    A `counter.add` costs 5 µs; adding to an int costs 0.1.
    """

    def __init__(self, name: str, label: str = "reason", description: str = "") -> None:
        self._label = label
        self._values: defaultdict[str, int] = defaultdict(int)
        metrics.get_meter("fieldcoach").create_observable_counter(
            f"fieldcoach_{name}", callbacks=[self._observe], description=description
        )

    def add(self, label: str, amount: int = 1) -> None:
        """Count `amount` under `label`."""
        self._values[label] += amount

    def __getitem__(self, label: str) -> int:
        return self._values.get(label, 0)

    def total(self) -> int:
        """The sum over all labels."""
        return sum(self._values.values())

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, {self._label: label}) for label, value in list(self._values.items())]


class StageHistogram:
    """Seconds spent in a stage, with the buckets of the SLOs."""

    def __init__(self, name: str, description: str = "") -> None:
        self._histogram = metrics.get_meter("fieldcoach").create_histogram(
            f"fieldcoach_{name}_seconds", unit="s", description=description
        )

    def record_ms(self, milliseconds: float) -> None:
        """Record one duration."""
        self._histogram.record(milliseconds / 1e3)
