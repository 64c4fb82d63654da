"""Whether the phone may be holding its sound back: told to pause (L5), and not yet known to send again.

A phone on L5 keeps what it hears and sends one packet every 2 s. What it leaves out leaves no gap in the
sequence numbers: a browser drops frames before they are numbered. So it looks like silence in DTX, and only
the order to pause tells the two apart. Order and answer take a way of their own (the events channel), which
may be faster or slower than the sound's, so at both edges the doubt is for the hole: what is asked for in
vain costs a few bytes, what is taken for silence is lost for ever. No I/O; times in seconds, monotonic.
"""

import math
from typing import Final

from fieldcoach.common.messages import Rung

PAUSED: Final = "L5"
KEEP_ALIVE_S: Final = 2.0
"""What a phone on L5 sends: a packet so often."""
LONGEST_DTX_S: Final = 0.52
"""libopus sends a packet every 400 ms in DTX; with the longest packet time on top no silence is longer."""
SURE_AFTER_S: Final = 1.0
"""After the phone has said that it sends again, its first packets may still be under way."""
OVER_AFTER_S: Final = 3.0
"""And after this they have come: a queue on the way holds less."""


class Hold:
    """Told of commands and acknowledgements of one session."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._sure_until = -math.inf
        self._last_applied = 0

    def told(self, rung: Rung) -> None:
        """A command went out. Another rung than L5 ends nothing yet: the phone has to hear of it first."""
        if rung == PAUSED:
            self._until = math.inf

    def applied(self, number: int, rung: Rung, now: float) -> None:
        """The phone says what it does by command `number`; of copies and older ones nothing is learned."""
        if number < self._last_applied:
            return
        self._last_applied = number
        if rung == PAUSED:
            self._until = self._sure_until = math.inf
        elif self._until == math.inf:
            self._until = now + OVER_AFTER_S
            self._sure_until = min(self._sure_until, now + SURE_AFTER_S)

    def given_up(self, rung: Rung) -> None:
        """The phone did not answer a command; one that has not said that it pauses does not follow."""
        if self._sure_until != math.inf:
            self._until = -math.inf
        # else it does pause, and will hear of its end when its channel is back

    def is_on(self, now: float) -> bool:
        """Whether a stretch without packets may be sound that the phone keeps."""
        return now < self._until

    def longest_silence_s(self, now: float) -> float | None:
        """How long DTX may have been silent; None: any time, since nothing is held back."""
        if not self.is_on(now):
            return None
        return 0.0 if now < self._sure_until else LONGEST_DTX_S
