"""A path that dies and comes back, or comes back elsewhere: ICE restart with real ICE, DTLS and SRTP."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aioice import Connection
from aioice.utils import random_string
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from tests.support import until

from fieldcoach.common.audio import SAMPLE_RATE, Flag
from fieldcoach.common.bus import Bus
from fieldcoach.common.messages import Gap, SessionEnding, SignalReply, SignalRequest
from fieldcoach.common.numbering import unix_ms
from fieldcoach.ingest.peer import Peer
from fieldcoach.ingest.service import IngestService

from .test_ingest_media import Action, OpusTrack, Phone, World, assert_contiguous, finish, speech

Address = tuple[str, int]


class _Leg(asyncio.DatagramProtocol):
    """One socket of the path."""

    def __init__(self, path: "Path") -> None:
        self._path = path
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._path.relay(self, data, addr)


class Path:
    """A NAT between one phone and the ingest, which can be cut, or give the phone another address."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._phone: Address | None = None
        self.near, self.far = _Leg(self), _Leg(self)
        self.is_up = True

    async def open(self) -> int:
        """The port that the phone talks to."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self.near, ("127.0.0.1", 0))
        await loop.create_datagram_endpoint(lambda: self.far, ("127.0.0.1", 0))
        assert self.near.transport is not None
        port: int = self.near.transport.get_extra_info("sockname")[1]
        return port

    async def move(self) -> None:
        """From now on the ingest sees another address."""
        assert self.far.transport is not None
        self.far.transport.close()
        self.far = _Leg(self)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self.far, ("127.0.0.1", 0))

    def relay(self, leg: _Leg, data: bytes, addr: Address) -> None:
        """What comes in on one side goes out on the other."""
        if leg is self.near:
            self._phone = addr
        to, target = (self.far, self._server) if leg is self.near else (self.near, self._phone)
        if self.is_up and target is not None and to.transport is not None:
            to.transport.sendto(data, target)

    def close(self) -> None:
        for leg in (self.near, self.far):
            if leg.transport is not None:
                leg.transport.close()


class MobilePhone(Phone):
    """aiortc behind a path of ours. It has no ICE restart, so its aioice connection is restarted by hand."""

    path: Path
    connection: RTCPeerConnection

    async def call_over_path(self, track: OpusTrack) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connections.append(self.connection)
        self.connection.addTransceiver(track, direction="sendonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        # without candidates: the ingest is to know the phone by its path alone
        offer = re.sub(r"a=candidate:.*\r\n", "", self.connection.localDescription.sdp)
        self.reply = await self.signal("offer", offer)
        found = re.search(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)", self.reply.sdp)
        assert found
        self.path = Path(("127.0.0.1", int(found[1])))
        self.port = await self.path.open()
        answer = self.reply.sdp.replace(f"127.0.0.1 {found[1]} typ", f"127.0.0.1 {self.port} typ")
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def ask(self, action: Action, sdp: str = "", resource: str = "", etag: str = "") -> SignalReply:
        request = SignalRequest(
            action=action, session=self.session, sdp=sdp, resource=resource or self.reply.etag, etag=etag
        )
        return await self._bus.request(self._bus.subjects.signal(self._ingest), request, SignalReply, 2)

    @property
    def ice(self) -> Connection:
        connection: Connection = self.connection.getSenders()[0].transport.transport._connection
        return connection

    def fragment(self) -> str:
        """New credentials, as `pc.restartIce()` and `createOffer()` make them."""
        self.new = random_string(4), random_string(22)
        return f"a=ice-ufrag:{self.new[0]}\r\na=ice-pwd:{self.new[1]}\r\n"

    async def apply(self, fragment: str) -> None:
        """The answer: checks begin again, over the same sockets."""
        ice = self.ice
        ice._local_username, ice._local_password = self.new
        for name, value in re.findall(r"a=ice-(ufrag|pwd):(\S+)", fragment):
            setattr(ice, "remote_username" if name == "ufrag" else "remote_password", value)
        for pair in ice._check_list:
            if pair.task:
                pair.task.cancel()
        remote = ice.remote_candidates
        ice._check_list.clear()
        ice._nominating.clear()
        for candidate in remote:
            ice._pair_remote_candidate(candidate)
        for pair in ice._check_list:
            ice.check_start_task(pair)


@pytest.fixture
async def world(nats_url: str) -> AsyncIterator[World]:
    world = World(nats_url)
    await world.start()
    yield world
    await world.stop()


@pytest.fixture
async def phone(world: World) -> AsyncIterator[MobilePhone]:
    plain = world.phone()
    phone = MobilePhone(world.bus, world.ingest.id, plain.session)
    yield phone
    await phone.hang_up()
    phone.path.close()


def n_heard(world: World, phone: Phone) -> int:
    return sum(chunk.n_samples for chunk in world.worker.of(phone.session) if chunk.flags == Flag.OK)


async def test_media_go_on_after_an_ice_restart(world: World, phone: MobilePhone) -> None:
    """Path cut for 2.5 s, a new address, new credentials: the same DTLS, the same SSRC, one timeline."""
    track = OpusTrack(speech(9.0), 40)
    await phone.call_over_path(track)
    await until(lambda: n_heard(world, phone) > SAMPLE_RATE // 2)
    session = world.ingest.sessions[phone.session]
    peer = session.peers[0]
    assert isinstance(peer, Peer)
    source, transport = session._source, peer._transport
    keys = transport._dtls._rx_srtp
    phone.path.is_up = False
    await until(lambda: "suspended" in world.states())
    await asyncio.sleep(1.0)

    await phone.path.move()
    reply = await phone.ask("restart", phone.fragment())
    phone.path.is_up = True  # not sooner: what came by it would end the suspension before the restart
    assert reply.problem is None
    assert reply.etag != phone.reply.etag
    assert "a=candidate:" in reply.sdp
    repeated = await phone.ask("restart", f"a=ice-ufrag:{phone.new[0]}\r\na=ice-pwd:{phone.new[1]}\r\n")
    assert (repeated.sdp, repeated.etag) == (reply.sdp, reply.etag)
    before = n_heard(world, phone)
    await phone.apply(reply.sdp)
    await until(lambda: n_heard(world, phone) > before + SAMPLE_RATE // 2)

    assert session._source == source
    assert transport._dtls._rx_srtp is keys
    assert world.ingest.telemetry.transports["ice-restart"] == 1
    assert world.ingest.telemetry.transports["connected"] == 1
    await until(lambda: transport._connection._nominated[1].remote_addr[1] == far_port(phone))
    chunks = await finish(world, phone)
    assert_contiguous(chunks)
    assert world.states()[:5] == ["connecting", "live", "suspended", "connecting", "live"]
    gaps = [event for event in world.events if isinstance(event, Gap)]
    assert sum(gap.n_samples for gap in gaps) > 1.5 * SAMPLE_RATE
    assert {gap.reason for gap in gaps} <= {"suspended", "lost"}


def far_port(phone: MobilePhone) -> int:
    assert phone.path.far.transport is not None
    port: int = phone.path.far.transport.get_extra_info("sockname")[1]
    return port


async def test_another_address_under_the_same_credentials(world: World, phone: MobilePhone) -> None:
    """A NAT that forgot the phone: media go on at once, and checks make the new address the nominated one."""
    track = OpusTrack(speech(9.0), 40)
    await phone.call_over_path(track)
    await until(lambda: n_heard(world, phone) > SAMPLE_RATE // 2)
    await phone.path.move()
    before = n_heard(world, phone)
    await until(lambda: n_heard(world, phone) > before + SAMPLE_RATE)
    assert "suspended" not in world.states()
    # a browser's checks carry USE-CANDIDATE; aioice's consent checks don't, so here it checks once more
    peer = world.ingest.sessions[phone.session].peers[0]
    assert isinstance(peer, Peer)
    ice = peer._transport._connection
    pair = phone.ice._nominated[1]
    await pair.protocol.request(
        phone.ice.build_request(pair, nominate=True),
        pair.remote_addr,
        integrity_key=(phone.ice.remote_password or "").encode(),
    )
    await until(lambda: ice._nominated[1].remote_addr[1] == far_port(phone))
    assert len(world.ingest.sessions[phone.session].peers) == 1


async def test_what_a_patch_may_say(world: World, phone: MobilePhone) -> None:
    track = OpusTrack(speech(6.0), 40)
    await phone.call_over_path(track)
    etag = phone.reply.etag
    candidate = "a=candidate:1 1 udp 2113937151 192.0.2.9 9 typ host\r\n"

    async def status(action: Action, sdp: str, **more: str) -> int | None:
        reply = await phone.ask(action, sdp, **more)
        return None if reply.problem is None else reply.problem.status

    assert await status("trickle", candidate, etag=etag) is None
    assert await status("trickle", candidate, etag="another") == 412
    assert await status("trickle", "hello", etag=etag) == 400
    assert await status("restart", candidate) == 422
    assert await status("restart", phone.fragment(), resource="unknown") == 404
    under_the_present_tag = await phone.ask("trickle", phone.fragment(), etag=etag)
    assert under_the_present_tag.sdp
    assert await status("trickle", candidate, etag=etag) == 412
    await phone.apply(under_the_present_tag.sdp)
    first = phone.reply.etag
    await until(lambda: n_heard(world, phone) > 0)
    await phone.connection.close()
    before = n_heard(world, phone)
    await phone.call(OpusTrack(speech(2.0), 40))
    await until(lambda: n_heard(world, phone) > before)
    await until(lambda: len(world.ingest.sessions[phone.session].peers) == 1)
    assert await status("restart", phone.fragment(), resource=first) == 409
    assert await status("close", "", resource=first) == 409
    assert len(world.ingest.sessions[phone.session].peers) == 1


async def test_another_ingest_goes_on_when_the_first_is_gone(world: World, nats_url: str) -> None:
    """The clock goes on by the events that are left; the hole is a gap; the epoch rises."""
    plain = world.phone()
    await plain.call(OpusTrack(speech(6.0), 40))
    await until(lambda: n_heard(world, plain) > SAMPLE_RATE)
    await until(lambda: "live" in world.states())
    session = world.ingest.sessions[plain.session]
    began = time.monotonic() - session._timeline.end / SAMPLE_RATE
    for task in world.ingest._outgoing._tasks:  # as by kill -9: no word to anybody
        task.cancel()
    first = world.worker.claims[-1]
    bus = Bus(nats_url, "local", "ingest2")
    await bus.connect()
    other = IngestService(world.ingest._settings, bus)
    await other.start()
    try:
        await asyncio.sleep(1.0)
        phone = Phone(world.bus, other.id, plain.session)
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        phone._connections.append(connection)
        connection.addTransceiver(OpusTrack(speech(6.0), 40), direction="sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        request = SignalRequest(
            action="offer", session=plain.session, sdp=connection.localDescription.sdp, resumes=True
        )
        reply = await world.bus.request(world.bus.subjects.signal(other.id), request, SignalReply, 5)
        assert reply.problem is None
        known = len(world.worker.of(plain.session))
        await connection.setRemoteDescription(RTCSessionDescription(reply.sdp, "answer"))
        await until(lambda: len(world.worker.of(plain.session)) > known + 5)
        chunks = world.worker.of(plain.session)[known:]
        assert chunks[0].flags & Flag.GAP
        assert_contiguous(chunks)
        assert world.worker.claims[-1].epoch > first.epoch
        now = (time.monotonic() - began) * SAMPLE_RATE
        assert abs(chunks[-1].end_sample - now) < SAMPLE_RATE
        gaps = [event for event in world.events if isinstance(event, Gap)]
        assert "ingest-lost" in {gap.reason for gap in gaps}
        await world.bus.publish_event(
            SessionEnding(session=plain.session, n=unix_ms() + 1_000, reason="user")
        )
        await until(lambda: other.sessions[plain.session].life.has_ended)
        await phone.hang_up()
    finally:
        await other.drain()
        await bus.drain()
