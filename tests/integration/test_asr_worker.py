"""A whole asr worker on a real bus, with a test ingest: claim, audio, acks, transcripts, end, bad input."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fieldcoach.asr.service import AsrService
from fieldcoach.asr.settings import AsrSettings
from fieldcoach.common.audio import Flag, pack_chunk
from fieldcoach.common.bus import Bus
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    AckBatch,
    BackfillAudio,
    BackfillReply,
    ClaimReply,
    ClaimRequest,
    EventMessage,
    FinalTranscript,
    PartialTranscript,
    WorkerHeartbeat,
    decode_event,
)
from fieldcoach.common.telemetry import Headers, extract

ROOT = Path(__file__).resolve().parents[2]


class Ingest:
    """A test ingest with one session: sends chunks, keeps what comes back."""

    def __init__(self, bus: Bus, worker: str) -> None:
        self.bus = bus
        self.worker = worker
        self.id, self.session = new_id(), new_id()
        self.events: list[tuple[EventMessage, Headers]] = []
        self.partials: list[PartialTranscript] = []
        self.acks: list[int] = []
        self.heartbeats: list[WorkerHeartbeat] = []
        self._changed = asyncio.Event()

    async def start(self) -> None:
        subjects = self.bus.subjects
        for subject in subjects.events_of(self.session):
            await self.bus.subscribe(subject, self._event)
        await self.bus.subscribe(subjects.partial(self.session), self._partial)
        await self.bus.subscribe(subjects.ack(self.id), self._ack)
        await self.bus.subscribe(subjects.asr_heartbeat(), self._heartbeat)

    def _event(self, _subject: str, payload: bytes, headers: Headers) -> None:
        self.events.append((decode_event(payload), headers))
        self._changed.set()

    def _partial(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        self.partials.append(PartialTranscript.decode(payload))
        self._changed.set()

    def _ack(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        self.acks += [ack.seq for ack in AckBatch.decode(payload).acks if ack.session == self.session]
        self._changed.set()

    def _heartbeat(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        self.heartbeats.append(WorkerHeartbeat.decode(payload))
        self._changed.set()

    async def until(self, condition: Callable[[], object], timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def claim(
        self, epoch: int = 1, from_seq: int = 0, languages: tuple[str, ...] = ("en",)
    ) -> ClaimReply:
        request = ClaimRequest(
            session=self.session, epoch=epoch, from_seq=from_seq, ingest=self.id, languages=languages
        )
        return await self.bus.request(self.bus.subjects.asr_claim(self.worker), request, ClaimReply, 2)

    async def send(self, seq: int, sample: int, pcm: bytes, epoch: int = 1, flags: Flag = Flag.OK) -> None:
        chunk = pack_chunk(self.session, epoch, seq, sample, len(pcm) // 2, int(flags), pcm)
        await self.bus.publish(self.bus.subjects.audio(self.worker, self.session), chunk)

    @property
    def finals(self) -> list[FinalTranscript]:
        return [event for event, _ in self.events if isinstance(event, FinalTranscript)]

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event, _ in self.events]


def opening(seconds: float = 7.2) -> list[bytes]:
    """The first two lines of a visit, in chunks of 60 ms."""
    with av.open(str(ROOT / "visits" / "biscuits-no-space.flac")) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    samples = np.concatenate(frames, axis=1)[0][: round(seconds * 16_000)].astype("<i2")
    return [samples[at : at + 960].tobytes() for at in range(0, len(samples), 960)]


LINES = ["good morning sir how is your business today", "business is slow these days"]
Start = Callable[..., Awaitable[tuple[AsrService, Ingest]]]


@pytest.fixture
async def start(nats_url: str) -> AsyncIterator[Start]:
    """Starts a worker and an ingest on the real bus."""
    started: list[tuple[AsrService, Bus, Bus]] = []

    async def start(**changes: object) -> tuple[AsrService, Ingest]:
        values = {"asr_models_dir": ROOT / "models", "asr_threads": 1, "nats_url": nats_url, **changes}
        settings = AsrSettings(**values)  # type: ignore[arg-type] # values of several types
        worker_bus, ingest_bus = Bus(nats_url, "local", "asr"), Bus(nats_url, "local", "ingest")
        await worker_bus.connect()
        await ingest_bus.connect()
        service = AsrService(settings, worker_bus)
        ingest = Ingest(ingest_bus, service.worker)
        await ingest.start()
        await service.start()
        started.append((service, worker_bus, ingest_bus))
        return service, ingest

    yield start
    for service, worker_bus, ingest_bus in started:
        if not service.has_drained:
            await service.drain()
        await worker_bus.drain()
        await ingest_bus.drain()


@asynccontextmanager
async def paced(chunks: list[bytes]) -> AsyncIterator[AsyncIterator[tuple[int, bytes]]]:
    """Chunks at four times the speed of speech, so that partials have a chance."""

    async def generate() -> AsyncIterator[tuple[int, bytes]]:
        for seq, pcm in enumerate(chunks):
            yield seq, pcm
            await asyncio.sleep(0.015)

    yield generate()


def is_ready(ingest: Ingest) -> bool:
    return bool(ingest.heartbeats) and ingest.heartbeats[-1].slots > 0


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What was traced."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    return exporter


async def test_a_session_from_claim_to_complete(start: Start, spans: InMemorySpanExporter) -> None:
    service, ingest = await start()
    await ingest.until(lambda: is_ready(ingest))
    assert service.why_not_ready() is None
    assert (ingest.heartbeats[-1].engine, ingest.heartbeats[-1].model) == ("whisper", "outlet-en")
    assert (await ingest.claim()).accepted
    assert (await ingest.claim()).accepted  # the reply to the first was lost
    chunks = opening()
    async with paced(chunks) as feed:
        async for seq, pcm in feed:
            await ingest.send(seq, seq * 960, pcm)
            if seq % 10 == 0:
                await ingest.send(seq, seq * 960, pcm)  # a duplicate
    await ingest.send(len(chunks), len(chunks) * 960, b"", flags=Flag.END)
    await ingest.until(lambda: "transcript.complete" in ingest.kinds)

    assert ingest.kinds == ["final", "final", "transcript.complete"]
    assert [final.text for final in ingest.finals] == LINES
    numbers = [event.n for event, _ in ingest.events]
    assert numbers == sorted(set(numbers))
    first = ingest.finals[0]
    assert 0.8 * 16_000 <= first.first_sample < first.end_sample <= 3.8 * 16_000
    timing = first.timing
    assert timing.published_at - timing.heard_at == pytest.approx(timing.endpoint_ms + timing.asr_ms, abs=20)
    traces = [extract(headers) for event, headers in ingest.events if event.kind == "final"]
    carried = [trace.get_current_span(context).get_span_context().span_id for context in traces]
    roots = [span for span in spans.get_finished_spans() if span.name == "utterance"]
    decodes = [span for span in spans.get_finished_spans() if span.name == "asr.decode"]
    assert carried == [span.context.span_id for span in roots if span.context]
    assert [span.parent.span_id for span in decodes if span.parent] == carried
    assert "good" not in "".join(span.to_json() for span in (*roots, *decodes))
    assert ingest.partials
    assert [partial.n for partial in ingest.partials] == sorted({partial.n for partial in ingest.partials})
    await ingest.until(lambda: ingest.acks[-1:] == [len(chunks) + 1])
    assert ingest.acks == sorted(ingest.acks)
    await ingest.until(lambda: ingest.heartbeats[-1].used == 0)
    assert service.telemetry.chunks["duplicate"] >= 1


async def test_epochs_holes_and_strangers(start: Start) -> None:
    service, ingest = await start()
    await ingest.until(lambda: is_ready(ingest))
    chunks = opening(4.5)
    await ingest.send(0, 0, chunks[0])  # nobody has claimed it
    assert (await ingest.claim(epoch=2)).accepted
    assert await ingest.claim(epoch=1) == ClaimReply(accepted=False, reason="bad-request")
    await ingest.send(0, 0, chunks[0], epoch=1)
    await ingest.send(0, 0, chunks[0], epoch=3)
    await ingest.bus.publish(ingest.bus.subjects.audio(ingest.worker, ingest.session), b"no chunk")
    for seq, pcm in enumerate(chunks):
        if seq != 20:
            await ingest.send(seq, seq * 960, pcm, epoch=2)
    seen = len(ingest.acks)
    await ingest.until(lambda: len(ingest.acks) > seen)
    assert ingest.acks[-1] <= 20
    for seq in range(ingest.acks[-1], len(chunks)):  # go back
        await ingest.send(seq, seq * 960, chunks[seq], epoch=2)
    await ingest.until(lambda: ingest.finals)
    assert ingest.finals[0].text == LINES[0]
    assert ingest.finals[0].epoch == 2
    counts = service.telemetry.chunks
    assert {label: counts[label] > 0 for label in ("unclaimed", "stale-epoch", "future-epoch", "hole")} == {
        "unclaimed": True,
        "stale-epoch": True,
        "future-epoch": True,
        "hole": True,
    }
    assert sum(service.telemetry.chunks[label] for label in ("consumed",)) == len(chunks)


async def test_a_session_handed_over_and_back_goes_on_with_its_numbers(start: Start) -> None:
    service, ingest = await start()
    await ingest.until(lambda: is_ready(ingest))
    assert (await ingest.claim(epoch=1)).accepted
    chunks = opening()
    for seq, pcm in enumerate(chunks[:75]):
        await ingest.send(seq, seq * 960, pcm)
    await ingest.until(lambda: ingest.finals)
    await ingest.until(lambda: ingest.acks[-1:] > [50])
    ack = ingest.acks[-1]
    assert (await ingest.claim(epoch=2, from_seq=ack)).accepted
    for seq in range(ack, len(chunks)):
        await ingest.send(seq, seq * 960, chunks[seq], epoch=2)
    await ingest.send(len(chunks), len(chunks) * 960, b"", epoch=2, flags=Flag.END)
    await ingest.until(lambda: "transcript.complete" in ingest.kinds)
    assert [(final.epoch, final.text) for final in ingest.finals] == [(1, LINES[0]), (2, LINES[1])]
    assert ingest.finals[0].n < ingest.finals[1].n
    assert service.telemetry.sessions["claimed-again"] == 1


async def test_refusals_have_reasons(start: Start) -> None:
    service, ingest = await start(asr_max_sessions=1)
    await ingest.until(lambda: is_ready(ingest))
    assert await ingest.claim(languages=("hi",)) == ClaimReply(accepted=False, reason="bad-request")
    assert (await ingest.claim()).accepted
    ingest.session = new_id()
    assert await ingest.claim() == ClaimReply(accepted=False, reason="full")
    service.begin_draining()
    assert await ingest.claim() == ClaimReply(accepted=False, reason="draining")


async def test_a_missing_model_is_not_ready_and_says_what_to_set(start: Start, tmp_path: Path) -> None:
    service, ingest = await start(asr_engine="whisper", asr_model="outlet-xx", asr_models_dir=tmp_path)
    await ingest.until(lambda: "ASR_MODEL=outlet-xx" in (service.why_not_ready() or ""))
    reason = service.why_not_ready() or ""
    assert "set ASR_MODEL to a directory" in reason
    assert await ingest.claim() == ClaimReply(accepted=False, reason="not-ready")
    await ingest.until(lambda: len(ingest.heartbeats) > 3)
    assert ingest.heartbeats[-1].slots == 0


async def test_drain_says_bye_and_publishes_what_has_ended(start: Start) -> None:
    service, ingest = await start()
    await ingest.until(lambda: is_ready(ingest))
    assert (await ingest.claim()).accepted
    for seq, pcm in enumerate(opening(4.0)):  # the line has ended, the wait for silence has not
        await ingest.send(seq, seq * 960, pcm)
    await ingest.until(
        lambda: service.telemetry.decodes["speculative"] or service.telemetry.decodes["partial"]
    )
    async with asyncio.timeout(10):
        await service.drain()
    await ingest.until(lambda: ingest.heartbeats[-1].bye)
    await ingest.until(lambda: ingest.finals)
    assert ingest.finals[0].text == LINES[0]
    assert "transcript.complete" not in ingest.kinds


async def test_a_silent_line_is_released_without_an_end(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldcoach.asr.service.SILENT_S", 0.6)
    service, ingest = await start()
    await ingest.until(lambda: is_ready(ingest))
    assert (await ingest.claim()).accepted
    for seq, pcm in enumerate(opening(3.0)):  # stops in the middle of the line
        await ingest.send(seq, seq * 960, pcm)
    await ingest.until(lambda: ingest.finals)
    await ingest.until(lambda: service.telemetry.sessions["silent"] == 1)
    assert ingest.kinds == ["final"]


async def test_a_missing_range_is_transcribed_afterwards(start: Start) -> None:
    _, ingest = await start()
    await ingest.until(lambda: ingest.heartbeats and ingest.heartbeats[-1].slots, 60)
    assert (await ingest.claim()).accepted
    chunks = opening()
    hole = 65  # chunks of the first line; the second never comes
    for seq, pcm in enumerate(chunks[:hole]):
        await ingest.send(seq, seq * 960, pcm)
    gap = pack_chunk(ingest.session, 1, hole, hole * 960, (len(chunks) - hole) * 960, int(Flag.GAP), b"")
    await ingest.bus.publish(ingest.bus.subjects.audio(ingest.worker, ingest.session), gap)
    await ingest.until(lambda: ingest.finals)
    margin = 8
    pcm = b"".join(chunks[hole - margin :])
    parts = [pcm[at : at + 60_000] for at in range(0, len(pcm), 60_000)]
    subject = ingest.bus.subjects.asr_backfill(ingest.worker)
    for piece, part in enumerate(parts):
        late = BackfillAudio(
            session=ingest.session,
            range=1,
            first_sample=(hole - margin) * 960,
            hole_first_sample=hole * 960,
            hole_end_sample=len(chunks) * 960,
            late_ms=4_000,
            piece=piece,
            pieces=len(parts),
            pcm=part,
        )
        reply = await ingest.bus.request(subject, late, BackfillReply, 20)
        assert reply == BackfillReply(accepted=True)
    await ingest.until(lambda: len(ingest.finals) == 2)
    assert [final.text for final in ingest.finals] == LINES
    filled = ingest.finals[1]
    assert filled.backfill
    assert filled.utterance < 0
    assert filled.late_ms > 4_000
    assert filled.first_sample >= hole * 960

    # the live line goes on in its own sequence, and the end comes after all that
    await ingest.send(hole + 1, len(chunks) * 960, b"", flags=Flag.END)
    await ingest.until(lambda: "transcript.complete" in ingest.kinds)
    reply = await ingest.bus.request(subject, late, BackfillReply, 5)
    assert not reply.accepted


async def test_what_a_worker_before_has_said_is_not_said_again(start: Start) -> None:
    _, ingest = await start()
    await ingest.bus.ensure_streams()
    await ingest.until(lambda: ingest.heartbeats and ingest.heartbeats[-1].slots, 60)
    assert (await ingest.claim()).accepted
    chunks = opening()
    hole = 65
    for seq, pcm in enumerate(chunks[:hole]):
        await ingest.send(seq, seq * 960, pcm)
    gap = (hole * 960, (len(chunks) - hole) * 960)
    packed = pack_chunk(ingest.session, 1, hole, *gap, int(Flag.GAP), b"")
    await ingest.bus.publish(ingest.bus.subjects.audio(ingest.worker, ingest.session), packed)
    await ingest.until(lambda: ingest.finals)
    assert (await ingest.claim(epoch=2, from_seq=hole)).accepted
    packed = pack_chunk(ingest.session, 2, hole, *gap, int(Flag.GAP), b"")
    await ingest.bus.publish(ingest.bus.subjects.audio(ingest.worker, ingest.session), packed)
    late = BackfillAudio(  # a hole that is taken for much longer than it was: its words are known
        session=ingest.session,
        range=1,
        first_sample=0,
        hole_first_sample=0,
        hole_end_sample=hole * 960,
        late_ms=4_000,
        pcm=b"".join(chunks[:hole])[: 64 * 1024],
    )
    reply = await ingest.bus.request(ingest.bus.subjects.asr_backfill(ingest.worker), late, BackfillReply, 20)
    assert reply == BackfillReply(accepted=True)
    assert [final.text for final in ingest.finals] == LINES[:1]
