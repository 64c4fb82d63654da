"""Stands for asr where only the ingest is measured: takes every session, acks what it hears, says nothing.

`python -m fieldcoach.tools.bench.acking_worker`, a process like any service. Its acks follow the newest chunk
at once, where a real worker's stand at the start of the open utterance.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from fieldcoach.common.audio import Flag, unpack_chunk
from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable
from fieldcoach.common.ids import new_id
from fieldcoach.common.lifecycle import run
from fieldcoach.common.messages import (
    Ack,
    AckBatch,
    ClaimReply,
    ClaimRequest,
    Message,
    TranscriptComplete,
    WorkerHeartbeat,
)
from fieldcoach.common.numbering import EventNumbers
from fieldcoach.common.settings import ServiceSettings
from fieldcoach.common.telemetry import Headers

SLOTS: Final = 10_000
EVERY_S: Final = 0.25
"""As asr: heartbeats and acks at 4 Hz."""


class AckingWorker:
    """The service. It keeps two numbers for each session and no audio."""

    def __init__(self, settings: ServiceSettings, bus: Bus) -> None:
        self.id = new_id()
        self._bus = bus
        self._places: dict[str, tuple[str, int, int]] = {}
        """By session: its ingest, the epoch, the next chunk."""
        self._numbers = EventNumbers()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take claims and audio."""
        subjects = self._bus.subjects
        await self._bus.subscribe(subjects.audio_of_worker(self.id), self._on_audio)
        await self._bus.serve(subjects.asr_claim(self.id), self._on_claim)
        self._spawn(self._beat())

    async def drain(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def why_not_ready(self) -> str | None:
        """There is nothing to load."""
        return None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _on_claim(self, payload: bytes) -> Message:
        claim = ClaimRequest.decode(payload)
        self._places[claim.session] = claim.ingest, claim.epoch, claim.from_seq
        return ClaimReply(accepted=True)

    def _on_audio(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        chunk = unpack_chunk(payload)
        place = self._places.get(chunk.session)
        if place is None or place[1:] != (chunk.epoch, chunk.seq):
            return
        self._places[chunk.session] = place[0], chunk.epoch, chunk.seq + 1
        if chunk.flags & Flag.END:
            del self._places[chunk.session]
            complete = TranscriptComplete(
                session=chunk.session,
                n=self._numbers.next(),
                epoch=chunk.epoch,
                end_sample=chunk.sample_index,
            )
            self._spawn(self._bus.publish_event(complete))

    async def _beat(self) -> None:
        while True:
            try:
                await self._report()
            except BusUnavailable:
                self._bus.faults.add("heartbeat-unsent")
            await asyncio.sleep(EVERY_S)

    async def _report(self) -> None:
        heartbeat = WorkerHeartbeat(
            worker=self.id,
            slots=SLOTS,
            used=len(self._places),
            real_time_factor=0.0,
            lag_ms=0.0,
            engine="acking",
            model="none",
        )
        await self._bus.publish(self._bus.subjects.asr_heartbeat(), heartbeat.encode())
        for ingest in {ingest for ingest, _, _ in self._places.values()}:
            acks = tuple(
                Ack(session=session, epoch=epoch, seq=seq)
                for session, (owner, epoch, seq) in self._places.items()
                if owner == ingest
            )
            await self._bus.publish(
                self._bus.subjects.ack(ingest), AckBatch(worker=self.id, acks=acks).encode()
            )


if __name__ == "__main__":
    run("acking-worker", ServiceSettings, AckingWorker)
