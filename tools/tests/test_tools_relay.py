"""The relay on real sockets, and the media of the phone through it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aioice.stun import TransactionError
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription

from fieldcoach.tools.errors import NetworkError
from fieldcoach.tools.network import Phase, Relay, Schedule, Way, schedule_of
from fieldcoach.tools.network.conditions import PERFECT, Conditions
from fieldcoach.tools.network.relay import MAX_CLIENT_ADDRESSES
from fieldcoach.tools.network.sdp import candidates_of, hidden, rewritten
from fieldcoach.tools.phone import aiortc_patience
from fieldcoach.tools.phone.media import MediaConnection, with_nack
from fieldcoach.tools.phone.packetiser import Packetiser
from fieldcoach.tools.phone.profile import START
from fieldcoach.tools.phone.track import OpusTrack

ANSWER = "\r\n".join(
    (
        "v=0",
        "m=audio 5000 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 10.0.0.1",
        "a=candidate:1 1 udp 2130706431 10.0.0.1 5000 typ host",
        "a=candidate:2 1 udp 2130706430 fd00::1 5001 typ host",
        "a=candidate:3 1 tcp 1518280447 10.0.0.1 9 typ host tcptype active",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "",
    )
)


def test_an_answer_points_at_the_relay() -> None:
    assert candidates_of(ANSWER) == [("10.0.0.1", 5000), ("fd00::1", 5001)]
    lines = rewritten(
        ANSWER, {("10.0.0.1", 5000): ("127.0.0.1", 7), ("fd00::1", 5001): ("127.0.0.1", 8)}
    ).splitlines()
    assert lines == [
        "v=0",
        "m=audio 7 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 127.0.0.1",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 7 typ host",
        "a=candidate:2 1 udp 2130706430 127.0.0.1 8 typ host",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
    ]
    assert "a=candidate" not in rewritten(ANSWER, {})


def test_an_offer_shows_no_way_past_the_relay() -> None:
    lines = hidden(ANSWER + "a=end-of-candidates\r\na=rtcp:9 IN IP4 10.0.0.1\r\na=rtcp-mux\r\n").splitlines()
    assert "10.0.0.1" not in " ".join(lines)
    assert lines[1:] == [
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=rtcp-mux",
    ]


class Socket(asyncio.DatagramProtocol):
    """Notes what comes; a server answers."""

    def __init__(self, is_server: bool) -> None:
        self.is_server = is_server
        self.received: list[tuple[float, bytes, tuple[str, int]]] = []
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.received.append((time.monotonic(), data, (addr[0], addr[1])))
        if self.is_server:
            self.transport.sendto(data, addr)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return host, port


async def udp_socket(is_server: bool) -> Socket:
    _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Socket(is_server), local_addr=("127.0.0.1", 0)
    )
    return protocol


@pytest.fixture
async def server() -> AsyncIterator[Socket]:
    found = await udp_socket(True)
    yield found
    found.transport.close()
    await asyncio.sleep(0)


async def relay_in_front(relay: Relay, server: Socket) -> tuple[str, int]:
    host, port = server.address
    answer = await relay.rewrite(f"v=0\r\na=candidate:1 1 udp 1 {host} {port} typ host\r\n")
    return candidates_of(answer)[0]


async def received(socket: Socket, n: int) -> None:
    async with asyncio.timeout(5):
        while len(socket.received) < n:
            await asyncio.sleep(0.005)


async def test_delay_both_ways_on_real_sockets(server: Socket) -> None:
    both = Conditions(delay_ms=50)
    schedule = Schedule("test", (Phase("test", None, both, Conditions(delay_ms=100)),))
    client = await udp_socket(False)
    async with Relay(schedule) as relay:
        front = await relay_in_front(relay, server)
        sent = {}
        for n in range(20):
            payload = b"%d" % n
            sent[payload] = time.monotonic()
            client.transport.sendto(payload, front)
            await asyncio.sleep(0.005)
        await received(client, 20)
        assert [data for _, data, _ in client.received] == list(sent)
        trips = [at - sent[data] for at, data, _ in client.received]
        # never early; how late is the machine's affair, and the relay says it
        assert min(trips) >= 0.15
        assert sorted(trips)[10] <= 0.15 + 2 * relay.worst_late_ms / 1e3 + 0.02
        assert {source for _, _, source in client.received} == {front}
        assert relay.link.counts(Way.UP).delivered == relay.link.counts(Way.DOWN).delivered == 20
        assert "20 packets, 20 delivered" in "\n".join(relay.report())
    client.transport.close()


async def test_a_change_of_address_is_seen_by_the_server_and_the_old_one_is_dead(server: Socket) -> None:
    phases = (Phase("one", 0.2, PERFECT, PERFECT), Phase("two", None, PERFECT, PERFECT, True))
    client = await udp_socket(False)
    async with Relay(Schedule("test", phases)) as relay:
        front = await relay_in_front(relay, server)
        relay.start()
        client.transport.sendto(b"a", front)
        await received(client, 1)
        old = server.received[0][2]
        async with asyncio.timeout(5):
            while relay.link.address == 0:
                await asyncio.sleep(0.01)
        server.transport.sendto(b"to the old address", old)
        client.transport.sendto(b"b", front)
        await received(client, 2)
        assert [data for _, data, _ in client.received] == [b"a", b"b"]
        assert server.received[1][2] != old
        assert relay.link.counts(Way.DOWN).old_address == 1
        assert "2 addresses" in "\n".join(relay.report())
    client.transport.close()


async def test_too_many_addresses_of_a_phone_are_counted(server: Socket) -> None:
    clients = [await udp_socket(False) for _ in range(MAX_CLIENT_ADDRESSES + 1)]
    async with Relay(schedule_of("perfect")) as relay:
        front = await relay_in_front(relay, server)
        for client in clients:
            client.transport.sendto(b"x", front)
        await received(server, MAX_CLIENT_ADDRESSES)
        async with asyncio.timeout(5):
            while relay.link.counts(Way.UP).overflow == 0:
                await asyncio.sleep(0.01)
        assert len({source for _, _, source in server.received}) == MAX_CLIENT_ADDRESSES
    for client in clients:
        client.transport.close()


async def test_a_server_that_is_gone_is_counted() -> None:
    gone = await udp_socket(True)
    client = await udp_socket(False)
    async with Relay(schedule_of("perfect")) as relay:
        front = await relay_in_front(relay, gone)
        gone.transport.close()
        async with asyncio.timeout(5):
            while relay.socket_errors == 0:
                client.transport.sendto(b"x", front)
                await asyncio.sleep(0.02)
    client.transport.close()


async def test_an_answer_without_candidates_is_refused() -> None:
    async with Relay(schedule_of("4g")) as relay:
        with pytest.raises(NetworkError, match="no UDP candidate"):
            await relay.rewrite("v=0\r\n")


def test_the_offer_promises_to_answer_nacks() -> None:
    sdp = "m=audio 9 X 96\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:8 PCMA/8000\r\n"
    assert with_nack(sdp) == (
        "m=audio 9 X 96\r\na=rtpmap:96 opus/48000/2\r\na=rtcp-fb:96 nack\r\na=rtpmap:8 PCMA/8000\r\n"
    )


async def test_the_phone_sends_again_what_the_relay_lost() -> None:
    speech = b"\x00\x10\x00\xf0" * 80_000
    lossy = Schedule(
        "test", (Phase("up", 0, PERFECT, PERFECT), Phase("x", None, Conditions(loss=0.3), PERFECT))
    )
    track = OpusTrack(Packetiser(speech, START))
    media = MediaConnection(track, [])
    far = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    async with Relay(lossy, seed=1) as relay:
        await far.setRemoteDescription(RTCSessionDescription(relay.hide(await media.offer()), "offer"))
        await far.setLocalDescription(await far.createAnswer())
        await media.accept(await relay.rewrite(far.localDescription.sdp))
        receiver: RTCRtpReceiver = far.getReceivers()[0]
        seen: dict[int, bytes] = {}
        handle = receiver._handle_rtp_packet

        async def note(packet: Any, arrival_time_ms: int) -> None:
            seen[packet.sequence_number] = packet.payload
            await handle(packet, arrival_time_ms)

        receiver._handle_rtp_packet = note  # type: ignore[method-assign]
        async with asyncio.timeout(20):
            await track.started.wait()
            relay.start()
            while len(seen) < 20:
                await asyncio.sleep(0.01)
            lost = sorted(set(range(min(seen), max(seen))) - seen.keys())
            assert lost
            unknown = (max(seen) + 9_999) % 65_536
            while not seen.keys() >= set(lost):  # what is sent again may be lost again
                missing = sorted({*lost, unknown} - seen.keys())
                await receiver._send_rtcp_nack(media._sender._ssrc, missing)
                await asyncio.sleep(0.05)
        assert media.retransmitted >= len(lost)
        assert (await media.figures())["retransmitted"] == media.retransmitted
        assert relay.link.counts(Way.UP).lost >= len(lost)
        connection = aiortc_patience.ice_connection(media._sender)
        assert connection.query_consent.__module__ == aiortc_patience.__name__
        track.stop()
        await media.close()
        await far.close()


class _Pair:
    remote_addr = ("127.0.0.1", 9)

    def __init__(self, outcomes: list[bool]) -> None:
        self.protocol = self
        self.outcomes = outcomes

    async def request(self, request: object, address: object, **options: object) -> None:
        assert options["retransmissions"] == aiortc_patience.CONSENT_TRIES
        if not (self.outcomes.pop(0) if self.outcomes else False):
            raise TransactionError


class _Connection:
    remote_password = "secret"

    def __init__(self, pair: _Pair) -> None:
        self._nominated = {1: pair}
        self._query_consent_task: object = "running"
        self.is_closed = False

    def build_request(self, pair: _Pair, nominate: bool) -> None:
        assert not nominate

    async def close(self) -> None:
        self.is_closed = True


async def test_consent_is_lost_only_after_two_minutes_of_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(aiortc_patience, "monotonic", lambda: now[0])
    monkeypatch.setattr(aiortc_patience, "sleep", sleep)
    connection = _Connection(_Pair([True, False, True]))
    await aiortc_patience._query_consent(cast(Any, connection))
    assert connection.is_closed
    assert connection._query_consent_task is None
    assert 130 < now[0] < 150
