"""A light ingest: claims sessions, sends their sound as it would be spoken, keeps what comes back."""

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from fieldcoach.common.audio import CHUNK_SAMPLES, SAMPLE_RATE, Flag, pack_chunk
from fieldcoach.common.bus import Bus
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    AckBatch,
    ClaimReply,
    ClaimRequest,
    FinalTranscript,
    PartialTranscript,
    TranscriptComplete,
    WorkerHeartbeat,
    decode_event,
)
from fieldcoach.common.telemetry import Headers

from ...errors import BenchError
from .programme import Programme

CLAIM_S: Final = 10.0
"""A worker that a run has filled beyond its core answers late; that is no failure of the next run."""
IDLE_S: Final = 120.0
"""For what is left of the run before."""
COMPLETE_S: Final = 20.0
"""After the last sample: what has not come by then is lost."""
EPOCH: Final = 1


@dataclass(slots=True)
class Stream:
    """One session: what was sent when, and what came back when. Times are monotonic seconds."""

    programme: Programme
    session: str = field(default_factory=new_id)
    sent_at: list[float] = field(default_factory=list)
    """Of each chunk."""
    finals: list[tuple[float, FinalTranscript]] = field(default_factory=list)
    partials: list[tuple[float, PartialTranscript]] = field(default_factory=list)
    acked: int = 0
    is_complete: bool = False

    @property
    def chunks(self) -> int:
        """All of its sound, and the end."""
        return -(-len(self.programme.pcm) // (2 * CHUNK_SAMPLES)) + 1

    def heard_at(self, seconds: float) -> float:
        """When the chunk with the last sample before this moment of its sound was sent."""
        chunk = max(0, round(seconds * SAMPLE_RATE) - 1) // CHUNK_SAMPLES
        return self.sent_at[min(chunk, len(self.sent_at) - 1)]


class LightIngest:
    """All sessions of a run, over one connection."""

    def __init__(self, nats_url: str, region: str) -> None:
        self.id = new_id()
        self.workers: dict[str, WorkerHeartbeat] = {}
        self.worst_send_delay_s = 0.0
        """How late a chunk left us at worst: a busy machine delays us too."""
        self._bus = Bus(nats_url, region, "bench")
        self._streams: dict[str, Stream] = {}
        self._changed = asyncio.Event()

    async def connect(self) -> None:
        """Connect, and listen to what every worker says."""
        await self._bus.connect()
        subjects = self._bus.subjects
        await self._bus.subscribe(subjects.asr_heartbeat(), self._heartbeat)
        await self._bus.subscribe(subjects.ack(self.id), self._ack)

    async def close(self) -> None:
        """Let the connection go."""
        await self._bus.drain()

    async def wait_for_workers(self, number: int, limit_s: float) -> None:
        """Return when so many workers would take a session.

        Raises:
            BenchError: they did not come in time.
        """
        try:
            async with asyncio.timeout(limit_s):
                await self._until(
                    lambda: sum(1 for beat in self.workers.values() if beat.slots > beat.used) >= number
                )
        except TimeoutError:
            raise BenchError(f"no asr worker was ready within {limit_s:.0f} s") from None

    async def play(self, programmes: Sequence[Programme]) -> list[Stream]:
        """Every programme as one session, all at once, spread over the workers.

        Raises:
            BenchError: a worker refused one, or is still busy with those of an earlier call.
        """
        try:
            async with asyncio.timeout(IDLE_S):
                await self._until(lambda: all(beat.used == 0 for beat in self.workers.values()))
        except TimeoutError:
            raise BenchError(f"an asr worker still had sessions after {IDLE_S:.0f} s") from None
        streams = [Stream(programme) for programme in programmes]
        workers = sorted(self.workers)
        of = {stream.session: workers[n % len(workers)] for n, stream in enumerate(streams)}
        for stream in streams:
            await self._open(stream, of[stream.session])
        await self._send(streams, of)
        with suppress(TimeoutError):  # the figures tell what is missing
            async with asyncio.timeout(COMPLETE_S):
                await self._until(lambda: all(stream.is_complete for stream in streams))
        for stream in streams:
            self._streams.pop(stream.session, None)
        return streams

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    async def _open(self, stream: Stream, worker: str) -> None:
        subjects = self._bus.subjects
        self._streams[stream.session] = stream
        for subject in subjects.events_of(stream.session):
            await self._bus.subscribe(subject, self._event)
        await self._bus.subscribe(subjects.partial(stream.session), self._partial)
        offered = self.workers[worker].languages
        wanted = stream.programme.language
        language = wanted if wanted in offered or not offered else offered[0]
        claim = ClaimRequest(
            session=stream.session, epoch=EPOCH, from_seq=0, ingest=self.id, languages=(language,)
        )
        reply = await self._bus.request(subjects.asr_claim(worker), claim, ClaimReply, CLAIM_S)
        if not reply.accepted:
            raise BenchError(f"an asr worker refused a session ({reply.reason})")

    async def _send(self, streams: Sequence[Stream], of: dict[str, str]) -> None:
        """A chunk of each session every 60 ms, the sessions spread evenly over that time."""
        began = time.monotonic() + 0.1
        apart = CHUNK_SAMPLES / SAMPLE_RATE
        queue = [(began + apart * (1 + n / len(streams)), n, 0) for n in range(len(streams))]
        heapq.heapify(queue)
        while queue:
            due, place, seq = queue[0]
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.worst_send_delay_s = max(self.worst_send_delay_s, time.monotonic() - due)
            stream = streams[place]
            pcm = stream.programme.pcm[2 * CHUNK_SAMPLES * seq : 2 * CHUNK_SAMPLES * (seq + 1)]
            flags = Flag.OK if pcm else Flag.END
            first = min(seq * CHUNK_SAMPLES, len(stream.programme.pcm) // 2)
            chunk = pack_chunk(stream.session, EPOCH, seq, first, len(pcm) // 2, int(flags), pcm)
            await self._bus.publish(self._bus.subjects.audio(of[stream.session], stream.session), chunk)
            stream.sent_at.append(time.monotonic())
            if pcm:
                heapq.heapreplace(queue, (due + apart, place, seq + 1))
            else:
                heapq.heappop(queue)

    def _heartbeat(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        beat = WorkerHeartbeat.decode(payload)
        self.workers[beat.worker] = beat
        self._changed.set()

    def _ack(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        for ack in AckBatch.decode(payload).acks:
            if (stream := self._streams.get(ack.session)) is not None:
                stream.acked = max(stream.acked, ack.seq)

    def _event(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        now = time.monotonic()
        event = decode_event(payload)
        stream = self._streams.get(event.session)
        if stream is None:
            return
        if isinstance(event, FinalTranscript):
            stream.finals.append((now, event))
        elif isinstance(event, TranscriptComplete):
            stream.is_complete = True
            self._changed.set()

    def _partial(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        now = time.monotonic()
        partial = PartialTranscript.decode(payload)
        if (stream := self._streams.get(partial.session)) is not None:
            stream.partials.append((now, partial))
