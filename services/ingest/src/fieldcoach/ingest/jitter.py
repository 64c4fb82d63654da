"""The jitter buffer: RTP packets in any order in, what to decode and what to make up in order out.

A machine listens, so a packet that is next in order goes out at once: without loss nothing is held. Only a
hole is waited for, until its deadline. Silence is told apart from loss by the sequence numbers, which do
not jump in discontinuous transmission (DTX).

Positions are RTP timestamps at 48 kHz, extended to never wrap; times are seconds on a monotonic clock.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from fieldcoach.common.opus import (
    MAX_PACKET_MS,
    OpusError,
    frame_samples,
    is_dtx,
    packet_has_lbrr,
    packet_samples,
)

from .delay import TransitEstimator
from .nack import NackScheduler

RTP_RATE: Final = 48_000
"""RFC 7587 section 4.1: the RTP clock of Opus, whatever is coded."""
TICKS_PER_MS: Final = RTP_RATE // 1_000

MIN_TARGET_S: Final = 0.06
MAX_TARGET_S: Final = 0.4
"""Bounds of the wait for a hole: a late word beats a lost one, but the delay must stay bounded. A repair
that is under way is waited for longer, see `nack.py`."""
REORDER_WAIT_S: Final = 0.02
"""A hole is waited for at least so long after it was seen: packets swap places within it."""
MAX_PLC: Final = MAX_PACKET_MS * TICKS_PER_MS
"""Concealment has faded to nothing by then; what is longer is a gap, and said to be one."""
CONCEAL_UNIT: Final = RTP_RATE // 400
"""libopus conceals in units of 2.5 ms."""
MAX_DROPOUT: Final = 3_000
"""RFC 3550 appendix A.1: a larger jump of the sequence number is another stream."""
MAX_AHEAD_S: Final = 2.0
"""Audio can't be captured before its time: a timestamp further ahead than this is another stream."""
MAX_HELD: Final = 256
"""Packets behind a hole; at the longest deadline and 20 ms a packet there are 60. Bounds a flood."""
RESOLVED: Final = 512
"""Sequence numbers of the last holes, to tell a late packet from a copy."""

DTX_STEP: Final = 20 * TICKS_PER_MS
DTX_SLACK_S: Final = 0.02
"""How much later than the 95th percentile a packet may be before silence is taken to be silence."""
MAX_DTX_AHEAD: Final = RTP_RATE
"""In DTX libopus sends a packet every 400 ms. After 1 s without one nothing is known any more."""


class FrameKind(Enum):
    """What the stream does with a frame."""

    PACKET = "packet"
    FEC = "fec"
    PLC = "plc"
    SILENCE = "silence"
    GAP = "gap"
    HELD = "held"
    RESTART = "restart"


class AudioPacket(NamedTuple):
    """One RTP packet: 16 bit sequence number, 32 bit timestamp, Opus payload, when it came."""

    sequence: int
    timestamp: int
    payload: bytes
    arrival: float


class Frame(NamedTuple):
    """One step of the output.

    `payload` is the packet to decode; for FEC the packet after the lost one; else empty. A RESTART has no
    duration: the sender began anew, so the positions after it are not comparable with those before.
    """

    kind: FrameKind
    timestamp: int
    duration: int
    arrival: float
    payload: bytes = b""
    is_repaired: bool = False
    """A packet that came because it was asked for."""


class _Held(NamedTuple):
    sequence: int
    timestamp: int
    duration: int
    packet: AudioPacket
    is_repaired: bool = False


