"""How one session's chunks reach an asr worker, whichever workers come and go.

The ring holds the last 30 s. `ack` is what the worker can rebuild no more, `cur` the next to send, `next`
the next to be made: ack <= cur <= next. Everything goes out by one path, `peek` and `sent`; after a change
of worker `cur` goes back to `ack` and the same path replays. The epoch rises with every claim, so that a
worker which was only asleep can't speak twice.

Pure: it is told the time and what happened, and says whom to claim.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE, Flag, pack_chunk

from .timeline import Chunk
from .workers import WorkerTable

RING_SAMPLES: Final = 30 * SAMPLE_RATE
"""Longer than the longest utterance (15 s) and a takeover together."""
_END: Final = Flag.END
RING_CHUNKS: Final = 2_000
"""At 20 ms a chunk more than 30 s; bounds what hardly weighs in samples."""


@dataclass(frozen=True, slots=True)
class DeliveryTiming:
    """Seconds. The defaults are the failover rules of ARCHITECTURE.md."""

    ack_timeout: float = 1.0
    """Audio was sent, and no ack has come for so long. Workers ack at 4 Hz."""
    go_back_after: float = 3.0
    """The same ack for so long: perhaps a chunk is missing there, so send again from it (go back N), and
    again after twice the time. Not sooner: an ack stands at the start of an open utterance, and most are
    shorter than this; what the worker has already, it drops."""
    go_back_after_outage: float = 0.5
    """The same after the bus was away: the worker may have come back to it later than we."""
    stuck_timeout: float = 20.0
    """Acks come and never rise. The worker's longest utterance is 15 s; less than the ring's 30."""
    idle_release: float = 4.5
    """A worker finalises and releases a session after 5 s without audio: before that we take it as gone."""
    grace: float = 1.0
    """After our own reconnect: acks and heartbeats need a moment to come again."""
    retry: float = 0.25
    """Between rounds of claims when nobody takes the session: one heartbeat."""
    degraded_after: float = 1.0
    """Audio has waited so long for a worker that the phone should know."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Ask this worker to take the session from `from_seq` on. Answer with `claimed` or `refused`."""

    worker: str
    epoch: int
    from_seq: int


@dataclass(frozen=True, slots=True)
class Overflow:
    """Chunks that left the ring before a worker had them."""

    first_sample: int
    n_samples: int


