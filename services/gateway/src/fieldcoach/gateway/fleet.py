"""Who is there: the ingests and asr workers by their heartbeats, and where a new session goes. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

from fieldcoach.common.messages import IngestHeartbeat, WorkerHeartbeat

FRESH_S: Final = 2.0
"""Heartbeats come at 2 to 4 Hz: four missed ones in a row mean that nobody is there."""
GONE_S: Final = 2.0
"""Longer than that without one while the bus works: after its absence the first ones are still to come."""
MAX_MEMBERS: Final = 1_000
"""More than any region has; what is stale leaves first."""


@dataclass(frozen=True)
class Placed:
    """The session goes to this ingest."""

    ingest: str


@dataclass(frozen=True)
class NotPlaced:
    """No session now: everything is full (`no-capacity`), or a part is away (`not-ready`)."""

    kind: Literal["no-capacity", "not-ready"]
    detail: str


@dataclass
class _Ingest:
    beat: IngestHeartbeat
    heard: float
    placed_since: int = 0

    @property
    def load(self) -> float:
        # sessions placed since the last heartbeat are not in it yet: without them a burst goes to one ingest
        return (self.beat.sessions + self.placed_since) / self.beat.capacity

    @property
    def has_room(self) -> bool:
        return self.beat.sessions + self.placed_since < self.beat.capacity


class Fleet:
    """The fresh heartbeats, and the choice among them."""

    def __init__(self) -> None:
        self._ingests: dict[str, _Ingest] = {}
        self._workers: dict[str, tuple[WorkerHeartbeat, float]] = {}

    def heard_ingest(self, beat: IngestHeartbeat, now: float) -> None:
        """An ingest lives."""
        if beat.ingest in self._ingests or len(self._ingests) < MAX_MEMBERS or self._forget_stale(now):
            self._ingests[beat.ingest] = _Ingest(beat, now)

    def lost_ingest(self, ingest: str) -> None:
        """Nobody answers in its name; if it lives, its next heartbeat is half a second away."""
        self._ingests.pop(ingest, None)

    def has_ingest(self, ingest: str, now: float) -> bool:
        """Whether it was heard of lately."""
        known = self._ingests.get(ingest)
        return known is not None and now - known.heard < FRESH_S

    def heard_worker(self, beat: WorkerHeartbeat, now: float) -> None:
        """An asr worker lives, or says good-bye."""
        if beat.bye:
            self._workers.pop(beat.worker, None)
        elif beat.worker in self._workers or len(self._workers) < MAX_MEMBERS or self._forget_stale(now):
            self._workers[beat.worker] = (beat, now)

    def place(self, now: float) -> Placed | NotPlaced:
        """Choose the less loaded ingest for a new session."""
        fresh = [item for item in self._ingests.values() if now - item.heard < FRESH_S]
        if not fresh:
            return NotPlaced("not-ready", "no ingest is known")
        if self.engine(now) is None:
            return NotPlaced("not-ready", "no asr worker is known")
        roomy = [item for item in fresh if not item.beat.draining and item.has_room]
        if not roomy:
            return NotPlaced("no-capacity", "every ingest is full")
        served = [item for item in roomy if item.beat.asr_slots_free > 0]
        if not served:
            return NotPlaced("no-capacity", "every asr worker is full")
        chosen = min(served, key=lambda item: item.load)
        chosen.placed_since += 1
        return Placed(chosen.beat.ingest)

    def engine(self, now: float) -> WorkerHeartbeat | None:
        """The heartbeat of the fresh worker heard last: what engine and model a visit gets."""
        fresh = [(heard, beat) for beat, heard in self._workers.values() if now - heard < FRESH_S]
        return max(fresh, key=lambda pair: pair[0])[1] if fresh else None

    def languages(self, now: float) -> frozenset[str]:
        """What the fresh workers can hear between them; empty while none has told."""
        return frozenset(
            language
            for beat, heard in self._workers.values()
            if now - heard < FRESH_S
            for language in beat.languages
        )

    def _forget_stale(self, now: float) -> bool:
        before = len(self._ingests) + len(self._workers)
        self._ingests = {key: item for key, item in self._ingests.items() if now - item.heard < FRESH_S}
        self._workers = {key: pair for key, pair in self._workers.items() if now - pair[1] < FRESH_S}
        return len(self._ingests) + len(self._workers) < before


class IngestWatch:
    """Says when the ingest of a socket is gone: what is sent over the bus to nobody raises no error."""

    def __init__(self) -> None:
        self._missed_since: float | None = None

    def is_gone(self, now: float, has_bus: bool, is_heard: bool) -> bool:
        """`now` in monotonic seconds; without the bus nobody can be heard, and nothing is known."""
        if is_heard or not has_bus:
            self._missed_since = None
            return False
        if self._missed_since is None:
            self._missed_since = now
        return now - self._missed_since >= GONE_S
