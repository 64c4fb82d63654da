"""What of the session's clock never came and may still come: the ranges that the phone is asked for.

Told of holes and of time, and given what the phone uploads; says which ranges to list, and which are ready
to be decoded. A range keeps the stream's clock by which it was asked for, so an answer needs no further
mapping, also when the phone has opened another connection meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.backfill import Record
from fieldcoach.common.messages import MissingAudio, MissingRange

from .timeline import MIN_HOLE, TICKS_PER_SAMPLE

MEMORY_S: Final = 300.0
"""What a phone keeps (0.5 MB at 12 kbit/s); older ranges are taken back."""
SETTLE_S: Final = 1.0
"""After a hole the next one may follow at once, and belong to it."""
SETTLE_HELD_S: Final = 2.5
"""While the phone holds its sound back a packet comes every 2 s: what lies between them is one hole."""
JOIN: Final = SAMPLE_RATE // 2
"""Holes closer than half a second are one: there is hardly a word between them."""
MARGIN: Final = 3 * SAMPLE_RATE // 2
"""Sent and heard on both sides, so that the words at the edges are heard whole. Holes closer than that, of
which nothing has come yet, are asked for as one: on a bad link they wait long, and each costs a decode."""
LONGEST: Final = 15 * SAMPLE_RATE
"""A longer hole is asked for in parts, each of which the model hears as a whole."""
MAX_RANGES: Final = 64
MAX_RANGE_BYTES: Final = 192 * 1024
"""Of one range's packets: twice what Opus makes of 16 s at its longest packets on the ladder, and more."""
NEVER_ASKED: Final = frozenset({"paused"})
"""What was said in a pause is nobody's business."""
DECODE_TRIES: Final = 3
RETRY_S: Final = 2.0
"""A session changes its worker in about a second."""


class Anchor(NamedTuple):
    """Where an RTP timestamp of the present stream lies on the session's clock."""

    ssrc: int
    timestamp: int
    sample: int


