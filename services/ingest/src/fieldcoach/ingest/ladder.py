"""The ladder: which rung the link allows. Arrival statistics in, rung out; no clock and no I/O.

Loss comes in two kinds. Congestive loss (the delay rises first, or a queue stands) is cured by sending less:
down. Radio loss (flat delay) is not: the rung stays and the repairs (NACK, FEC) do the work.

Down at once, one rung per round trip, two with more than a second in the queue. Up one rung after 8 to 10
clean seconds of speech; after a probe that failed the wait doubles.

A link that does not carry the lowest rung is left alone (L5): the phone keeps its sound and sends a packet
every 2 s, by whose delay and round trip the link is judged until the lowest rung is tried again.
"""

from dataclasses import replace
from typing import Final

from .arrivals import LinkWindow

TOP: Final = 0
BEGIN: Final = 1
LOWEST: Final = 4
"""The lowest rung that sends sound."""
OFFLINE: Final = 5
"""The phone keeps its sound: nothing comes, or hardly anything does."""
RETURN: Final = 3
"""Where a link goes on that was away: what comes back first is mostly the edge of a cell."""

RISING: Final = 0.010
"""Slope of the delay, s/s: the queue grows by more than 10 ms a second."""
FLAT: Final = 0.005
"""The top rung wants less than 5 ms/s."""
SIGNIFICANT: Final = 3.0
"""A slope counts when it is so many standard errors from none: 1 of 740 windows by chance."""
ROSE_S: Final = 4.0
"""Two windows: a short queue is full within one, and its loss is congestive though the delay is flat."""
STANDING_S: Final = 0.08
STANDING_JITTER: Final = 2.0
"""A queue stands when no packet of a second found it shorter than 80 ms, nor than 2 standard deviations of
the delay: without a queue, 8 packets with even jitter are all so late in 1 second of 1000."""
STANDING_JITTER_FEW: Final = 3.0
"""Of fewer than 8 packets: four are all so late by chance in 1 second of 3000."""
STEADY_S: Final = 10.0
"""Time constant of jitter and of the radio's loss. In 2 s there are 16 packets of 120 ms, whose deviation is
half of the true one now and then, and then jitter looks like a queue; and two lost ones of 100 are 2 %."""
QUEUE_LONG_S: Final = 1.0
LOSS_TOP: Final = 0.03
"""L0 is left only from here on, so that a loss of about 2 % does not lead to and fro."""
LOSS: Final = (0.02, 0.05, 0.10)
"""L0 is for less than the first; from the second on, congestive, L2; above the third, congestive, L3."""
RTT_S: Final = (0.25, 0.5, 0.9)
GOODPUT: Final = (22_000.0, 15_000.0)
"""Bits a second that a congested link delivers: below the first L3, below the second L4."""
STARVED: Final = 9_000.0
STARVED_S: Final = 5.0
"""A congested link that delivers less than the first for so long does not carry the lowest rung (10 kbps)."""
SILENT_S: Final = 3.0
HELD_SILENT_S: Final = 10.0
"""Paused: five packets in a row did not come. That is an outage, and after it is another link."""
HELD_QUEUE_S: Final = 0.4
HELD_RTT_S: Final = 2.5
"""Paused: a packet every 2 s fills no queue, so what is late beyond jitter (0.3 s on 2G) says that the link
is still stuck. The second is far above any round trip of an empty queue (1.3 s)."""
STEP_S: Final = 1.0
"""Commands at most one a second, and not before the last one can have shown itself: one round trip."""
CLEAN_S: Final = 8.0
CLEAN_TOP_S: Final = 10.0
WAIT_MAX_S: Final = 60.0
WAIT_FACTOR_MAX: Final = 8
PROBE_S: Final = 30.0
"""A step up that is taken back sooner has failed; one that was kept so long makes the wait short again."""
MAX_TICK_S: Final = 1.0
"""Clean time between two looks counts at most so much."""


