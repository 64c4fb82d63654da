"""The ingest's instruments. Labels are outcomes, flags and reasons, never a session."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from fieldcoach.common.audio import Flag
from fieldcoach.common.messages import FinalTranscript, ProfileApplied
from fieldcoach.common.telemetry import Counters, Headers, StageHistogram, extract, record_span

from .timeline import Chunk
from .uplink import Uplink

_FLAG_NAMES: Final[Mapping[Flag, str]] = {
    Flag.FEC: "fec",
    Flag.RED: "red",
    Flag.NACK: "nack",
    Flag.PLC: "plc",
    Flag.DTX: "dtx",
    Flag.GAP: "gap",
}


@cache
def _flag_name(flags: Flag) -> str:
    """The last of the names that apply; kept, since to ask an enum six times costs 10 µs."""
    names = [name for flag, name in _FLAG_NAMES.items() if flags & flag]
    return names[-1] if names else "ok"


class IngestTelemetry:
    """Counters, gauges, one histogram, one span."""

    def __init__(self) -> None:
        self.packets = Counters("ingest_packets", "outcome", "RTP packets by what became of them")
        self.audio_ms = Counters("ingest_audio_ms", "flag", "Milliseconds of the timelines by flag")
        self.asked = Counters("ingest_asked_again", "by", "Lost packets that were asked for again")
        self.offers = Counters("ingest_offers", "outcome", "SDP offers by answer or problem type")
        self.transports = Counters("ingest_transports", "event", "What went wrong or ended on transports")
        self.claims = Counters("ingest_claims", "outcome", "Claims of asr workers")
        self.failovers = Counters("ingest_failovers", "reason", "Changes of asr worker in mid-session")
        self.lost_ms = Counters("ingest_lost_ms", "reason", "Milliseconds told as gaps, by reason")
        self.ended = Counters("ingest_sessions_ended", "reason", "Sessions by the reason of their end")
        self.commands = Counters("ingest_commands", "outcome", "Commands to phones by what became of them")
        self.backfill = Counters("ingest_backfill", "outcome", "Missing ranges and what came for them")
        self.acks = Counters("ingest_acks", "outcome", "Acks by what became of them")
        self.uplinks = Counters("ingest_uplinks", "outcome", "Finals whose way through the ingest was traced")
        self.phone_rtt = StageHistogram("ingest_phone_rtt", "Round trips that phones tell of")
        self.uplink = StageHistogram("ingest_uplink", "Arrival of a packet to publishing of its chunk")

    def gauge(self, name: str, read: Callable[[], int], description: str) -> None:
        """A figure that is read when somebody asks."""

        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(read())]

        metrics.get_meter("fieldcoach").create_observable_gauge(
            f"fieldcoach_{name}", callbacks=[observe], description=description
        )

    def chunk(self, chunk: Chunk) -> None:
        """Count a chunk's time under its flag."""
        self.audio_ms.add(_flag_name(chunk.flags), chunk.n_samples // 16)

    def applied(self, applied: ProfileApplied) -> None:
        """Count whether a phone says how its media fare, and how long it says a round trip takes."""
        stats = applied.stats
        self.commands.add("without-stats" if stats is None else "with-stats")
        if stats is not None and stats.rtt_ms is not None:
            self.phone_rtt.record_ms(stats.rtt_ms)

    def trace_uplink(
        self, final: FinalTranscript, headers: Headers, uplink: Uplink | None, wall_offset_s: float
    ) -> None:
        """The span of an utterance's last packet through this service.

        `wall_offset_s` is the wall clock minus the monotonic one, in seconds.
        """
        if uplink is None:
            self.uplinks.add("unknown")
            return
        arrived_at = (uplink.arrived + wall_offset_s) * 1e3
        published_at = (uplink.published + wall_offset_s) * 1e3
        self.uplinks.add("traced")
        self.uplink.record_ms(published_at - arrived_at)
        record_span(
            "ingest.uplink",
            arrived_at,
            published_at,
            extract(headers),
            {
                "session": final.session,
                "end_sample": final.end_sample,
                "ms": round(published_at - arrived_at, 3),
                "packet_arrived_at": round(arrived_at, 3),
                "chunk_published_at": round(published_at, 3),
            },
        )


def wall_offset_s() -> float:
    """The wall clock minus the monotonic one, now. Read per final: the wall clock may be set meanwhile."""
    return time.time() - time.monotonic()