class JitterBuffer:
    """One RTP stream. `push` and `poll` return frames; call `poll` when `next_due` has come.

    `count` is told what becomes of each packet: in-order, reordered, repaired, duplicate, late, lost,
    corrupt, stray. With `has_nack` the sender sends again what `nacks` asks for.
    """

    def __init__(self, count: Callable[[str, int], None], has_nack: bool = False) -> None:
        self._tell = count
        self._delay = TransitEstimator()
        self._nack = NackScheduler() if has_nack else None
        self.repaired = 0
        """Packets that came because they were asked for."""
        self._held: dict[int, _Held] = {}
        self._resolved: deque[int] = deque(maxlen=RESOLVED)
        self._highest: _Held | None = None
        self._next_sequence = 0
        self._first_sequence = 0  # of the stream's first packet to come; what it has overtaken is late
        self._packet_end = 0  # where the last packet's audio ends
        self._covered = 0  # where the output ends; beyond `_packet_end` only by silence
        self._duration = 0  # of the last packet
        self._in_dtx = False
        self._hole_deadline: float | None = None
        self._probation: AudioPacket | None = None
        self.longest_silence: int | None = None
        """In ticks. Not None while the phone may be holding sound back (`hold.py`): a longer jump of the
        timestamps is then a hole, and no silence is emitted by the clock."""

    # ── figures ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def target_delay(self) -> float:
        """How long after the fastest packet's time a hole is waited for, in seconds."""
        return min(MAX_TARGET_S, max(MIN_TARGET_S, self._delay.p95))

    @property
    def held(self) -> int:
        """Packets that wait behind a hole."""
        return len(self._held)

    @property
    def in_dtx(self) -> bool:
        """Whether the sender has said that it is silent."""
        return self._in_dtx

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to do; None if only a packet can change anything."""
        if self._held:
            return self._hole_deadline
        if (
            self._in_dtx
            and self.longest_silence is None
            and self._covered + DTX_STEP <= self._packet_end + MAX_DTX_AHEAD
        ):
            return self._silence_known_at(self._covered + DTX_STEP)
        return None

    @property
    def is_asking(self) -> bool:
        """Whether packets are missing that may still come by NACK."""
        return self._nack is not None and self._nack.wanted > 0

    def nacks(self, now: float, rtt: float | None) -> list[int]:
        """The sequence numbers (16 bit) to ask for now, in order; `rtt` as the connection knows it."""
        if self._nack is None:
            return []
        self._nack.tell_rtt(rtt)
        return [sequence & 0xFFFF for sequence in self._nack.due(now)]

    def _count(self, outcome: str, amount: int = 1) -> None:
        self._tell(outcome, amount)

    # ── input ────────────────────────────────────────────────────────────────────────────────────────────

    def push(self, packet: AudioPacket) -> list[Frame]:
        """A packet arrived."""
        try:
            duration = packet_samples(packet.payload, RTP_RATE)
        except OpusError:
            self._count("corrupt")
            return []
        held = self._extend(packet, duration)
        if self._highest is None or held is None:
            return self._begin_or_restart(packet, duration)
        self._probation = None
        if held.sequence < self._next_sequence:
            is_late = held.sequence in self._resolved or held.sequence < self._first_sequence
            self._count("late" if is_late else "duplicate")
            if self._nack is not None:
                self._nack.arrived(held.sequence, packet.arrival)
            return []
        if held.sequence in self._held:
            self._count("duplicate")
            return []
        if held.sequence > self._highest.sequence:
            self._count("in-order")
            self._want(self._highest.sequence + 1, held)
        elif self._nack is not None and self._nack.arrived(held.sequence, packet.arrival):
            self._count("repaired")
            self.repaired += 1
            held = held._replace(is_repaired=True)
        else:
            self._count("reordered")
        self._admit(held)
        return self._release(packet.arrival)

    def next_in_order(self, packet: AudioPacket) -> int | None:
        """Take the packet that everybody waits for, without a frame: nearly every one on a healthy link.

        Gives its position if it is the next one, begins where the last one ended and nothing is held;
        else None, nothing is taken, and `push` must have it. Both leave the buffer in the same state.
        """
        sequence, position = self._next_sequence, self._packet_end
        highest = self._highest
        if (
            packet.sequence != sequence & 0xFFFF
            or packet.timestamp != position & 0xFFFF_FFFF
            or self._covered != position
            or self._held
            or highest is None
            or highest.sequence + 1 != sequence
        ):
            return None
        try:
            duration = packet_samples(packet.payload, RTP_RATE)
        except OpusError:
            return None
        end = position + duration
        if end / RTP_RATE + self._delay.minimum - packet.arrival > MAX_AHEAD_S:
            return None
        self._probation = None
        self._tell("in-order", 1)
        self._highest = _Held(sequence, position, duration, packet)
        self._delay.add(end / RTP_RATE, packet.arrival)
        self._next_sequence = sequence + 1
        self._packet_end = self._covered = end
        self._duration = duration
        self._in_dtx = is_dtx(packet.payload)
        return position

    def _want(self, first: int, held: _Held) -> None:
        """What `held` has overtaken is asked for."""
        if self._nack is not None and first < held.sequence:
            self._nack.missing(first, held.sequence, self._duration / RTP_RATE, held.packet.arrival)

    def poll(self, now: float) -> list[Frame]:
        """Time has passed: a hole's deadline, or silence to tell of."""
        frames = self._release(now)
        if self._in_dtx and not self._held and self.longest_silence is None:
            frames += self._silence_by_clock(now)
        return frames

    def flush(self, now: float) -> list[Frame]:
        """The end: everything held, holes concealed."""
        return self._release(now, is_last=True)

    def _extend(self, packet: AudioPacket, duration: int) -> _Held | None:
        """Extend the numbers by the nearest of the highest so far; None if it can't be the same stream."""
        if self._highest is None:
            return None
        step = _signed(packet.sequence - self._highest.sequence, 16)
        ticks = _signed(packet.timestamp - self._highest.timestamp, 32)
        timestamp = self._highest.timestamp + ticks
        ahead = (timestamp + duration) / RTP_RATE + self._delay.minimum - packet.arrival
        is_contrary = step != 0 and (step > 0) != (ticks > 0)
        if abs(step) > MAX_DROPOUT or ahead > MAX_AHEAD_S or is_contrary:
            return None
        return _Held(self._highest.sequence + step, timestamp, duration, packet)

    def _begin_or_restart(self, packet: AudioPacket, duration: int) -> list[Frame]:
        frames: list[Frame] = []
        if self._highest is not None:
            # RFC 3550 appendix A.1: one stray packet proves nothing, two in sequence are a new stream
            before, self._probation = self._probation, packet
            if before is None or packet.sequence != (before.sequence + 1) & 0xFFFF:
                self._count("stray")
                return []
            frames = self.flush(packet.arrival)
            frames.append(Frame(FrameKind.RESTART, self._covered, 0, packet.arrival))
            self._probation = None
            self._delay = TransitEstimator()
            self._resolved.clear()
            if self._nack is not None:
                self._nack = NackScheduler()
        self._next_sequence = self._first_sequence = packet.sequence
        self._packet_end = self._covered = packet.timestamp
        self._in_dtx = False
        self._highest = None
        self._count("in-order")
        self._admit(_Held(packet.sequence, packet.timestamp, duration, packet))
        return frames + self._release(packet.arrival)

    def _admit(self, held: _Held) -> None:
        if self._highest is None or held.sequence > self._highest.sequence:
            self._highest = held
        self._held[held.sequence] = held
        if not held.is_repaired:  # its way says how long the repair took, not how late packets are
            self._delay.add((held.timestamp + held.duration) / RTP_RATE, held.packet.arrival)

    # ── output ───────────────────────────────────────────────────────────────────────────────────────────

    def _release(self, now: float, is_last: bool = False) -> list[Frame]:
        frames: list[Frame] = []
        while self._held:
            held = self._held.pop(self._next_sequence, None)
            if held is None:
                first = self._held[min(self._held)]
                if self._hole_deadline is None:
                    self._hole_deadline = self._deadline(first)
                if now < self._hole_deadline and not is_last and len(self._held) <= MAX_HELD:
                    break
                frames += self._fill_hole(first, now)
                continue
            self._hole_deadline = None
            frames += self._play(held)
        return frames

    def _play(self, held: _Held) -> list[Frame]:
        frames: list[Frame] = []
        if held.timestamp > self._covered:
            ticks = held.timestamp - self._covered
            frames.append(self._frame(self._kind_of_jump(ticks), ticks, held.packet.arrival))
        frames.append(
            Frame(
                FrameKind.PACKET,
                held.timestamp,
                held.duration,
                held.packet.arrival,
                held.packet.payload,
                held.is_repaired,
            )
        )
        self._next_sequence = held.sequence + 1
        self._packet_end = self._covered = held.timestamp + held.duration
        self._duration = held.duration
        self._in_dtx = is_dtx(held.packet.payload)
        return frames

    def _kind_of_jump(self, ticks: int) -> FrameKind:
        """Sequence numbers without a gap: silence, unless the phone may be holding sound back."""
        longest = self.longest_silence
        is_silence = longest is None or (self._in_dtx and ticks <= longest)
        return FrameKind.SILENCE if is_silence else FrameKind.HELD

    def _deadline(self, first: _Held) -> float:
        """Until when the hole before `first` is waited for."""
        expected = (self._packet_end + self._duration) / RTP_RATE + self._delay.minimum
        deadline = max(first.packet.arrival + REORDER_WAIT_S, expected + self.target_delay)
        repair = self._nack.deadline(self._next_sequence, self._delay.p95) if self._nack else None
        return deadline if repair is None else max(deadline, repair)

    def _fill_hole(self, first: _Held, now: float) -> list[Frame]:
        """Everything before `first` is given up: FEC from it, concealment, silence, gap, in true lengths.

        The lost packets held at most their number times the last packet time. What the timestamps jump
        beyond that is silence, whose first packet may be among the lost.
        """
        missing = first.sequence - self._next_sequence
        self._count("lost", missing)
        self._resolved.extend(range(max(self._next_sequence, first.sequence - RESOLVED), first.sequence))
        self._next_sequence = first.sequence
        self._hole_deadline = None
        if self._nack is not None:
            self._nack.give_up_before(first.sequence)
        jump = max(0, first.timestamp - self._covered)
        lost = min(jump, missing * self._duration)
        silence = jump - lost
        fec = self._fec_ticks(first.packet.payload, lost)
        plc = min(lost - fec, MAX_PLC) // CONCEAL_UNIT * CONCEAL_UNIT
        gap = lost - fec - plc
        made_up = [(FrameKind.PLC, plc), (FrameKind.GAP, gap)]
        quiet = [(self._kind_of_jump(silence), silence)]
        frames = [
            self._frame(kind, ticks, now)
            for kind, ticks in (quiet + made_up if self._in_dtx else made_up + quiet)
            if ticks
        ]
        if fec:
            frames.append(self._frame(FrameKind.FEC, fec, now, first.packet.payload))
        self._packet_end = max(self._packet_end, first.timestamp)
        return frames

    def _fec_ticks(self, payload: bytes, lost: int) -> int:
        try:
            if not packet_has_lbrr(payload):
                return 0
            ticks = frame_samples(payload, RTP_RATE)
        except OpusError:
            return 0
        return ticks if ticks <= lost else 0

    def _silence_known_at(self, until: int) -> float:
        """When a packet that holds sound before `until` would have come: then it is silence."""
        lateness = self._duration / RTP_RATE + self._delay.p95 + DTX_SLACK_S
        return until / RTP_RATE + self._delay.minimum + lateness

    def _silence_by_clock(self, now: float) -> list[Frame]:
        """Silence in real time, so that the end of an utterance need not wait 400 ms for the next packet.

        A packet that comes later than it should after all is played in full: the timeline then lags by
        the overlap until the next silence, and no word is cut.
        """
        limit = self._packet_end + MAX_DTX_AHEAD
        steps = 0
        while (
            self._covered + (steps + 1) * DTX_STEP <= limit
            and self._silence_known_at(self._covered + (steps + 1) * DTX_STEP) <= now
        ):
            steps += 1
        return [self._frame(FrameKind.SILENCE, steps * DTX_STEP, now)] if steps else []

    def _frame(self, kind: FrameKind, ticks: int, arrival: float, payload: bytes = b"") -> Frame:
        frame = Frame(kind, self._covered, ticks, arrival, payload)
        self._covered += ticks
        return frame


def _signed(difference: int, bits: int) -> int:
    """The difference of two wrapping numbers, the short way round."""
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half
