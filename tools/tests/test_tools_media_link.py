"""A lost media connection is followed by another one under the same session, in virtual time."""

import asyncio
import itertools

import pytest

from fieldcoach.tools.errors import GatewayUnreachable, MediaFailed, Refused
from fieldcoach.tools.phone.backoff import Backoff
from fieldcoach.tools.phone.media_link import MediaLink
from fieldcoach.tools.phone.packetiser import Packetiser
from fieldcoach.tools.phone.profile import START
from fieldcoach.tools.phone.silence import Pulse, SilenceWatch
from fieldcoach.tools.phone.track import OpusTrack

from .test_tools_track import SpeechEncoder


def test_silence_is_packets_without_a_report() -> None:
    watch = SilenceWatch()
    assert not watch.observe(0, Pulse(10, "a"))
    assert not watch.observe(30, Pulse(10, "a"))  # nothing was sent
    assert not watch.observe(31, Pulse(11, "a"))
    assert not watch.observe(33.4, Pulse(50, "a"))
    assert watch.observe(33.5, Pulse(50, "a"))
    assert not watch.observe(34, Pulse(60, "b"))


def test_the_first_report_may_take_longer() -> None:
    watch = SilenceWatch()
    assert not watch.observe(0, Pulse())
    assert not watch.observe(1, Pulse(1))
    assert not watch.observe(5.9, Pulse(90))
    assert watch.observe(6.0, Pulse(90))


class World:
    """Time, one recording of 100 s, and connections whose network is up or down."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.is_up = True
        self.outages: list[tuple[float, float]] = []
        self.answers: list[Exception] = []
        self.made: list[FakeConnection] = []
        self.track = OpusTrack(
            Packetiser(b"\1\0" * 16_000 * 100, START, SpeechEncoder), self.clock, self.sleep
        )
        self.link = MediaLink(self.connect, 60.0, Backoff(lambda _low, _high: 1.0), self.clock, self.sleep)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-3)
        self.is_up = not any(begin <= self.now - 1_000 < end for begin, end in self.outages)
        await asyncio.sleep(0)

    async def connect(self, track: OpusTrack) -> "FakeConnection":
        if self.answers:
            raise self.answers.pop(0)
        connection = FakeConnection(self, track)
        self.made.append(connection)
        return connection

    async def run(self) -> tuple[object, OpusTrack]:
        await self.track.recv()
        first = FakeConnection(self, self.track)
        self.made.append(first)
        return await self.link.run(first, self.track)


class FakeConnection:
    def __init__(self, world: World, track: OpusTrack) -> None:
        self.lost = asyncio.Event()
        self.closed_at: float | None = None
        self.track = track
        self._world = world
        self._sent = itertools.count()
        self._report = world.now

    async def pulse(self) -> Pulse:
        if self._world.is_up:
            self._report = self._world.now
            if not self.track.is_sending:
                await self.track.recv()
        return Pulse(next(self._sent), self._report)

    async def close(self) -> None:
        self.closed_at = self._world.now


@pytest.fixture
def world() -> World:
    return World()


async def test_a_recording_without_a_loss_has_one_connection(world: World) -> None:
    await world.run()
    assert len(world.made) == 1
    assert world.now - 1_000 == pytest.approx(101, abs=1)


async def test_a_failed_connection_is_replaced_at_once_and_the_recording_has_gone_on(world: World) -> None:
    task = asyncio.ensure_future(world.run())
    while world.now < 1_010:
        await asyncio.sleep(0)
    world.made[0].lost.set()
    world.made[0].track.stop()  # its sender has ended, so nobody takes packets
    while len(world.made) < 2:
        await asyncio.sleep(0)
    fresh = world.made[1].track
    await fresh.recv()
    assert world.now < 1_012
    assert world.track.packetiser.position_s == pytest.approx(world.now - 1_000, abs=0.5)
    assert world.track.packetiser.skipped_s > 9
    assert fresh.started_at == world.track.started_at
    await task
    assert world.link.reconnects == 1
    assert world.made[0].closed_at is not None


async def test_an_outage_is_survived(world: World) -> None:
    """The old connection is silent and comes back with the network, before a fresh one is up."""
    world.outages = [(10, 35)]
    await world.run()
    assert len(world.made) > 2
    up = [connection for connection in world.made if connection.closed_at is None]
    assert len(up) == 1
    assert world.link.reconnects == (0 if up[0] is world.made[0] else 1)


async def test_after_the_patience_the_visit_is_given_up(world: World) -> None:
    world.outages = [(10, 1_000)]
    with pytest.raises(MediaFailed, match=r"after 12\.. s of audio and did not come back within 60 s"):
        await world.run()


async def test_a_recording_that_ends_in_an_outage_ends_the_visit(world: World) -> None:
    world.outages = [(80, 1_000)]
    await world.run()
    assert world.now - 1_000 < 112


async def test_a_gateway_that_is_away_or_full_is_asked_again(world: World) -> None:
    world.outages = [(10, 15)]
    world.answers = [GatewayUnreachable("away"), Refused("POST", 503, {}), GatewayUnreachable("away")]
    await world.run()
    assert world.answers == []


async def test_a_session_that_has_ended_is_told(world: World) -> None:
    world.outages = [(10, 60)]
    world.answers = [Refused("POST", 404, {"title": "gone"})]
    with pytest.raises(Refused, match="gone"):
        await world.run()
