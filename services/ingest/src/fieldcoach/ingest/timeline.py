"""One session's clock and its chunks: whatever the streams deliver becomes one continuous timeline.

The clock counts samples at 16 kHz since the session's first packet. A stream's timestamps map to it from
its first packet on; a new stream (another peer connection, a pause, a restart of the sender) is placed by
the wall clock, and the hole before it is a gap of its true length.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from fieldcoach.common.audio import CHUNK_SAMPLES, SAMPLE_RATE, Flag

from .delay import WindowedMinimum
from .jitter import MAX_PLC, RTP_RATE

TICKS_PER_SAMPLE: Final = RTP_RATE // SAMPLE_RATE
MAX_PENDING_S: Final = CHUNK_SAMPLES / SAMPLE_RATE
"""A partial chunk does not wait longer than a whole one takes: its listener may be waiting for silence."""
MAX_SILENCE: Final = 2 * SAMPLE_RATE
"""Longer silence goes out as a gap without PCM: after 2 s nobody learns anything more from zeros."""
MIN_GAP: Final = 3 * SAMPLE_RATE // 10
"""A hole over 300 ms is told to the coach: a word may be in it."""
MIN_HOLE: Final = MAX_PLC // TICKS_PER_SAMPLE
"""What concealment does not cover is asked for, however short: a syllable may turn an order into another."""
_CHUNK_BYTES: Final = 2 * CHUNK_SAMPLES
_ZEROS: Final = bytes(2 * CHUNK_SAMPLES)
# A packet has one flag, so flags are compared and not masked: `&` of an enum costs 2 µs, `==` of an int 0.04.
_ON_TIME: Final = (Flag.OK, Flag.DTX)
_CONCEALED: Final = Flag.PLC
_NO_SOUND: Final = (Flag.PLC, Flag.DTX)


class Chunk(NamedTuple):
    """One stretch of the timeline, ready to be numbered.

    `arrivals` gives for each packet in it the sample after its last, and when it came (seconds).
    """

    sample_index: int
    n_samples: int
    flags: Flag
    pcm: bytes
    arrivals: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Hole:
    """Audio that never came, over 120 ms of it."""

    first_sample: int
    n_samples: int
    reason: str
    doubt: tuple[int, int] = (0, 0)
    """First and end of the hole with the silence beside it. Which of the time was lost and which was DTX
    can't be told, so what was said may lie anywhere in it."""

    @property
    def is_told(self) -> bool:
        """Whether a word may be in it."""
        return self.n_samples > MIN_GAP


