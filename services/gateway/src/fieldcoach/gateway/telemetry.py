"""The gateway's instruments, and the spans that end an utterance's trace on the phone."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation

from fieldcoach.common.messages import Cue, FinalTranscript
from fieldcoach.common.telemetry import Counters, StageHistogram, extract, record_span

from .send_queue import QueuedEvent

MAX_CUES_REMEMBERED: Final = 64
"""Cues whose `shown` may still come: a visit has fewer, and an old one says nothing about latency."""


def plausible(at: float | None, earliest: float, received_at: float) -> float:
    """When a client did something: what it says if that can be true, else when we heard of it."""
    return at if at is not None and earliest <= at <= received_at else received_at


class GatewayTelemetry:
    """Counters and histograms of the process. Labels are words of ours, never a session or a text."""

    def __init__(self, sockets: Callable[[], int], audio_sockets: Callable[[], int]) -> None:
        self.problems = Counters("gateway_problems", "type", "Problems answered, by type")
        self.events = Counters("gateway_events", "type", "Events sent, by type")
        self.dropped = Counters("gateway_dropped", "reason", "Transcripts not sent, by reason")
        self.closes = Counters("gateway_closes", "code", "Events connections that we closed, by code")
        self.tokens_refused = Counters("gateway_tokens_refused", "reason", "Tokens refused, by reason")
        self.bad_messages = Counters("gateway_bad_messages", "type", "Client messages without effect")
        self.cue_actions = Counters("gateway_cue_actions", "action", "What became of cues, by the phone")
        self.sessions = Counters("gateway_sessions", "event", "Sessions begun and ended here")
        self.audio = Counters(
            "gateway_audio", "outcome", "Opus packets of audio sockets by what became of them"
        )
        self.audio_closes = Counters("gateway_audio_closes", "code", "Audio sockets that we closed, by code")
        self.client_media = Counters("gateway_client_media", "what", "What phones say that they sent")
        self.client_rtt = StageHistogram("client_rtt", "Round trip, as phones measure it")
        self.deliver = StageHistogram("gateway_deliver", "From the bus to the socket: finals and cues")
        self.e2e = StageHistogram("e2e", "End of the trigger line to the cue on the phone's screen")

        self._gauge("gateway_connections", sockets, "Open events connections")
        self._gauge("gateway_audio_connections", audio_sockets, "Open audio sockets")

    @staticmethod
    def _gauge(name: str, read: Callable[[], int], description: str) -> None:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(read())]

        metrics.get_meter("fieldcoach").create_observable_gauge(
            f"fieldcoach_{name}", callbacks=[observe], description=description
        )


class DeliveryTrace:
    """The spans `gateway.deliver` and `client.shown` of one connection."""

    def __init__(self, telemetry: GatewayTelemetry) -> None:
        self._telemetry = telemetry
        self._cues: OrderedDict[str, tuple[Context, float, float | None]] = OrderedDict()

    def delivered(self, item: QueuedEvent, sent_at: float) -> None:
        """A final or a cue has left; times in ms since 1970."""
        if not isinstance(item.event, FinalTranscript | Cue):
            return
        if item.live:
            self._telemetry.deliver.record_ms(max(0.0, sent_at - item.received_at))
        context = extract(item.headers)
        if trace.get_current_span(context).get_span_context().is_valid:
            context = record_span(
                "gateway.deliver", item.received_at, sent_at, context, {"fieldcoach.event": item.event.kind}
            )
        if isinstance(item.event, Cue):
            timing = item.event.trigger_timing
            self._cues[item.event.id] = (context, sent_at, timing.heard_at if timing else None)
            if len(self._cues) > MAX_CUES_REMEMBERED:
                self._cues.popitem(last=False)

    def shown(self, cue_id: str, at: float | None, received_at: float) -> float:
        """The phone shows a cue; returns when, in ms since 1970, by its clock if that can be true.

        Only the first word about a cue that we sent makes a span.
        """
        context, sent_at, heard_at = self._cues.pop(cue_id, (None, received_at, None))
        shown_at = plausible(at, sent_at, received_at)
        if context is None:
            return shown_at
        if trace.get_current_span(context).get_span_context().is_valid:
            record_span("client.shown", sent_at, shown_at, context)
        if heard_at is not None:
            self._telemetry.e2e.record_ms(max(0.0, shown_at - heard_at))
        return shown_at
