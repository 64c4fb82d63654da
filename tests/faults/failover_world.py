"""One session, two workers, a reader and a bus between them, in virtual time, all of which may fail.

The cores are the real ones: `Delivery` and `WorkerTable`, the worker's `Session`, recogniser, scheduler and
patience, the reader's `CommittedTranscript` and `Position`. What is written here stands for processes and for
NATS: who runs, who is connected, which message is lost, doubled or late.

Speech is a constant, silence is zero. The engine says one word for each 320 ms of the session's clock whose
middle it hears, `w17`, so a transcript tells exactly what was said once, twice or never. Without word times:
the harder case for the reader.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from tests.faults.failover_worker import CELL, SESSION, Link, Worker

from fieldcoach.common.audio import Flag
from fieldcoach.common.committed import CommittedTranscript
from fieldcoach.common.messages import Ack, ClaimReply, ClaimRequest, FinalTranscript
from fieldcoach.common.position import Position
from fieldcoach.ingest.delivery import Claim, Delivery
from fieldcoach.ingest.timeline import Chunk
from fieldcoach.ingest.workers import WorkerTable

INGEST: Final = "i" * 26
CHUNK: Final = 960
STEP_S: Final = 0.03
CLAIM_TIMEOUT_S: Final = 0.5
SPEECH, SILENCE = np.full(CHUNK, 16_000, "<i2").tobytes(), bytes(2 * CHUNK)


@dataclass
class Noise:
    """Of each message on the bus that carries no durable event."""

    drop: float = 0.0
    double: float = 0.0
    late: float = 0.0


class World:
    """The clock, the server, and everybody."""

    def __init__(self, seed: int) -> None:
        self.now = 1_000.0
        self.draw = random.Random(seed)
        self.noise = Noise()
        self.server_is_up = True
        self._flight: list[tuple[float, int, Callable[[], None]]] = []
        self._sent = 0
        self.stream: list[FinalTranscript] = []
        """What the server's event stream holds; it dies with the server."""
        self.takes_along: list[FinalTranscript] | None = None
        """Events that the server takes and does not pass on: it is about to die."""
        self.reader = Reader()
        self.ingest = Ingest(self)
        self.workers: list[Worker] = [Worker(self), Worker(self)]

    @property
    def links(self) -> list[Link]:
        return [self.reader.link, self.ingest.link, *(worker.link for worker in self.workers)]

    def run(self, seconds: float, is_speaking: bool | None = None) -> None:
        """Let time pass; somebody speaks, or is silent, or the microphone is off (None)."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += STEP_S
            while self._flight and self._flight[0][0] <= self.now:
                heapq.heappop(self._flight)[2]()
            for worker in list(self.workers):
                worker.step()
            self.ingest.step(is_speaking)

    # ── the server ───────────────────────────────────────────────────────────────────────────────────────

    def send(self, link: Link, deliver: Callable[[], None], *, is_event: bool = False) -> None:
        """One message through the server. Whoever thinks it is connected may send into the void."""
        assert link.is_up
        if not self.server_is_up or (not is_event and self.draw.random() < self.noise.drop):
            return
        for _ in range(1 if is_event or self.draw.random() >= self.noise.double else 2):
            late = not is_event and self.draw.random() < self.noise.late
            delay = 0.005 + (self.draw.uniform(0, 0.4) if late else 0)
            self.after(delay, deliver)

    def after(self, delay: float, work: Callable[[], None]) -> None:
        self._sent += 1
        heapq.heappush(self._flight, (self.now + delay, self._sent, work))

    def publish(self, link: Link, final: FinalTranscript) -> None:
        """A durable event: into the stream, and to the reader if it is there."""

        if self.takes_along is not None:
            self.takes_along.append(final)
            return

        def store() -> None:
            self.stream.append(final)
            if self.reader.link.is_up:
                self.reader.receive(final)

        self.send(link, store, is_event=True)

    def kill_server(self) -> None:
        """What is on its way is gone, and the stream; the clients notice a little later."""
        self.server_is_up = False
        self._flight.clear()
        self.stream.clear()
        self.after(0.04, self._disconnect)

    def _disconnect(self) -> None:
        for link in self.links:
            link.is_up = False
        self.ingest.lose_claim()
        for worker in self.workers:
            worker.disconnected()

    def start_server(self) -> None:
        """Everybody comes back when they happen to try."""
        self.server_is_up = True
        for link in self.links:
            self.reconnect(link)

    def reconnect(self, link: Link) -> None:
        def connected() -> None:
            if not self.server_is_up or link.is_up:
                return
            link.is_up = True
            if link is self.reader.link:
                for final in list(self.stream):
                    self.reader.receive(final)
            for worker in self.workers:
                if worker.link is link:
                    worker.flush()

        self.after(self.draw.uniform(0.05, 0.6), connected)

    # ── who fails ────────────────────────────────────────────────────────────────────────────────────────

    def cut_off_ingest(self) -> None:
        """It alone loses its connection, and what it had sent lately."""
        self.ingest.link.is_up = False
        self.ingest.lose_claim()

    def start_worker(self) -> None:
        self.workers = [worker for worker in self.workers if not worker.is_dead]
        if len(self.workers) < 2:
            self.workers.append(Worker(self, is_connected=self.server_is_up))

    def heal(self) -> None:
        """Everything works from now on, and somebody is there to work."""
        self.noise = Noise()
        if not self.server_is_up:
            self.start_server()
        if not self.ingest.link.is_up:
            self.reconnect(self.ingest.link)
        for worker in self.workers:
            worker.wake()
        self.start_worker()


@dataclass
class Reader:
    """A gateway, or a coach: as `SessionFollower` passes events on."""

    link: Link = field(default_factory=Link)
    position: Position = field(default_factory=Position)
    transcript: CommittedTranscript = field(default_factory=CommittedTranscript)
    told: list[FinalTranscript] = field(default_factory=list)

    def receive(self, final: FinalTranscript) -> None:
        accepted, _ = self.transcript.accept(final)
        if self.position.advance(final) and accepted is not None:
            self.told.append(accepted)

    @property
    def words(self) -> list[str]:
        return [word for final in self.told for word in final.text.split()]


class Ingest:
    """Makes 60 ms chunks of what is spoken, and delivers them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.link = Link()
        self.table = WorkerTable(draw=random.Random(1))
        self.delivery = Delivery(SESSION)
        self.sample = 0
        self.spoken: list[int] = []
        """Cells whose middle was spoken."""
        self.lost: list[tuple[int, int]] = []
        self._due = 0.0
        self._claim: Claim | None = None
        self._stop_until = 0.0

    def stop(self, seconds: float) -> None:
        """SIGSTOP: the phone's sound waits in the socket."""
        self._stop_until = self._world.now + seconds

    def step(self, is_speaking: bool | None) -> None:
        world = self._world
        self._due += STEP_S
        if world.now < self._stop_until:
            return
        while self._due >= CHUNK / 16_000:
            self._due -= CHUNK / 16_000
            if is_speaking is not None:
                self._hear(is_speaking)
        self._work()

    def _hear(self, is_speaking: bool) -> None:
        pcm = SPEECH if is_speaking else SILENCE
        first, self.sample = self.sample, self.sample + CHUNK
        cell = first // CELL
        middle = cell * CELL + CELL // 2
        if is_speaking and first <= middle < self.sample:
            self.spoken.append(cell)
        self.delivery.append(Chunk(first, CHUNK, Flag.OK, pcm), self._world.now)

    def end(self) -> None:
        self.delivery.append(Chunk(self.sample, 0, Flag.END, b""), self._world.now)

    def skip(self, seconds: float) -> None:
        """Nothing was heard for a while: one gap."""
        n_samples = round(seconds * 16_000) // CELL * CELL
        chunk = Chunk(self.sample, n_samples, Flag.GAP, b"")
        self.sample += n_samples
        self.delivery.append(chunk, self._world.now)

    def _work(self) -> None:
        world, delivery = self._world, self.delivery
        claim = delivery.poll(world.now, self.link.is_up, self.table)
        if claim is not None:
            self._ask(claim)
        while self.link.is_up and (item := delivery.peek()) is not None:
            worker, _, packed = item
            world.send(self.link, partial(self._to, worker, Worker.audio, packed))
            delivery.sent(world.now)
        self.lost += [
            (lost.first_sample, lost.first_sample + lost.n_samples) for lost in delivery.take_lost()
        ]

    def _to(self, worker: str, handler: Callable[..., None], *message: object) -> None:
        """A message arrives in the socket of that worker, if there is one."""
        for one in self._world.workers:
            if one.id == worker:
                one.post(partial(handler, one, *message))

    def _ask(self, claim: Claim) -> None:
        world, self._claim = self._world, claim
        request = ClaimRequest(
            session=SESSION, epoch=claim.epoch, from_seq=claim.from_seq, ingest=INGEST, resumes=claim.resumes
        )

        def answered(reply: ClaimReply) -> None:
            if self._claim is not claim:
                return
            self._claim = None
            if reply.accepted:
                self.delivery.claimed(claim, world.now, reply.next_seq)
            else:
                self.delivery.refused(claim)

        world.send(self.link, partial(self._to, claim.worker, Worker.claim, request, answered))
        world.after(CLAIM_TIMEOUT_S, lambda: answered(ClaimReply(accepted=False, reason="timeout")))

    def lose_claim(self) -> None:
        """The request fails with its connection."""
        if self._claim is not None:
            claim, self._claim = self._claim, None
            self.delivery.refused(claim)

    def acked(self, worker: str, ack: Ack) -> None:
        self.delivery.acked(worker, ack.epoch, ack.seq, ack.next_seq, self._world.now)
