"""One session: wires its cores together and says what must go out. No bus and no waiting in here.

packet → `AudioStream` → `Timeline` → `Delivery` → (service) → bus.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.messages import Ack, Problem, Rung

from .adaptation import Adaptation
from .announcements import Announcements
from .connection import Connection
from .delivery import Claim, Delivery, DeliveryTiming
from .jitter import AudioPacket
from .life import LifeTiming, SessionLife
from .missing import SETTLE_HELD_S, SETTLE_S, Anchor, MissingRanges, Range
from .profile import SendProfile
from .resumption import Resumption
from .stream import AudioStream
from .telemetry import IngestTelemetry, wall_offset_s
from .timeline import Timeline
from .uplink import UplinkTimes
from .whip_resource import superseded, unknown
from .workers import WorkerTable

UPKEEP_S: Final = 0.25
"""How often states and delivery are looked at between chunks: a quarter of the shortest rule (1 s), half of
the ladder's look. Each costs half a packet."""
STOP_TOLD_S: Final = 1.0
"""So long after audio was stopped on purpose, a gap tells the recogniser that nothing follows."""
LINGER_S: Final = 15.0
"""After the end the ring is kept until the transcript is complete, or so long: an asr failover can still
need it, and a final takes seconds at worst."""
DISOWNED: Final = frozenset({"refused-unclaimed", "refused-ending"})
"""What a worker answers to a range of a session of which it has heard nothing for long."""
FORMER: Final = 8
"""Names of connections that are remembered after them, to tell a late request what has become of its own."""


@dataclass(frozen=True, slots=True)
class SessionTiming:
    """All timers of a session."""

    life: LifeTiming = field(default_factory=LifeTiming)
    delivery: DeliveryTiming = field(default_factory=DeliveryTiming)


