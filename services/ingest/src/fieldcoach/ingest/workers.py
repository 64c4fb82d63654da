"""The asr workers as their heartbeats show them, and the choice among them."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from fieldcoach.common.messages import WorkerHeartbeat

FRESH_S: Final = 0.8
"""Three heartbeats at 4 Hz: one may be late or lost, a worker that misses three is away."""
FORGET_S: Final = 60.0
"""A worker not heard of for so long is no longer listed."""


@dataclass(slots=True)
class _Seen:
    heartbeat: WorkerHeartbeat
    at: float
    chosen: int = 0  # since this heartbeat: it does not count them yet


class WorkerTable:
    """All workers of the region. Times in seconds on a monotonic clock."""

    def __init__(self, fresh_s: float = FRESH_S, draw: random.Random | None = None) -> None:
        self._fresh_s = fresh_s
        self._draw = draw or random.Random()
        self._seen: dict[str, _Seen] = {}

    def heard(self, heartbeat: WorkerHeartbeat, now: float) -> None:
        """A heartbeat arrived."""
        self._seen[heartbeat.worker] = _Seen(heartbeat, now)
        for worker in [worker for worker, seen in self._seen.items() if now - seen.at > FORGET_S]:
            del self._seen[worker]

    def is_alive(self, worker: str, now: float) -> bool:
        """Whether its heartbeat is young enough; it may be about to stop."""
        seen = self._seen.get(worker)
        return seen is not None and now - seen.at <= self._fresh_s

    def is_fresh(self, worker: str, now: float) -> bool:
        """Whether it is alive and will stay."""
        return self.is_alive(worker, now) and not self.said_bye(worker)

    def may_resume(self, worker: str, now: float) -> bool:
        """Whether it can be asked for a session that it had: the place may still be kept."""
        return self.is_fresh(worker, now) and not self._seen[worker].heartbeat.draining

    def said_bye(self, worker: str) -> bool:
        """Whether it asked that its sessions be taken over at once."""
        seen = self._seen.get(worker)
        return seen is not None and seen.heartbeat.bye

    def slots_free(self, now: float) -> int:
        """Sessions that fresh workers would still take."""
        return sum(
            max(0, seen.heartbeat.slots - seen.heartbeat.used)
            for worker, seen in self._seen.items()
            if self.is_fresh(worker, now) and not seen.heartbeat.draining
        )

    def choose(self, now: float, avoid: Collection[str] = ()) -> str | None:
        """The less loaded of two random workers with a free slot; None without any.

        Two random ones, not the least loaded of all: every ingest sees the same heartbeats, and all of
        them would run to the same worker.
        """
        able = [
            worker
            for worker, seen in self._seen.items()
            if worker not in avoid
            and self.is_fresh(worker, now)
            and not seen.heartbeat.draining
            and seen.heartbeat.used < seen.heartbeat.slots
        ]
        if not able:
            return None
        chosen = min(self._draw.sample(able, min(2, len(able))), key=self._load)
        self._seen[chosen].chosen += 1
        return chosen

    def _load(self, worker: str) -> float:
        """A takeover moves many sessions between two heartbeats, so those count at once."""
        seen = self._seen[worker]
        return (seen.heartbeat.used + seen.chosen) / seen.heartbeat.slots
