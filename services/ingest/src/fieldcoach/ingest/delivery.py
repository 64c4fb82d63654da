"""How one session's chunks reach an asr worker, whichever workers come and go.

The ring holds the last 30 s. `ack` is what the worker can rebuild no more, `heard` the next chunk it lacks,
`cur` the next to send, `next` the next to be made: ack <= heard <= cur <= next. Everything goes out by one
path, `peek` and `sent`; whatever has to be sent again is sent by setting `cur` back. The epoch rises with
every claim, so that a worker which was only asleep can't speak twice.

Pure: it is told the time and what happened, and says whom to claim.
"""

from dataclasses import dataclass
from typing import Final

from fieldcoach.common.audio import Flag, pack_chunk

from .ring import Lost, Ring
from .timeline import Chunk
from .workers import WorkerTable

WINDOW: Final = 50
"""Chunks on their way, 3 s of them. After an outage of the bus every session has 30 s to send: all at once
they would bury the worker for seconds, which looks like death, and then the next one. Acked at 4 Hz this is
twelve times as fast as speech."""
MOST_DOUBLINGS: Final = 3


@dataclass(frozen=True, slots=True)
class DeliveryTiming:
    """Seconds. The defaults are the failover rules of ARCHITECTURE.md."""

    ack_timeout: float = 1.0
    """Chunks are out, and for so long the worker has got none of them. Workers ack at 4 Hz. Twice as long
    after each worker that was left for that in vain: if none of them keeps up, to move makes it worse."""
    stuck_timeout: float = 20.0
    """Chunks arrive and what may be forgotten never rises. The worker's longest utterance is 15 s; less
    than the ring's 30."""
    idle_release: float = 4.5
    """A worker finalises and releases a session after 5 s without audio: before that we ask it anew."""
    grace: float = 1.0
    """After our own reconnect: acks and heartbeats need a moment to come again."""
    stall: float = 1.0
    """Not looked after for so long, this process was itself stopped: as an outage of ours."""
    retry: float = 0.25
    """Between rounds of claims when nobody takes the session: one heartbeat."""
    degraded_after: float = 1.0
    """Audio has waited so long for a worker that the phone should know."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Ask this worker to take the session from `from_seq` on. Answer with `claimed` or `refused`.

    `resumes` is the epoch under which it was the last worker that was sent audio, None if it was not.
    """

    worker: str
    epoch: int
    from_seq: int
    resumes: int | None = None


