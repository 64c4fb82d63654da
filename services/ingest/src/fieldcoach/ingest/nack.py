"""Which lost packets to ask for again, and when (generic NACK, RFC 4585 section 6.2.1).

Bursts defeat FEC; only a second sending repairs them. A packet is asked for at most three times, and only
while its answer can still come before the deadline. Sequence numbers are extended, so they never wrap.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

NACK_REORDER_S: Final = 0.01
"""A packet that is merely overtaken comes within this, so it is not asked for earlier."""
MIN_INTERVAL_S: Final = 0.1
"""Again every max(round trip, 100 ms): before that the answer can't be here. The round trip is taken with
some slack; without it nearly every packet that was lost once would be sent twice."""
MAX_ASKS: Final = 3
MAX_REPAIR_S: Final = 1.2
"""The longest wait for a repair. A machine listens, so a late word beats a lost one; a cue must still fit."""
REPAIR_SLACK_S: Final = 0.03
"""The clock's tick, and a sender that takes a moment, at the least."""
MAX_HOLE_S: Final = 1.0
"""A longer hole is an outage: to ask for all of it would fill a slow link; it is uploaded later instead."""
MAX_WANTED: Final = 64
"""Packets asked for at a time; a second of 20 ms is 50."""
UNANSWERED: Final = 8
"""After so many holes in a row without an answer the sender is taken not to answer, and nobody waits."""
GIVEN_UP: Final = 64
"""Packets that were asked for in vain: one that comes too late is an answer all the same."""


@dataclass(slots=True)
class _Wanted:
    seen: float  # when the hole was noticed
    asks: int = 0
    first_asked: float = 0.0
    last_asked: float = 0.0


class NackScheduler:
    """Told which packets are missing and which came; says which to ask for. Times in seconds, monotonic."""

    def __init__(self) -> None:
        self._wanted: dict[int, _Wanted] = {}
        self._told_rtt: float | None = None
        self._own_rtt: float | None = None
        self._unanswered = 0
        self._given_up: deque[int] = deque(maxlen=GIVEN_UP)

    # ── figures ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def rtt(self) -> float | None:
        """The round trip as told, else as our own repairs took."""
        return self._own_rtt if self._told_rtt is None else self._told_rtt

    def tell_rtt(self, rtt: float | None) -> None:
        """What the connection has measured, if it has."""
        self._told_rtt = rtt

    @property
    def wanted(self) -> int:
        """Packets that may still be repaired."""
        return len(self._wanted)

    @property
    def is_answered(self) -> bool:
        """Whether there is reason to believe that the sender sends again."""
        return self._unanswered < UNANSWERED

    # ── input ────────────────────────────────────────────────────────────────────────────────────────────

    def missing(self, first: int, end: int, packet_s: float, now: float) -> None:
        """The packets from `first` up to `end`, of about `packet_s` each, were overtaken by a later one."""
        number = end - first
        if number * packet_s > MAX_HOLE_S or len(self._wanted) + number > MAX_WANTED:
            return
        for sequence in range(first, end):
            self._wanted[sequence] = _Wanted(now)

    def arrived(self, sequence: int, now: float) -> bool:
        """A packet that was overtaken has come; whether because we asked.

        What comes sooner than half a round trip after we asked was under way before.
        """
        wanted = self._wanted.pop(sequence, None)
        if wanted is None or not wanted.asks:
            if sequence in self._given_up:
                self._unanswered = 0
            return False
        if now - wanted.first_asked < (self.rtt or 0.0) / 2:
            return False
        if wanted.asks == 1:  # Karn's rule: of more it would not be known which one was answered
            self._own_rtt = now - wanted.first_asked
        self._unanswered = 0
        return True

    def give_up_before(self, sequence: int) -> None:
        """Everything before `sequence` has been played or concealed."""
        before = [number for number in self._wanted if number < sequence]
        asked = [number for number in before if self._wanted.pop(number).asks]
        self._given_up.extend(asked)
        self._unanswered += bool(asked)

    # ── output ───────────────────────────────────────────────────────────────────────────────────────────

    def due(self, now: float) -> list[int]:
        """The packets to ask for now, in order."""
        if not self._wanted:
            return []
        rtt = self.rtt
        if rtt is not None and self._wait(1, rtt, REPAIR_SLACK_S) > MAX_REPAIR_S:
            return []
        interval = self._interval(rtt or 0.0)
        most = MAX_ASKS if self.is_answered else 1
        asked = []
        for sequence, wanted in self._wanted.items():
            at = wanted.last_asked + interval if wanted.asks else wanted.seen + NACK_REORDER_S
            if wanted.asks < most and now >= at:
                if not wanted.asks:
                    wanted.first_asked = now
                wanted.asks += 1
                wanted.last_asked = now
                asked.append(sequence)
        return sorted(asked)

    def deadline(self, sequence: int, slack: float) -> float | None:
        """Until when to wait for this packet's repair: for as many requests as fit into 1.2 s.

        `slack` is how much later than the fastest packets come (seconds). None where there is no hope: the
        packet is not asked for, the round trip is unknown or too long, or the sender does not answer.
        """
        wanted, rtt = self._wanted.get(sequence), self.rtt
        if wanted is None or rtt is None or not self.is_answered:
            return None
        slack = max(slack, REPAIR_SLACK_S)
        for asks in range(MAX_ASKS, 0, -1):
            wait = self._wait(asks, rtt, slack)
            if wait <= MAX_REPAIR_S:
                return wanted.seen + wait
        return None

    @staticmethod
    def _wait(asks: int, rtt: float, slack: float) -> float:
        return NACK_REORDER_S + (asks - 1) * NackScheduler._interval(rtt) + rtt + slack

    @staticmethod
    def _interval(rtt: float) -> float:
        return max(rtt + REPAIR_SLACK_S, MIN_INTERVAL_S)
