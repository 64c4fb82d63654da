"""What the phone is told to send: statistics, ladder and commands of one session, joined. No I/O.

Commands are idempotent and numbered. One that the phone does not acknowledge is told again with the same
number, at most once a second and five times; then it is counted, and the next one may fare better.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fieldcoach.common.messages import Rung

from .arrivals import ArrivalStatistics
from .held_rung import HeldRung
from .hold import Hold
from .ladder import OFFLINE, Ladder
from .profile import LADDER, SendProfile

LOOK_S: Final = 0.5
"""How often the link is judged: a quarter of the window."""
REPEAT_S: Final = 1.0
REPEATS: Final = 5


@dataclass(frozen=True, slots=True)
class Command:
    """Send like this from now on."""

    number: int
    profile: SendProfile


class Commands:
    """Numbers commands, and repeats the last one until it is acknowledged.

    `count` is told: sent, repeated, applied, superseded (by the next one), unacknowledged (given up), and of
    acknowledgements that settle nothing: stale, unknown, other-rung.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._number = 0
        self._open: Command | None = None
        self._told_at = 0.0
        self._repeats = 0

    @property
    def open(self) -> Command | None:
        """The command that waits for its acknowledgement."""
        return self._open

    def issue(self, profile: SendProfile, now: float) -> Command:
        """A new command; one that is still open is not repeated any more."""
        if self._open is not None:
            self._count("superseded")
        self._number += 1
        self._open = Command(self._number, profile)
        self._told_at, self._repeats = now, 0
        self._count("sent")
        return self._open

    def due(self, now: float, rtt: float | None = None) -> Command | None:
        """The command to tell again, if an acknowledgement could be here by now."""
        if self._open is None or now - self._told_at < max(REPEAT_S, 1.5 * (rtt or 0.0)):
            return None
        if self._repeats >= REPEATS:
            self._open = None
            self._count("unacknowledged")
            return None
        self._repeats += 1
        self._told_at = now
        self._count("repeated")
        return self._open

    def applied(self, number: int, rung: Rung) -> None:
        """The phone says that it sends by this command."""
        if number > self._number:
            self._count("unknown")
        elif self._open is None or number < self._open.number:
            self._count("stale")
        elif rung != self._open.profile.rung:
            self._count("other-rung")
        else:
            self._open = None
            self._count("applied")


class Adaptation:
    """Told of packets and of time, gives commands. Times are seconds on a monotonic clock."""

    def __init__(self, now: float, count: Callable[[str], None], held: Rung | None = None) -> None:
        """`held` is a rung to stay on, for measurements."""
        self.arrivals = ArrivalStatistics()
        self.ladder = Ladder(now) if held is None else HeldRung(now, held)
        self.commands = Commands(count)
        self.hold = Hold()
        self._looked_at = now

    @property
    def profile(self) -> SendProfile:
        """What the phone is asked to send now."""
        return LADDER[self.ladder.rung]

    @property
    def first_profile(self) -> SendProfile:
        """What a connection begins with that is being made now."""
        return LADDER[self.ladder.first_rung]

    def connected(self, now: float) -> Command:
        """A connection was made; its answer carried `first_profile`, the command asks for it by number."""
        self.ladder.connected(now)
        self.arrivals.restart()
        return self._issue(now)

    def applied(self, number: int, rung: Rung, now: float) -> None:
        """The phone says that it sends by this command."""
        self.commands.applied(number, rung)
        self.hold.applied(number, rung, now)

    @property
    def is_paused(self) -> bool:
        """Whether the phone was told to keep its sound though the link is up: it sends a packet every 2 s."""
        return self.ladder.rung == OFFLINE and not self.ladder.is_away

    def switched(self) -> None:
        """Packets of another stream follow."""
        self.arrivals.restart()

    def poll(self, rtt: float | None, now: float) -> Command | None:
        """The command to tell now. `rtt` is the connection's last measured round trip."""
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self.arrivals.measured(rtt, now)
            link = self.arrivals.window(now, self.ladder.fresh_from)
            if self.ladder.judge(link, now) is not None:
                return self._issue(now)
        waiting = self.commands.open
        command = self.commands.due(now, rtt)
        if waiting is not None and self.commands.open is None:
            self.hold.given_up(waiting.profile.rung)
        return command

    def _issue(self, now: float) -> Command:
        self.hold.told(self.profile.rung)
        return self.commands.issue(self.profile, now)