class Delivery:
    """The sending side of one session."""

    def __init__(self, session: str, timing: DeliveryTiming | None = None) -> None:
        self._session = session
        self._timing = timing or DeliveryTiming()
        self._ring = Ring()
        self.cur = 0
        self.heard = 0
        self.ack = 0
        self.epoch = 0
        """Of the present owner, or of the last one."""
        self.worker: str | None = None
        self._claiming: Claim | None = None
        self._newest_epoch = 0
        self._refused: set[str] = set()
        self._avoided: str | None = None  # it has failed us
        self._preferred: str | None = None  # it has what we have no more
        self._last_sent_to: tuple[str, int] | None = None
        self._retry_at = 0.0
        self._newest_sent = -1
        self._progress_at = 0.0
        self._left_in_vain = 0
        self._ack_rose_at = 0.0
        self._out_at_last_ack = 0
        self._sent_at = 0.0
        self._waiting_since: float | None = None  # chunks wait and nobody has the session
        self._was_connected = True
        self._polled_at: float | None = None
        self._grace_until = 0.0
        self._end_seq: int | None = None
        self._is_wanted = False
        self.failovers: dict[str, int] = {}
        """Changes of worker by reason: bye, stale, no-ack, stuck."""

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, chunk: Chunk, now: float) -> None:
        """Number a chunk and keep it. Older ones may fall out unheard: see `take_lost`."""
        if self.cur >= self.next and now - self._sent_at >= self._timing.idle_release:
            self._lapse(now)
        seq = self._ring.append(chunk)
        if chunk.flags & Flag.END:
            self._end_seq = seq
        if self.worker is None and self._waiting_since is None:
            self._waiting_since = now
        self._ring.make_room(self._newest_sent + 1, self._claiming is not None)
        if self._ring.first > self.heard:
            # the worker would wait for ever for what has gone: it is asked anew, from what there is
            self._lapse(now)
        self._follow_ring()

    def _follow_ring(self) -> None:
        self.ack = max(self.ack, self._ring.first)
        self.heard = max(self.heard, self.ack)
        self.cur = max(self.cur, self.heard)

    def take_lost(self) -> list[Lost]:
        """What left the ring since the last call and no worker has."""
        return self._ring.take_lost()

    def give_up(self) -> None:
        """The session is forgotten, its transcript incomplete: what no worker has got is lost."""
        self._ring.give_up(0 if self.worker is None else self.heard)
        self._follow_ring()

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def next(self) -> int:
        """The number of the chunk that will be made next."""
        return self._ring.next

    def peek(self) -> tuple[str, Chunk, bytes] | None:
        """The worker, the next chunk to send to it, and its bytes; None if there is nobody or nothing."""
        if self.worker is None or not self.has_due:
            return None
        chunk = self._ring[self.cur]
        packed = pack_chunk(
            self._session,
            self.epoch,
            self.cur,
            chunk.sample_index,
            chunk.n_samples,
            int(chunk.flags),
            chunk.pcm,
        )
        return self.worker, chunk, packed

    @property
    def has_due(self) -> bool:
        """Whether a worker waits for the next chunk."""
        return self.worker is not None and self.cur < min(self.next, self.heard + WINDOW)

    def sent(self, now: float) -> None:
        """The chunk of `peek` went out."""
        assert self.worker is not None
        if self.cur > self._newest_sent:
            # only what is sent for the first time starts a clock: what is sent again is overdue already
            self._newest_sent = self.cur
            if self.heard == self.cur:
                self._progress_at = now
            if self.ack == self.cur:
                self._ack_rose_at = now
        self.cur += 1
        self._sent_at = now
        self._last_sent_to = self.worker, self.epoch

    @property
    def held(self) -> int:
        """Chunks in the ring."""
        return len(self._ring)

    @property
    def has_delivered_end(self) -> bool:
        """Whether the present worker has the session's last chunk; it need not acknowledge any more."""
        return self._end_seq is not None and self.heard > self._end_seq and self.worker is not None

    def is_degraded(self, now: float) -> bool:
        """Whether audio has waited for a worker for so long that the phone should know."""
        return self._waiting_since is not None and now - self._waiting_since >= self._timing.degraded_after

    # ── what workers say ─────────────────────────────────────────────────────────────────────────────────

    def acked(self, worker: str, epoch: int, seq: int, next_seq: int | None, now: float) -> str:
        """A worker acknowledged. Gives what came of it: `taken`, `went-back` (go back N), `old`, `invalid`.

        `old` is by a worker that has lost the session, or was overtaken by a newer one; `invalid` is of
        chunks that were never made.
        """
        lacks = seq if next_seq is None else next_seq
        if worker != self.worker or epoch != self.epoch or lacks < self.heard:
            return "old"
        if not seq <= lacks <= self.next:
            return "invalid"
        outcome = "taken"
        if lacks > self.heard:
            self.heard = lacks
            self.cur = max(self.cur, lacks)
            self._progress_at = max(self._progress_at, now)
        elif lacks < self._out_at_last_ack:
            # it was out before the last ack, which asked for it too: it, or the one before, got lost
            self.cur = lacks
            outcome = "went-back"
        self._out_at_last_ack = self.cur
        if self._claiming is None:  # a worker that is being asked may need all that it was offered
            self._forget(seq, now)
        return outcome

    def _forget(self, seq: int, now: float) -> None:
        if seq > self.ack:
            self.ack = seq
            self._ack_rose_at = now
            self._left_in_vain = 0
        self._ring.acked(seq)

    def claimed(self, claim: Claim, now: float, next_seq: int | None = None) -> None:
        """The worker took the session; it begins with the claim's first chunk.

        Or, with `next_seq`, it goes on with what it had, and lacks everything from there.
        """
        if claim is not self._claiming:
            return
        self._claiming = None
        self._refused.clear()
        self._is_wanted = False
        start = max(claim.from_seq, next_seq or 0)
        if not max(claim.from_seq, self._ring.first) <= start <= self.next:
            return  # the ring has moved on after all: the worker would wait for what has gone
        if self.worker is not None:
            self._count("bye")
        self._ring.missed(next_seq or 0)
        self.worker, self.epoch = claim.worker, claim.epoch
        self._avoided = self._preferred = None
        self.heard = self.cur = self._out_at_last_ack = start
        self._newest_sent = start - 1
        self._waiting_since = None
        self._progress_at = self._ack_rose_at = self._sent_at = now

    def refused(self, claim: Claim) -> None:
        """The worker refused or did not answer: the next one, and after all of them a short wait."""
        if claim is not self._claiming:
            return
        self._claiming = None
        self._refused.add(claim.worker)

    # ── decisions ────────────────────────────────────────────────────────────────────────────────────────

    def poll(self, now: float, is_connected: bool, workers: WorkerTable) -> Claim | None:
        """Look after the worker; the claim to make, if one is due."""
        if not self._tick_connection(now, is_connected):
            return None
        reason = self._why_leave(now, workers)
        if reason is not None:
            self._count(reason)
            self._leave(now, reason)
        if self._claiming is not None or now < self._retry_at:
            return None
        if self.worker is not None:
            is_leaving = workers.said_bye(self.worker) and not self.has_delivered_end
            return self._choose_another(now, workers) if is_leaving else None
        return self._choose(now, workers) if self.cur < self.next or self._is_wanted else None

    def want(self) -> None:
        """A worker is needed though no chunk waits: there is sound that came late."""
        self._is_wanted = self.worker is None

    def disowned(self, worker: str, now: float) -> None:
        """The worker says that it has not the session: it heard nothing for long, and has released it."""
        if worker == self.worker and not self.has_delivered_end:
            self._lapse(now)
            self.want()

    def _tick_connection(self, now: float, is_connected: bool) -> bool:
        """While we are cut off from the bus, or stopped, nobody else is to blame: every timer stands still.

        Without this a one-second restart of NATS would move every session.
        """
        stalled = self._polled_at is not None and now - self._polled_at > self._timing.stall
        self._polled_at = now
        if not is_connected:
            self._was_connected = False
            return False
        if not self._was_connected or stalled:
            self._grace_until = now + self._timing.grace
            self._progress_at = max(self._progress_at, self._grace_until)
            self._ack_rose_at = max(self._ack_rose_at, now)
        if self._was_connected and stalled and now - self._sent_at >= self._timing.idle_release:
            self._lapse(now)
        if not self._was_connected:
            self._was_connected = True
            self._sent_at = now  # the worker's own patience stands still while it is cut off, too
            # what was on its way may be lost; what the worker has already, it drops
            self.cur = self._out_at_last_ack = self.heard
        return True

    def _lapse(self, now: float) -> None:
        """No audio for so long that the worker may have released the session, or audio that it can't get.

        It is asked anew, and goes on with what it still has.
        """
        worker = self.worker
        if worker is not None:
            self._leave(now, "lapse")
            self._avoided, self._preferred = None, worker

    def _why_leave(self, now: float, workers: WorkerTable) -> str | None:
        """The reason to take the session from its worker; None while all is well."""
        if self.worker is None or now < self._grace_until:
            return None
        if not workers.is_alive(self.worker, now):
            return "stale"
        if self.has_delivered_end:
            return None
        timing = self._timing
        patience = timing.ack_timeout * 2 ** min(self._left_in_vain, MOST_DOUBLINGS)
        if self.heard < self.cur and now - self._progress_at > patience:
            return "no-ack"
        if self.ack < self.heard and now - self._ack_rose_at > timing.stuck_timeout:
            return "stuck"
        return None

    def _count(self, reason: str) -> None:
        self.failovers[reason] = self.failovers.get(reason, 0) + 1

    def _leave(self, now: float, reason: str) -> None:
        self._avoided, self.worker = self.worker, None
        if reason == "stuck":
            self._last_sent_to = None  # what it has is no good
        if reason == "no-ack":
            self._left_in_vain += 1
        self.heard = self.cur = self.ack
        if self.cur < self.next:
            self._waiting_since = now

    def _choose_another(self, now: float, workers: WorkerTable) -> Claim | None:
        """The present one is stopping. It goes on listening until another one has taken the session."""
        assert self.worker is not None
        return self._claim(workers.choose(now, self._refused | {self.worker}), now)

    def _choose(self, now: float, workers: WorkerTable) -> Claim | None:
        preferred = self._preferred
        if preferred is not None and preferred not in self._refused:
            if workers.may_resume(preferred, now):
                return self._claim(preferred, now)
            if now < self._grace_until:
                return None  # its heartbeat needs a moment after an outage, and it has what nobody else has
        avoided = self._avoided
        worker = workers.choose(now, self._refused | {avoided} if avoided else self._refused)
        if worker is None and avoided not in self._refused and avoided is not None:
            # the same one, if it is the only one and alive
            worker = avoided if workers.may_resume(avoided, now) else None
        return self._claim(worker, now)

    def _claim(self, worker: str | None, now: float) -> Claim | None:
        if worker is None:
            self._refused.clear()
            self._retry_at = now + self._timing.retry
            return None
        self._newest_epoch = max(self._newest_epoch, self.epoch) + 1
        was_its = self._last_sent_to is not None and self._last_sent_to[0] == worker
        resumes = self._last_sent_to[1] if was_its and self._last_sent_to else None
        self._claiming = Claim(worker, self._newest_epoch, self.ack, resumes)
        return self._claiming
