"""Spans from a final and a cue to the phone's screen."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fieldcoach.common.messages import EventMessage
from fieldcoach.common.telemetry import Headers, inject, record_span
from fieldcoach.gateway import telemetry as telemetry_module
from fieldcoach.gateway.send_queue import QueuedEvent
from fieldcoach.gateway.telemetry import DeliveryTrace, GatewayTelemetry, plausible

from .gateway_samples import cue, final, state


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", lambda name: provider.get_tracer(name))
    return exporter


@pytest.fixture
def delivery() -> DeliveryTrace:
    return DeliveryTrace(GatewayTelemetry(lambda: 0, lambda: 0))


def item(event: EventMessage, headers: Headers) -> QueuedEvent:
    return QueuedEvent(event, headers, 2_000.0, "c1", True)


def ids(span: ReadableSpan) -> tuple[int, int | None]:
    assert span.context is not None
    return span.context.trace_id, span.parent.span_id if span.parent else None


def test_shown_is_a_child_of_deliver_is_a_child_of_the_cue(
    spans: InMemorySpanExporter, delivery: DeliveryTrace
) -> None:
    headers = inject(record_span("coach.rules", 1_000, 1_001))
    sample = cue(1)
    delivery.delivered(item(sample, headers), sent_at=2_010.0)
    assert delivery.shown(sample.id, at=2_050.0, received_at=2_080.0) == 2_050.0
    rules, deliver, shown = spans.get_finished_spans()
    assert (deliver.name, shown.name) == ("gateway.deliver", "client.shown")
    assert deliver.context is not None
    assert rules.context is not None
    assert ids(deliver) == (rules.context.trace_id, rules.context.span_id)
    assert ids(shown) == (rules.context.trace_id, deliver.context.span_id)
    assert (deliver.start_time, deliver.end_time) == (2_000_000_000, 2_010_000_000)
    assert (shown.start_time, shown.end_time) == (2_010_000_000, 2_050_000_000)


def test_only_the_first_word_about_a_known_cue_counts(
    spans: InMemorySpanExporter, delivery: DeliveryTrace
) -> None:
    sample = cue(1)
    delivery.delivered(item(sample, inject(record_span("coach.rules", 1_000, 1_001))), 2_010.0)
    delivery.shown(sample.id, None, 2_080.0)
    assert delivery.shown(sample.id, None, 2_090.0) == 2_090.0
    assert delivery.shown("x" * 26, 5.0, 2_090.0) == 2_090.0
    assert [span.name for span in spans.get_finished_spans()].count("client.shown") == 1


def test_without_a_context_there_is_no_span(spans: InMemorySpanExporter, delivery: DeliveryTrace) -> None:
    sample = cue(1, trigger_timing=None)
    delivery.delivered(item(sample, {}), 2_010.0)
    delivery.delivered(item(final(1), {}), 2_010.0)
    delivery.delivered(item(state(1), {}), 2_010.0)
    delivery.shown(sample.id, None, 2_080.0)
    assert spans.get_finished_spans() == ()


def test_the_memory_of_cues_is_bounded(
    spans: InMemorySpanExporter, delivery: DeliveryTrace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry_module, "MAX_CUES_REMEMBERED", 2)
    headers = inject(record_span("coach.rules", 1_000, 1_001))
    samples = [cue(n) for n in range(3)]
    for sample in samples:
        delivery.delivered(QueuedEvent(sample, headers, 2_000.0, "c", False), 2_010.0)
    spans.clear()
    for sample in samples:
        delivery.shown(sample.id, None, 2_080.0)
    assert len(spans.get_finished_spans()) == 2


def test_a_clients_time_is_taken_if_it_can_be_true() -> None:
    assert plausible(5.0, 4.0, 6.0) == 5.0
    assert plausible(3.0, 4.0, 6.0) == 6.0
    assert plausible(7.0, 4.0, 6.0) == 6.0
    assert plausible(None, 4.0, 6.0) == 6.0