class Delivery:
    """The sending side of one session."""

    def __init__(self, session: str, timing: DeliveryTiming | None = None) -> None:
        self._session = session
        self._timing = timing or DeliveryTiming()
        self._ring: deque[Chunk] = deque()
        self._ring_samples = 0
        self._first = 0  # seq of the ring's oldest chunk
        self.next = 0
        self.cur = 0
        self.ack = 0
        self.epoch = 0
        self.worker: str | None = None
        self._claiming: Claim | None = None
        self._refused: set[str] = set()
        self._last_worker: str | None = None
        self._newest_sent = 0
        self._retry_at = 0.0
        self._unacked_since: float | None = None  # first chunk sent since the last ack was heard
        self._ack_rose_at = 0.0
        self._go_back_after = self._timing.go_back_after
        self._sent_at = 0.0
        self._waiting_since: float | None = None  # chunks wait and nobody has the session
        self._was_connected = True
        self._grace_until = 0.0
        self._end_seq: int | None = None
        self._is_wanted = False
        self.failovers: dict[str, int] = {}
        """Changes of worker by reason: bye, stale, no-ack, stuck."""

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, chunk: Chunk, now: float) -> Overflow | None:
        """Number a chunk and keep it; says so if older ones fell out unheard."""
        if self.cur >= self.next and now - self._sent_at >= self._timing.idle_release:
            self._lapse(now)
        self._ring.append(chunk)
        self._ring_samples += len(chunk.pcm) // 2
        self.next += 1
        if chunk.flags == _END:
            self._end_seq = self.next - 1
        if self.worker is None and self._waiting_since is None:
            self._waiting_since = now
        return self._trim(now)

    def _trim(self, now: float) -> Overflow | None:
        """Drop what is acked, then what is over 30 s old.

        What was sent and is not acked goes as well: a worker has it, it is only lost for a takeover.
        """
        while self._first < self.ack:
            self._drop_oldest()
        unheard: list[Chunk] = []
        while self._ring_samples > RING_SAMPLES or len(self._ring) > RING_CHUNKS:
            if self._first >= self.cur:
                unheard.append(self._ring[0])
            self._drop_oldest()
        self.ack = max(self.ack, self._first)
        if not unheard:
            return None
        # the worker would wait for ever for what has gone: it must be claimed anew, from what there is
        self.worker = None
        self.cur = self.ack
        self._waiting_since = self._waiting_since or now
        first = unheard[0].sample_index
        return Overflow(first, unheard[-1].sample_index + unheard[-1].n_samples - first)

    def _drop_oldest(self) -> None:
        self._ring_samples -= len(self._ring.popleft().pcm) // 2
        self._first += 1

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────

    def peek(self) -> tuple[str, Chunk, bytes] | None:
        """The worker, the next chunk to send to it, and its bytes; None if there is nobody or nothing."""
        if self.worker is None or self.cur >= self.next:
            return None
        chunk = self._ring[self.cur - self._first]
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
    def has_next(self) -> bool:
        """Whether `peek` has something."""
        return self.worker is not None and self.cur < self.next

    def sent(self, now: float) -> None:
        """The chunk of `peek` went out."""
        if self.ack == self.cur and self.cur >= self._newest_sent:
            self._ack_rose_at = now
        self._newest_sent = max(self._newest_sent, self.cur)
        self.cur += 1
        self._sent_at = now
        if self._unacked_since is None:
            self._unacked_since = now

    @property
    def held(self) -> int:
        """Chunks in the ring."""
        return len(self._ring)

    @property
    def has_sent_end(self) -> bool:
        """Whether the session's last message went out to the present worker."""
        return self._end_seq is not None and self.cur > self._end_seq and self.worker is not None

    def is_degraded(self, now: float) -> bool:
        """Whether audio has waited for a worker for so long that the phone should know."""
        return self._waiting_since is not None and now - self._waiting_since >= self._timing.degraded_after

    # ── what workers say ─────────────────────────────────────────────────────────────────────────────────

    def acked(self, worker: str, epoch: int, seq: int, now: float) -> str:
        """A worker acknowledged. Gives what came of it: `old`, `taken`, or `went-back` (go back N).

        `old` is by a worker that has lost the session, or of an epoch before its present one.
        """
        if worker != self.worker or epoch != self.epoch:
            return "old"
        self._unacked_since = None if seq >= self.cur else now
        if self.ack < seq <= self.next:
            self.ack = seq
            self._ack_rose_at = now
            self._go_back_after = self._timing.go_back_after
            self.cur = max(self.cur, seq)
            self._trim(now)
        elif self.ack < self.cur and now - self._ack_rose_at >= self._go_back_after:
            self._go_back_after *= 2
            self.cur = self.ack
            return "went-back"
        return "taken"

    def claimed(self, claim: Claim, now: float) -> None:
        """The worker took the session: everything from the last ack goes to it."""
        if claim is not self._claiming:
            return
        self._claiming = None
        self._refused.clear()
        self._is_wanted = False
        if claim.from_seq != self.ack:
            return  # the ring has moved on meanwhile: the worker would wait for what has gone
        self.worker = self._last_worker = claim.worker
        self.cur = self.ack
        self._unacked_since = None
        self._waiting_since = None
        self._ack_rose_at = self._sent_at = now

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
            self.failovers[reason] = self.failovers.get(reason, 0) + 1
            self._leave(now)
        if self.worker is not None or self._claiming is not None:
            return None
        if self.cur >= self.next and not self._is_wanted:
            return None
        return self._choose(now, workers)

    def want(self) -> None:
        """A worker is needed though no chunk waits: there is sound that came late."""
        self._is_wanted = self.worker is None

    def disowned(self, worker: str, now: float) -> None:
        """The worker says that it has not the session: it heard nothing for long, and has released it."""
        if worker == self.worker and not self.has_sent_end:
            self._lapse(now)
            self.want()

    def _tick_connection(self, now: float, is_connected: bool) -> bool:
        """While we are cut off from the bus nobody else is to blame: every timer stands still.

        Without this a one-second restart of NATS would move every session.
        """
        if not is_connected:
            self._was_connected = False
            return False
        if not self._was_connected:
            self._was_connected = True
            self._grace_until = now + self._timing.grace
            self._ack_rose_at = max(self._ack_rose_at, now)
            self._go_back_after = self._timing.go_back_after_outage
            if self._unacked_since is not None:
                self._unacked_since = self._grace_until
            if now - self._sent_at >= self._timing.idle_release:
                self._lapse(now)
            # what was on its way may be lost; the worker knows and skips what it already has
            self.cur = self.ack
        return True

    def _lapse(self, now: float) -> None:
        """The worker has had no audio for so long that it has finished and released the session."""
        if self.worker is not None:
            self._leave(now)
            self._last_worker = None

    def _why_leave(self, now: float, workers: WorkerTable) -> str | None:
        """The reason to take the session from its worker; None while all is well.

        An ack stands at the start of the open utterance, so the same one again and again is no sign of
        loss; that none is heard is.
        """
        if self.worker is None:
            return None
        if workers.said_bye(self.worker):
            return "bye"
        has_ended = self.has_sent_end
        if now < self._grace_until:
            return None
        if not workers.is_fresh(self.worker, now):
            return "stale"
        if has_ended:
            return None  # a worker that has finished the session has nothing to acknowledge any more
        timing = self._timing
        if self._unacked_since is not None and now - self._unacked_since > timing.ack_timeout:
            return "no-ack"
        if self.ack < self.cur and now - self._ack_rose_at > timing.stuck_timeout:
            return "stuck"
        return None

    def _leave(self, now: float) -> None:
        self._last_worker = self.worker
        self.worker = None
        self.cur = self.ack
        self._unacked_since = None
        if self.cur < self.next:
            self._waiting_since = now

    def _choose(self, now: float, workers: WorkerTable) -> Claim | None:
        if now < self._retry_at:
            return None
        avoid = set(self._refused)
        if self._last_worker is not None:
            avoid.add(self._last_worker)
        worker = workers.choose(now, avoid)
        if worker is None and self._last_worker is not None and self._last_worker not in self._refused:
            worker = workers.choose(now, self._refused)  # the same one, if it is the only one and alive
        if worker is None:
            self._refused.clear()
            self._retry_at = now + self._timing.retry
            return None
        self.epoch += 1
        self._claiming = Claim(worker, self.epoch, self.ack)
        return self._claiming