class Session:
    """What the ingest knows of one visit. Times are seconds on the monotonic clock."""

    def __init__(
        self,
        session: str,
        languages: tuple[str, ...],
        workers: WorkerTable,
        telemetry: IngestTelemetry,
        is_connected: Callable[[], bool],
        wake: Callable[["Session"], None],
        now: float,
        timing: SessionTiming | None = None,
        resumption: Resumption | None = None,
        held_rung: Rung | None = None,
        *,
        playbook: str | None = None,
    ) -> None:
        timing = timing or SessionTiming()
        self.id = session
        self.languages = languages
        self.playbook = playbook
        self.life = SessionLife(now, timing.life)
        self.delivery = Delivery(session, timing.delivery)
        self.uplinks = UplinkTimes()
        self.adaptation = Adaptation(now, telemetry.commands.add, held_rung)
        self.missing = MissingRanges(telemetry.backfill.add)
        self._announcements = Announcements(session, telemetry)
        self.outbox = self._announcements.outbox
        self.claims: deque[Claim] = deque()
        self.retired: deque[Connection] = deque()
        """Peer connections to close."""
        self._workers = workers
        self._telemetry = telemetry
        self._is_connected = is_connected
        self._wake = wake
        self._timeline = Timeline()
        self._stream: AudioStream | None = None
        self._source: tuple[Connection, int] | None = None
        self._peers: list[Connection] = []
        self._former: deque[str] = deque(maxlen=FORMER)
        self._break_reason = "reconnected"
        self._stopped: tuple[float, str] | None = None
        if resumption is not None:
            self._resume(resumption, now)
        self._upkeep_at = now
        self.due_at = now
        """When `tick` and the connections' upkeep are due: 4 times a second and at deadlines."""
        self._gone_at: float | None = None

    def _resume(self, resumption: Resumption, now: float) -> None:
        """Another ingest had this session: its clock goes on, under a higher epoch."""
        origin_ms = resumption.origin_ms
        origin = None if origin_ms is None else origin_ms / 1e3 - wall_offset_s()
        self._timeline.resume(resumption.sample, origin, now)
        self.delivery.epoch = resumption.epoch
        self._break_reason = "ingest-lost"

    # ── the phone's connections ──────────────────────────────────────────────────────────────────────────

    @property
    def profile(self) -> SendProfile:
        """What a new connection is asked to send first."""
        return self.adaptation.first_profile

    @property
    def peers(self) -> tuple[Connection, ...]:
        """The connections, oldest first; two while a new one is coming up."""
        return tuple(self._peers)

    def attach(self, peer: Connection, now: float) -> None:
        """A new connection. The one in use goes on until the new one brings a packet."""
        current = self._source[0] if self._source else None
        for old in [old for old in self._peers if old is not current]:
            self._retire(old)
        self._peers.append(peer)
        self.life.offered(now)
        self._announcements.command(self.adaptation.connected(now), peer.has_nack)
        self._tell(now)
        self._wake(self)

    def find(self, resource: str) -> Connection | Problem:
        """The connection of a WHIP resource; without a name the newest.

        The problem tells whether a newer one is in use, or nothing is.
        """
        known = [peer for peer in self._peers if resource in ("", peer.resource.name)]
        if known:
            return known[-1]
        return superseded() if resource in self._former and self._peers else unknown()

    def restarted(self, now: float) -> None:
        """The phone works on its connection again: it is not given up yet."""
        self.life.offered(now)
        self._collect(now)

    def on_packet(self, peer: Connection, ssrc: int, packet: AudioPacket) -> bool:
        """An RTP packet of any of the connections; says whether it came because it was asked for."""
        now = packet.arrival
        stream, source, life, timeline = self._stream, self._source, self.life, self._timeline
        if stream is None or source is None or source[0] is not peer or source[1] != ssrc:
            outcome = self._why_not(peer, now)
            if outcome is not None:
                self._telemetry.packets.add(outcome)
                return False
            stream = self._switch(peer, ssrc, now)
        life.heard(now)
        self.adaptation.arrivals.add(packet.sequence, packet.timestamp, packet.payload, now)
        is_repaired = stream.push(packet)
        if timeline.has_output or life.has_changes:  # two packets of 20 ms out of three make none
            self._collect(now)
        self.due_at = self._next_due(now)
        return is_repaired

    def _why_not(self, peer: Connection, now: float) -> str | None:
        """What becomes of a packet that no stream waits for; None if one begins with it."""
        if self.life.has_ended:
            return "after-end"
        if peer not in self._peers:
            return "old-connection"
        self.life.heard(now)
        return "paused" if self.life.state == "paused" else None

    def nacks(self, peer: Connection, now: float) -> tuple[int, list[int]] | None:
        """What to ask that connection for again: the SSRC, and 16 bit sequence numbers in order."""
        if self._stream is None or self._source is None or self._source[0] is not peer:
            return None
        sequences = self._stream.nacks(now, peer.rtt_s)
        if not sequences:
            return None
        self._telemetry.asked.add("nack", len(sequences))
        return self._source[1], sequences

    def _switch(self, peer: Connection, ssrc: int, now: float) -> AudioStream:
        self._close_stream(now)
        count = self._telemetry.packets.add
        stream = self._stream = AudioStream(self._timeline, count, self._break_reason, peer.has_nack)
        self._source = (peer, ssrc)
        self.adaptation.switched()
        self._note_hold(now)
        self._break_reason = "reconnected"
        self._stopped = None
        for old in [old for old in self._peers if old is not peer]:
            self._retire(old)
        return stream

    def on_lost(self, peer: Connection, reason: str, now: float) -> None:
        """A connection failed or is given up; without another one the session is suspended."""
        if peer not in self._peers:
            return
        self._retire(peer)
        if self._source is not None and self._source[0] is peer:
            self._stop(now, "disconnected")
            self._source = None
        if not self._peers:
            self.life.transport_lost(now, reason)
        self._collect(now)

    def _retire(self, peer: Connection) -> None:
        self._peers.remove(peer)
        self._former.append(peer.resource.name)
        self.retired.append(peer)

    # ── the user's word ──────────────────────────────────────────────────────────────────────────────────

    def pause(self, now: float) -> None:
        """From now on audio is discarded."""
        if self.life.has_ended or self.life.state == "paused":
            return
        self._stop(now, "paused")
        self.life.pause(now)
        self._collect(now)

    def resume(self, now: float) -> None:
        """Audio counts again."""
        self.life.resume(now)
        self._collect(now)

    def end(self, reason: str, now: float, announce: bool) -> None:
        """The visit is over: everything held goes out, then the last chunk. `announce` tells the others."""
        if self.life.has_ended:
            return
        if announce:
            self._announcements.ending(reason)
        self._close_stream(now)
        self._timeline.finish()
        self.missing.end()
        self.life.end(reason)
        for peer in list(self._peers):
            self._retire(peer)
        self._source = None
        self._gone_at = now + LINGER_S
        self._telemetry.ended.add(reason)
        self._collect(now)

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> None:
        """Called when `due_at` has come; sooner does no harm."""
        stream = self._stream
        is_due = False
        if stream is not None and stream.next_due is not None and now >= stream.next_due:
            stream.poll(now)
            is_due = True
        pending = self._timeline.next_due
        if pending is not None and now >= pending:
            self._timeline.poll(now)
            is_due = True
        if now >= self._upkeep_at:
            self._upkeep_at = now + UPKEEP_S
            self._upkeep(now)
            is_due = True
        if is_due:
            self._collect(now)
        self.due_at = self._next_due(now)

    def _next_due(self, now: float) -> float:
        due = self._upkeep_at
        pending = self._timeline.next_due
        if pending is not None and pending < due:
            due = pending
        stream = self._stream
        if stream is not None and not stream.is_idle:
            waiting = stream.next_due
            if waiting is not None and waiting < due:
                due = waiting
            if stream.is_asking:
                due = now  # the scheduler of NACKs is asked at every turn of the clock
        return due

    def _upkeep(self, now: float) -> None:
        before = self.life.state
        reason = self.life.tick(now)
        if reason is not None:
            self.end(reason, now, announce=True)
            return
        if self.life.state == "suspended" and before != "suspended":
            self._stop(now, "suspended")
            self._tell_stop(now)
        if self._stopped is not None and now - self._stopped[0] >= STOP_TOLD_S:
            self._tell_stop(now)
        if self._source is not None and self.life.state in ("live", "suspended"):
            peer = self._source[0]
            command = self.adaptation.poll(peer.rtt_s, now)
            if command is not None:
                self._announcements.command(command, peer.has_nack)
        self._note_hold(now)
        self._ask_missing(now)
        if self.life.should_free(now):
            for peer in list(self._peers):
                self.on_lost(peer, "vanished", now)

    def _note_hold(self, now: float) -> None:
        """Who may be holding sound back is believed no silence, and is not given up so soon."""
        if self._stream is not None:
            self._stream.hold(self.adaptation.hold.longest_silence_s(now))
        self.life.is_sparse = self.adaptation.is_paused

    def _ask_missing(self, now: float) -> None:
        """Tell the phone what it is asked to send again from its memory."""
        if self.missing.is_idle:
            return
        anchor = None
        if self._stream is not None and self._source is not None and self._timeline.anchor is not None:
            anchor = Anchor(self._source[1], *self._timeline.anchor)
        settle_s = SETTLE_HELD_S if self.adaptation.hold.is_on(now) else SETTLE_S
        if self.missing.has_ready:
            self.delivery.want()
        ranges = self.missing.poll(now, self._timeline.expected_at(now), anchor, settle_s)
        if ranges is not None:
            self._announcements.missing(ranges)

    def late_ms(self, sample: int, now: float) -> float:
        """How far the session's clock is past this sample, in ms."""
        return max(0.0, (self._timeline.expected_at(now) - sample) * 1_000 / SAMPLE_RATE)

    def is_gone(self, now: float) -> bool:
        """Whether nothing of the session is needed any more."""
        return self._gone_at is not None and now >= self._gone_at and not self.outbox

    def transcript_complete(self, now: float) -> None:
        """The asr has said its last word."""
        if self.life.has_ended:
            self._gone_at = now

    def claimed(self, claim: Claim, now: float) -> None:
        """The worker took the session."""
        self.delivery.claimed(claim, now)
        self._collect(now)

    def refused(self, claim: Claim, now: float) -> None:
        """The worker refused, or did not answer."""
        self.delivery.refused(claim)
        self._collect(now)

    def acked(self, worker: str, ack: Ack, now: float) -> str:
        """A worker acknowledged; gives what came of it."""
        outcome = self.delivery.acked(worker, ack.epoch, ack.seq, now)
        if outcome == "went-back":
            self._wake(self)
        return outcome

    def unfilled(self, late: Range, worker: str, refusal: str, now: float) -> None:
        """A range was not transcribed: it will be tried again, by another worker if this one has not us."""
        if refusal in DISOWNED:
            self.delivery.disowned(worker, now)
        self.missing.failed(late, now)
        self._collect(now)

    def worker_changed(self, now: float) -> None:
        """The worker said bye, or the bus is back: look at once."""
        self._collect(now)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────

    def _stop(self, now: float, reason: str) -> None:
        """Audio stops for a known reason; what follows, follows a gap."""
        if self._stream is not None:
            self._close_stream(now)
            self._stopped = (now, reason)
        self._break_reason = reason

    def _tell_stop(self, now: float) -> None:
        if self._stopped is not None:
            self._timeline.gap(self._timeline.expected_at(now), self._stopped[1])
            self._stopped = None

    def _close_stream(self, now: float) -> None:
        if self._stream is not None:
            self._stream.close(now)
            self._stream = None

    def _collect(self, now: float) -> None:
        """What the cores have made becomes chunks to send and events to tell."""
        for chunk in self._timeline.drain():
            self._telemetry.chunk(chunk)
            overflow = self.delivery.append(chunk, now)
            if overflow is not None:
                self._announcements.overflowed(overflow)
        for hole in self._timeline.drain_holes():
            if hole.is_told:
                self._announcements.gap(hole.first_sample, hole.n_samples, hole.reason)
            self.missing.add(*hole.doubt, hole.reason, now)
        self._poll_delivery(now)
        self._announcements.tell_overflow(self.delivery.worker is not None or self.life.has_ended)
        self._tell(now)
        if self.delivery.has_next or self.outbox or self.claims or self.retired or not self.missing.is_idle:
            self._wake(self)

    def _poll_delivery(self, now: float) -> None:
        claim = self.delivery.poll(now, self._is_connected(), self._workers)
        if claim is not None:
            self.claims.append(claim)
        self._announcements.failovers(self.delivery.failovers)

    def _tell(self, now: float) -> None:
        sample = self._timeline.end
        for change in self.life.drain():
            self._announcements.state(change.state, change.reason, sample)
        if not self.life.has_ended:
            self._announcements.degraded(self.delivery.is_degraded(now), self.life.state, sample)