@dataclass(slots=True, eq=False)
class Range:
    """One hole. Positions are samples; `first_timestamp` is that of `first`, modulo 2^32."""

    number: int
    first: int
    end: int
    ssrc: int
    first_timestamp: int
    packets: dict[int, bytes] = field(default_factory=dict)
    """By RTP timestamp."""
    n_bytes: int = 0
    is_complete: bool = False
    tries: int = 0
    not_before: float = 0.0

    @property
    def last_timestamp(self) -> int:
        """Of `end`."""
        return (self.first_timestamp + (self.end - self.first) * TICKS_PER_SAMPLE) & 0xFFFFFFFF

    def sample_of(self, timestamp: int) -> int:
        """The place of a packet that the phone gave."""
        ticks = (timestamp - self.first_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        return self.first + ticks // TICKS_PER_SAMPLE


@dataclass(slots=True)
class _Hole:
    first: int
    end: int
    changed_at: float


class MissingRanges:
    """The holes of one session. `now` is in monotonic seconds, `position` is the session's clock in samples.

    `count` is told of ranges (asked, joined, complete, empty, filled, failed, too-old, dropped, ended) and of
    records that are of no use (unknown-range, stray, too-much).
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._holes: list[_Hole] = []
        self._ranges: dict[int, Range] = {}
        self._ready: list[Range] = []
        self._number = 0
        self._is_changed = False

    @property
    def ranges(self) -> tuple[Range, ...]:
        """What is asked for, oldest first. A range stays until its words are out."""
        return tuple(self._ranges.values())

    @property
    def is_idle(self) -> bool:
        """Whether `poll` and `take_ready` have nothing to do: no hole, no range, nothing to tell."""
        return not (self._holes or self._ranges or self._is_changed)

    def add(self, first: int, end: int, reason: str, now: float) -> None:
        """A hole was found."""
        if reason in NEVER_ASKED or end - first <= MIN_HOLE:
            return
        if self._holes and first - self._holes[-1].end < JOIN:
            last = self._holes[-1]
            last.end, last.changed_at = max(last.end, end), now
        else:
            self._holes.append(_Hole(first, end, now))

    def poll(
        self, now: float, position: int, anchor: Anchor | None, settle_s: float = SETTLE_S
    ) -> tuple[Range, ...] | None:
        """The list to tell the phone, if it has changed. Without a stream nobody is there to be asked."""
        self._drop_old(position - int(MEMORY_S * SAMPLE_RATE))
        if anchor is not None:
            settled = [hole for hole in self._holes if now - hole.changed_at >= settle_s]
            self._holes = [hole for hole in self._holes if now - hole.changed_at < settle_s]
            for hole in settled:
                self._ask(hole, anchor)
        if not self._is_changed:
            return None
        self._is_changed = False
        return self.ranges

    def _join_waiting(self, hole: _Hole) -> None:
        """Take the newest range back if it is close and the phone has not begun with it: ask for both."""
        last = next(reversed(self._ranges.values()), None)
        if last is None or last.packets or last.is_complete or last.end > hole.first:
            return
        if hole.first - last.end < MARGIN and hole.end - last.first <= LONGEST:
            hole.first = last.first
            self._remove(last, "joined")

    def _ask(self, hole: _Hole, anchor: Anchor) -> None:
        self._join_waiting(hole)
        parts = -(-(hole.end - hole.first) // LONGEST)
        for part in range(parts):
            first = hole.first + (hole.end - hole.first) * part // parts
            end = hole.first + (hole.end - hole.first) * (part + 1) // parts
            self._number += 1
            timestamp = (anchor.timestamp + (first - anchor.sample) * TICKS_PER_SAMPLE) & 0xFFFFFFFF
            self._ranges[self._number] = Range(self._number, first, end, anchor.ssrc, timestamp)
            self._count("asked")
        while len(self._ranges) > MAX_RANGES:
            self._remove(next(iter(self._ranges.values())), "dropped")
        self._is_changed = True

    def _drop_old(self, before: int) -> None:
        self._holes = [hole for hole in self._holes if hole.end > before]
        for old in [one for one in self._ranges.values() if one.end <= before]:
            self._remove(old, "too-old")

    def _remove(self, old: Range, why: str) -> None:
        if self._ranges.pop(old.number, None) is None:
            return
        if old in self._ready:
            self._ready.remove(old)
        old.packets = {}  # and not cleared: a thread may be decoding them
        self._is_changed = True
        self._count(why)

    # ── what the phone uploads ───────────────────────────────────────────────────────────────────────────

    def receive(self, record: Record) -> None:
        """A packet of a range, or the end of one."""
        wanted = self._ranges.get(record.range)
        if wanted is None or wanted.is_complete:
            self._count("unknown-range")
            return
        if not record.payload:
            wanted.is_complete = True
            self._count("complete")
            if wanted.packets:
                self._ready.append(wanted)
            else:
                self._remove(wanted, "empty")
            return
        sample = wanted.sample_of(record.timestamp)
        if not wanted.first - 2 * MARGIN <= sample < wanted.end + MARGIN:
            self._count("stray")
            return
        if record.timestamp in wanted.packets:
            return  # the same upload again: its answer was lost
        if wanted.n_bytes + len(record.payload) > MAX_RANGE_BYTES:
            self._count("too-much")
            return
        wanted.n_bytes += len(record.payload)
        wanted.packets[record.timestamp] = record.payload

    @property
    def has_ready(self) -> bool:
        """Whether a range has come and waits to be transcribed."""
        return bool(self._ready)

    def take_ready(self, now: float) -> Range | None:
        """A range to decode and transcribe now."""
        for one in self._ready:
            if now >= one.not_before:
                self._ready.remove(one)
                return one
        return None

    def filled(self, done: Range) -> None:
        """Its words are out."""
        self._remove(done, "filled")

    def failed(self, one: Range, now: float) -> None:
        """The worker did not take it; it is tried again, and then given up."""
        one.tries += 1
        one.not_before = now + RETRY_S
        if one.tries >= DECODE_TRIES or one.number not in self._ranges:
            self._remove(one, "failed")
        else:
            self._ready.append(one)

    def end(self) -> None:
        """The visit is over: nothing is kept."""
        self._holes.clear()
        for one in self.ranges:
            self._remove(one, "ended")
        self._is_changed = False


def missing_list(session: str, n: int, ranges: tuple[Range, ...]) -> MissingAudio:
    """What the phone is told."""
    return MissingAudio(
        session=session,
        n=n,
        ranges=tuple(
            MissingRange(
                range=one.number,
                first_sample=one.first,
                end_sample=one.end,
                ssrc=one.ssrc,
                first_timestamp=one.first_timestamp,
                last_timestamp=one.last_timestamp,
            )
            for one in ranges
        ),
    )
