"""What this service counts and measures, and the spans of one utterance. Never a word that was spoken."""

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from fieldcoach.common.numbering import unix_ms
from fieldcoach.common.telemetry import Counters, Headers, StageHistogram, inject, record_span

from .engines.base import Engine
from .utterance import FinalText


class AsrTelemetry:
    """The instruments of one worker."""

    def __init__(self) -> None:
        self.finals = Counters("asr_finals", "outcome", "Utterances by outcome")
        self.partials = Counters("asr_partials", "outcome", "Partials sent, coalesced, late or failed")
        self.filters = Counters("asr_filters", "reason", "Decodes tried again or dropped, by filter")
        self.chunks = Counters("asr_chunks", "outcome", "PCM chunks consumed or rejected, by reason")
        self.claims = Counters("asr_claims", "outcome", "Sessions accepted or refused, by reason")
        self.sessions = Counters("asr_sessions", "reason", "Sessions released, by reason")
        self.decodes = Counters("asr_decodes", "kind", "Decodes by kind")
        self.endpoint = StageHistogram("asr_endpoint", "Last speech sample heard to end of utterance decided")
        self.compute = StageHistogram("asr_compute", "End of utterance decided to final published")
        self.decode = StageHistogram("asr_decode", "One decode")
        self.audio_s = 0.0
        """Seconds of audio in finals."""
        self.decode_s = 0.0
        """Seconds that decoders worked."""
        metrics.get_meter("fieldcoach").create_observable_gauge(
            "fieldcoach_asr_real_time_factor",
            callbacks=[self._observe],
            description="Decoding seconds per second of speech, partials included",
        )

    @property
    def real_time_factor(self) -> float:
        """Decoding seconds per second of speech since the start."""
        return self.decode_s / self.audio_s if self.audio_s else 0.0

    def _observe(self, _options: CallbackOptions) -> list[Observation]:
        return [Observation(self.real_time_factor)]


def wall_ms(monotonic_now: float) -> float:
    """What to add to a monotonic time in ms to get milliseconds since 1970."""
    return unix_ms() - monotonic_now * 1e3


def trace_utterance(final: FinalText, offset_ms: float, published_at: float, engine: Engine) -> Headers:
    """Record the utterance and its decode; returns the headers that carry the trace to the readers."""
    root = record_span(
        "utterance",
        final.heard_first_at * 1e3 + offset_ms,
        published_at,
        attributes={"speech_ms": (final.end_sample - final.first_sample) / 16},
    )
    record_span(
        "asr.decode",
        final.decode_started_at * 1e3 + offset_ms,
        final.decode_ended_at * 1e3 + offset_ms,
        parent=root,
        attributes={
            "engine": engine.name,
            "model": engine.model,
            "decode_ms": round(final.decode_s * 1e3, 1),
            "hidden": final.decode_ended_at <= final.decided_at,
        },
    )
    return inject(root)