class Ladder:
    """One session's rung; 0 is the top. Times are seconds on a monotonic clock."""

    def __init__(self, now: float) -> None:
        self.rung = BEGIN
        self.is_congested = False
        self._aim = BEGIN
        self._changed_at = self._fresh_from = now - STEP_S
        self._looked_at = now
        self._rose_at: float | None = None
        self._clean_s = 0.0
        self._wait_factor = 1
        self._probed_at: float | None = None
        self._starved_at: float | None = None
        self._jitter_s: float | None = None
        self._loss: float | None = None
        self.is_away = False
        """On L5 because nothing came; else because too little did."""

    @property
    def first_rung(self) -> int:
        """Where a new connection begins: on the rung of the last one, but not above L1."""
        return RETURN if self.rung == OFFLINE else max(BEGIN, self.rung)

    def connected(self, now: float) -> None:
        """A new connection: what was learned of the old one's queue is void."""
        self.rung = self.first_rung
        self._forget(now)

    @property
    def fresh_from(self) -> float:
        """What came before this moment was sent on another rung, and must not be held against this one."""
        return self._fresh_from

    def judge(self, link: LinkWindow, now: float) -> int | None:
        """The new rung, or None to stay. Call it twice a second, with a window since `fresh_from`."""
        elapsed = min(MAX_TICK_S, now - self._looked_at)
        self._looked_at = now
        if self.rung == OFFLINE:
            return self._return(link, now) if self.is_away else self._probe_paused(link, elapsed, now)
        link = self._steady(link, elapsed)
        self._classify(link, now)
        self._note_starved(link, now)
        self._aim = max(self._aim, self._target(link), self._target_by_time(link, now))
        if self._aim > self.rung:
            return self._down(link, now)
        if self._probed_at is not None and now - self._probed_at >= PROBE_S:
            self._probed_at = None
            self._wait_factor = 1
        return self._up(link, elapsed, now)

    # ── what the link bears ──────────────────────────────────────────────────────────────────────────────

    def _steady(self, link: LinkWindow, elapsed: float) -> LinkWindow:
        """The window with at least the jitter of the last 10 s, its slope as uncertain as that makes it."""
        share = min(1.0, elapsed / STEADY_S)
        if link.loss is not None:
            self._loss = link.loss if self._loss is None else self._loss + share * (link.loss - self._loss)
        if link.slope is not None:
            before = link.jitter_s if self._jitter_s is None else self._jitter_s
            self._jitter_s = before + share * (link.jitter_s - before)
        jitter_s = max(link.jitter_s, self._jitter_s or 0.0)
        widened = jitter_s / link.jitter_s if link.jitter_s else 1.0
        return replace(link, jitter_s=jitter_s, slope_error=link.slope_error * widened)

    def _classify(self, link: LinkWindow, now: float) -> None:
        deviations = STANDING_JITTER if link.slope is not None else STANDING_JITTER_FEW
        stands = link.queue_s >= max(STANDING_S, deviations * link.jitter_s)
        if stands and _rises(link, RISING):
            self._rose_at = now
            self.is_congested = True
            return
        has_loss = link.loss is not None and link.loss >= LOSS[0]
        rose_lately = self._rose_at is not None and now - self._rose_at <= ROSE_S
        self.is_congested = has_loss and (stands or rose_lately)

    def _target(self, link: LinkWindow) -> int:
        loss = link.loss or 0.0
        rtt = link.rtt_s or 0.0
        target = TOP
        radio_loss = self._loss or 0.0
        is_lossy = radio_loss >= (LOSS_TOP if self.rung == TOP else LOSS[0])
        is_lossy = is_lossy or (self.is_congested and loss >= LOSS[0])
        if is_lossy or rtt >= RTT_S[0] or _rises(link, RISING):
            target = 1
        if rtt >= RTT_S[1] or (self.is_congested and loss >= LOSS[1]):
            target = 2
        if rtt > RTT_S[2] or (self.is_congested and loss > LOSS[2]):
            target = 3
        return max(target, self._target_by_goodput(link))

    def _target_by_goodput(self, link: LinkWindow) -> int:
        """Only a congested link shows what it can carry; any other shows what the phone had to say."""
        if not self.is_congested or link.goodput is None or link.goodput >= GOODPUT[0]:
            return TOP
        return 3 if link.goodput >= GOODPUT[1] else LOWEST

    def _note_starved(self, link: LinkWindow, now: float) -> None:
        if not self.is_congested or (link.goodput is not None and link.goodput >= STARVED):
            self._starved_at = None
        elif self._starved_at is None and link.goodput is not None:
            self._starved_at = now

    def _target_by_time(self, link: LinkWindow, now: float) -> int:
        if link.silent_s >= SILENT_S:
            return OFFLINE
        is_starved = self._starved_at is not None and now - self._starved_at >= STARVED_S
        return OFFLINE if is_starved else TOP

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────

    def _down(self, link: LinkWindow, now: float) -> int | None:
        self._clean_s = 0.0
        if now - self._changed_at < max(STEP_S, link.rtt_s or 0.0):
            return None
        steps = 2 if self.is_congested and link.queue_s > QUEUE_LONG_S else 1
        # to L5 at once: nothing comes by which the rungs in between could be judged
        self._move(OFFLINE if self._aim == OFFLINE else min(self._aim, self.rung + steps), link, now)
        self.is_away = self.rung == OFFLINE and link.silent_s >= SILENT_S
        if self._probed_at is not None:
            self._probed_at = None
            self._wait_factor = min(self._wait_factor * 2, WAIT_FACTOR_MAX)
        return self.rung

    def _up(self, link: LinkWindow, elapsed: float, now: float) -> int | None:
        if self.rung == TOP:
            return None
        wanted = self.rung - 1
        if not self._is_clean_for(wanted, link):
            self._clean_s = 0.0
            return None
        if link.loss is None:
            return None  # silence proves nothing, for or against
        self._clean_s += elapsed
        wait = CLEAN_TOP_S if wanted == TOP else CLEAN_S
        if self._clean_s < min(WAIT_MAX_S, wait * self._wait_factor):
            return None
        self._aim = wanted
        self._probed_at = now
        self._move(wanted, link, now)
        return wanted

    def _return(self, link: LinkWindow, now: float) -> int | None:
        """After an outage: the first packet shows that the link is back."""
        if link.packets == 0:
            return None
        self.rung = RETURN
        self._forget(now)
        return self.rung

    def _probe_paused(self, link: LinkWindow, elapsed: float, now: float) -> int | None:
        """Paused: what still comes, a packet every 2 s, must be in time for as long as any step up waits."""
        if link.silent_s >= HELD_SILENT_S:
            self.is_away = True
            return None
        if link.packets == 0:
            return None  # that one was lost: nothing for, nothing against
        if link.queue_s > HELD_QUEUE_S or (link.rtt_s or 0.0) > HELD_RTT_S:
            self._clean_s = 0.0
            return None
        self._clean_s += elapsed
        if self._clean_s < min(WAIT_MAX_S, CLEAN_S * self._wait_factor):
            return None
        self._aim = LOWEST
        self._probed_at = now
        self._move(LOWEST, link, now)
        return self.rung

    def _move(self, rung: int, link: LinkWindow, now: float) -> None:
        self.rung = rung
        self._clean_s = 0.0
        self._rose_at = None
        if rung < LOWEST:
            self._starved_at = None
        self._changed_at = now
        self._fresh_from = now + (link.rtt_s or 0.0)

    def _is_clean_for(self, wanted: int, link: LinkWindow) -> bool:
        if self.is_congested or self._target(link) > wanted:
            return False
        return wanted != TOP or (link.rtt_s is not None and not _rises(link, FLAT))

    def _forget(self, now: float) -> None:
        self._aim = self.rung
        self._changed_at = self._fresh_from = now
        self._rose_at = self._probed_at = self._starved_at = None
        self._jitter_s = self._loss = None
        self.is_away = False
        self._clean_s = 0.0
        self._wait_factor = 1
        self.is_congested = False


def _rises(link: LinkWindow, threshold: float) -> bool:
    slope = link.slope
    return slope is not None and slope > threshold and slope > SIGNIFICANT * link.slope_error
