"""Opus from the bus, as a gateway sends it for a phone whose UDP is blocked, through the whole ingest."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support import until

from fieldcoach.common.audio import Flag
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import OpusFrames, OpusPacket, SignalReply, SignalRequest

from .test_ingest_media import OpusTrack, Phone, World, assert_contiguous, correlation, finish, heard, speech


@pytest.fixture
async def world(nats_url: str) -> AsyncIterator[World]:
    world = World(nats_url)
    await world.start()
    yield world
    await world.stop()


async def announce(world: World, session: str, source: str) -> SignalReply:
    request = SignalRequest(action="audio", session=session, resource=source)
    return await world.bus.request(world.bus.subjects.signal(world.ingest.id), request, SignalReply, 2)


async def send(world: World, session: str, source: str, *packets: OpusPacket, last: bool = False) -> None:
    frames = OpusFrames(session=session, source=source, packets=packets, last=last)
    await world.bus.publish(world.bus.subjects.opus(world.ingest.id, session), frames.encode())


async def stream(world: World, session: str, source: str, track: OpusTrack) -> None:
    """The recording in real time, as a phone's socket would bring it."""
    number = 0
    receiving = asyncio.ensure_future(track.recv())
    finished = asyncio.ensure_future(track.finished.wait())
    while True:
        await asyncio.wait({receiving, finished}, return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            receiving.cancel()
            return
        packet = receiving.result()
        assert packet.pts is not None
        await send(
            world,
            session,
            source,
            OpusPacket(sequence=number, timestamp=packet.pts & 0xFFFF_FFFF, payload=bytes(packet)),
        )
        number += 1
        receiving = asyncio.ensure_future(track.recv())


async def test_speech_from_the_bus_arrives_whole(world: World) -> None:
    phone, source = world.phone(), new_id()
    assert (await announce(world, phone.session, source)).problem is None
    pcm = speech(4)
    track = OpusTrack(pcm, 60)
    await stream(world, phone.session, source, track)
    await until(lambda: world.states()[-1:] == ["live"])
    chunks = await finish(world, phone)
    assert_contiguous(chunks)
    assert {chunk.flags for chunk in chunks} <= {Flag.OK, Flag.DTX, Flag.END}
    assert abs(chunks[-1].sample_index - len(pcm) // 2) <= 2_000
    score, _ = correlation(track.reference(), heard(chunks))
    assert score > 0.97


async def test_from_webrtc_to_the_bus_is_one_timeline(world: World) -> None:
    phone: Phone = world.phone()
    first = OpusTrack(speech(1.5), 40)
    await phone.call(first)
    await asyncio.wait_for(first.finished.wait(), 15)
    source = new_id()
    assert (await announce(world, phone.session, source)).problem is None
    await stream(world, phone.session, source, OpusTrack(speech(1.5, 2.5), 60))
    await send(world, phone.session, source, last=True)
    await until(lambda: world.states()[-1:] == ["suspended"])
    assert world.ingest.sessions[phone.session].peers == ()
    chunks = await finish(world, phone)
    assert_contiguous(chunks)
    assert 2.8 < chunks[-1].sample_index / 16_000 < 6


async def test_what_can_t_be_used_is_counted(world: World) -> None:
    stranger = new_id()
    packet = OpusPacket(sequence=0, timestamp=0, payload=b"\x48")
    await send(world, stranger, new_id(), packet, packet)
    await world.bus.publish(world.bus.subjects.opus(world.ingest.id, stranger), b"\xc1")
    await until(lambda: world.ingest.telemetry.packets["unknown-session"] == 2)
    await until(lambda: world.ingest_bus.faults["rejected-not-msgpack"] == 1)


async def test_a_full_or_ended_ingest_says_so(world: World) -> None:
    phone, source = world.phone(), new_id()
    assert (await announce(world, phone.session, source)).problem is None
    await phone.signal("end")
    problem = (await announce(world, phone.session, new_id())).problem
    assert problem is not None
    assert problem.status == 404