class Timeline:
    """Cuts 60 ms chunks; `drain` gives what is ready. Positions only grow, and no sample is left out."""

    def __init__(self) -> None:
        self.end = 0
        """The sample after the last, pending ones included."""
        self._ready: list[Chunk] = []
        self._holes: list[Hole] = []
        self._pcm = bytearray()
        self._flags = Flag.OK
        self._arrivals: list[tuple[int, float]] = []
        self._pending_since = 0.0
        self._anchor: tuple[int, int] | None = None  # RTP timestamp and the sample it is
        self._break_reason = "reconnected"
        self._capture = WindowedMinimum()  # arrival minus position: when sample 0 was captured
        self._quiet_from: int | None = None  # where the silence began that ends at `end`
        self._concealed = 0  # samples of PLC that end at `end`

    def resume(self, end: int, origin: float | None, now: float) -> None:
        """Go on after sample `end` of a clock that began at `origin` (seconds, monotonic; None: unknown)."""
        self.end = end
        if origin is not None:
            self._capture.add(origin, now)

    # ── where things belong ──────────────────────────────────────────────────────────────────────────────

    def position(self, timestamp: int) -> int:
        """The sample of an extended RTP timestamp of the present stream."""
        assert self._anchor is not None, "no packet yet"
        return self._anchor[1] + (timestamp - self._anchor[0]) // TICKS_PER_SAMPLE

    @property
    def anchor(self) -> tuple[int, int] | None:
        """An RTP timestamp of the present stream and the sample it is; None before its first packet."""
        return self._anchor

    def break_off(self, reason: str) -> None:
        """What comes next is another stream; the hole before it has this reason."""
        self._anchor = None
        self._break_reason = reason

    def expected_at(self, now: float) -> int:
        """The sample that the wall clock has come to; `end` before the first packet."""
        if self._capture.value is None:
            return self.end
        return max(self.end, int((now - self._capture.value) * SAMPLE_RATE))

    def _place(self, timestamp: int, n_samples: int, arrival: float) -> None:
        start = max(self.end, self.expected_at(arrival) - n_samples)
        if start > self.end:
            self.gap(start, self._break_reason)
        self._anchor = (timestamp, start)

    # ── what the streams deliver ─────────────────────────────────────────────────────────────────────────

    def audio(self, timestamp: int, pcm: bytes, flags: Flag, arrival: float) -> None:
        """Decoded, repaired or concealed sound (s16, 16 kHz, mono), whole, after whatever there is.

        If its place is already taken by silence it goes behind it: the timeline lags, until the next
        silence is the shorter for it.
        """
        n_samples = len(pcm) // 2
        if self._anchor is None:
            self._place(timestamp, n_samples, arrival)
        if self.position(timestamp) > self.end:  # rounding of an odd timestamp; never more than a sample
            self.silence(timestamp, arrival)
        self._append(pcm, flags, arrival)
        if flags in _ON_TIME:
            self._capture.add(arrival - self.end / SAMPLE_RATE, arrival)
        self._concealed = self._concealed + n_samples if flags == _CONCEALED else 0
        if flags not in _NO_SOUND:
            self._quiet_from = None

    def silence(self, until: int, now: float) -> None:
        """Nobody spoke until this RTP timestamp."""
        missing = self.position(until) - self.end
        if missing > 0 and self._holes and self._holes[-1].doubt[1] == self.end:
            hole = self._holes[-1]
            self._holes[-1] = replace(hole, doubt=(hole.doubt[0], self.end + missing))
        quiet_from = self.end if self._quiet_from is None else self._quiet_from
        zeros = min(max(0, missing), MAX_SILENCE)
        while zeros > 0:
            step = min(zeros, CHUNK_SAMPLES)
            self._append(_ZEROS[: 2 * step], Flag.DTX, now)
            zeros -= step
        if missing > MAX_SILENCE:
            self._emit_gap(missing - MAX_SILENCE, Flag.GAP | Flag.DTX)
        if missing > 0:
            self._concealed = 0
            self._quiet_from = quiet_from

    def lost(self, until: int, reason: str = "lost") -> None:
        """Sound up to this RTP timestamp never came."""
        self.gap(self.position(until), reason)

    def gap(self, until: int, reason: str) -> None:
        """Nothing is known up to this sample."""
        n_samples = until - self.end
        if n_samples <= 0:
            return
        first = self.end - self._concealed
        doubt = (first if self._quiet_from is None else self._quiet_from, until)
        hole = Hole(first, n_samples + self._concealed, reason, doubt)
        self._emit_gap(n_samples, Flag.GAP)
        if hole.n_samples > MIN_HOLE:
            self._holes.append(hole)
        self._concealed = 0
        self._quiet_from = None

    # ── chunks ───────────────────────────────────────────────────────────────────────────────────────────

    def poll(self, now: float) -> None:
        """Let a partial chunk go that has waited for 60 ms."""
        if self._pcm and now >= self._pending_since + MAX_PENDING_S:
            self.cut()

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to do."""
        return self._pending_since + MAX_PENDING_S if self._pcm else None

    @property
    def has_output(self) -> bool:
        """Whether `drain` or `drain_holes` has something."""
        return bool(self._ready or self._holes)

    def cut(self) -> None:
        """Make a chunk of what is pending."""
        if self._pcm:
            self._emit(len(self._pcm) // 2)

    def finish(self) -> None:
        """The end of the session: what is pending, then the chunk that says so."""
        self.cut()
        self._ready.append(Chunk(self.end, 0, Flag.END, b""))

    def drain(self) -> list[Chunk]:
        """The chunks that are ready, in order."""
        ready, self._ready = self._ready, []
        return ready

    def drain_holes(self) -> list[Hole]:
        """The holes over 120 ms since the last call."""
        holes, self._holes = self._holes, []
        return holes

    def _append(self, pcm: bytes, flags: Flag, arrival: float) -> None:
        pending, size = self._pcm, len(pcm)
        if pending and flags is not self._flags and flags != self._flags:
            self.cut()
        if not pending:
            self._flags = flags
            self._pending_since = arrival
        pending += pcm
        self.end += size // 2
        self._arrivals.append((self.end, arrival))
        while len(pending) >= _CHUNK_BYTES:
            self._emit(CHUNK_SAMPLES)
            self._pending_since = arrival
        if len(pending) + size > _CHUNK_BYTES:
            # another such packet would not fit: to wait for it would only hold back this one
            self.cut()

    def _emit(self, n_samples: int) -> None:
        pending, arrivals = self._pcm, tuple(self._arrivals)
        first = self.end - len(pending) // 2
        last = first + n_samples
        self._ready.append(Chunk(first, n_samples, self._flags, bytes(pending[: 2 * n_samples]), arrivals))
        del pending[: 2 * n_samples]
        self._arrivals = [entry for entry in arrivals if entry[0] > last] if pending else []

    def _emit_gap(self, n_samples: int, flags: Flag) -> None:
        self.cut()
        self._ready.append(Chunk(self.end, n_samples, flags, b""))
        self.end += n_samples
