"""The states of a session's media: created, connecting, live, paused, suspended, ended.

A session outlives its peer connection: a phone that falls silent is suspended, its sockets are freed a
minute later, and only after ten minutes, or by the user's word, does the session end.
"""

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["created", "connecting", "live", "paused", "suspended", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeTiming:
    """Seconds."""

    suspend_after: float = 3.0
    """Without a packet. In DTX a phone sends one every 400 ms, so this is no pause for breath."""
    suspend_paused_after: float = 7.0
    """Without a packet while the phone keeps its sound (L5) and sends one every 2 s: three are missing."""
    free_after: float = 60.0
    """Without a packet: the phone has vanished, its sockets are freed."""
    end_after: float = 600.0
    """Suspended: nobody comes back to this visit."""
    longest: float = 4 * 3_600.0
    """A visit takes minutes; a phone forgotten on a counter must not be heard all day."""


@dataclass(frozen=True, slots=True)
class Change:
    """The session went into `state`."""

    state: State
    reason: str


_DONE: Final = "ended"


class SessionLife:
    """Told what happens and what time it is (seconds, monotonic); `drain` gives the changes of state."""

    def __init__(self, now: float, timing: LifeTiming | None = None) -> None:
        self._timing = timing or LifeTiming()
        self._born = now
        self._heard = now  # the last packet, or the last sign that one may come
        self._away_since: float | None = None
        self._has_transport = False
        self._changes: list[Change] = []
        self.is_sparse = False
        """Whether the phone was told to send a packet every 2 s only."""
        self.state: State = "created"

    @property
    def has_ended(self) -> bool:
        """Whether nothing can happen any more."""
        return self.state == _DONE

    def offered(self, now: float) -> None:
        """A peer connection is being made."""
        self._has_transport = True
        self._heard = now
        if self.state in ("created", "suspended"):
            self._go("connecting")

    def heard(self, now: float) -> None:
        """A packet arrived."""
        self._heard = now
        self._away_since = None
        if self.state in ("created", "connecting", "suspended"):
            self._go("live")

    def pause(self, now: float) -> None:
        """The user's word: what is said from now on is discarded."""
        if self.state not in ("paused", _DONE):
            self._go("paused", "user")
            self._away_since = None if self._has_transport else now

    def resume(self, now: float) -> None:
        """The user's word: audio counts again."""
        if self.state != "paused":
            return
        is_heard = self._has_transport and now - self._heard < self._suspend_after
        if is_heard:
            self._go("live")
        elif self._has_transport:
            self._heard = now
            self._go("connecting")
        else:
            self._suspend(now, "no-media")

    def transport_lost(self, now: float, reason: str) -> None:
        """There is no peer connection any more."""
        self._has_transport = False
        if self.state == "paused":
            self._away_since = self._away_since or now
        elif self.state not in ("suspended", _DONE):
            self._suspend(now, reason)

    def end(self, reason: str) -> None:
        """The visit is over."""
        if self.state != _DONE:
            self._go("ended", reason)

    def tick(self, now: float) -> str | None:
        """Time has passed. Gives the reason if the session must end."""
        timing = self._timing
        if self.has_ended:
            return None
        if self.state == "live" and now - self._heard >= self._suspend_after:
            self._suspend(now, "no-packets")
        if self.state == "connecting" and now - self._heard >= timing.free_after:
            self._suspend(now, "never-connected")
        if self._away_since is not None and now - self._away_since >= timing.end_after:
            return "suspended-too-long"
        if now - self._born >= timing.longest:
            return "too-long"
        return None

    @property
    def _suspend_after(self) -> float:
        timing = self._timing
        return max(timing.suspend_after, timing.suspend_paused_after if self.is_sparse else 0.0)

    def should_free(self, now: float) -> bool:
        """Whether the peer connection is of no use any more. In a pause silence means nothing."""
        return (
            self._has_transport and self.state == "suspended" and now - self._heard >= self._timing.free_after
        )

    @property
    def has_changes(self) -> bool:
        """Whether `drain` has something."""
        return bool(self._changes)

    def drain(self) -> list[Change]:
        """The changes since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def _suspend(self, now: float, reason: str) -> None:
        self._away_since = self._away_since or now
        self._go("suspended", reason)

    def _go(self, state: State, reason: str = "") -> None:
        if state != self.state:
            self.state = state
            self._changes.append(Change(state, reason))
