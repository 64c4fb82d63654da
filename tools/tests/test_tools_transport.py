"""Which way the sound goes: the choice in virtual time, the socket against a server of the test."""

import asyncio

import pytest
from aiohttp import WSMsgType, web

from fieldcoach.common.messages import OpusPacket
from fieldcoach.common.opus_frames import unpack_frame
from fieldcoach.tools.errors import GatewayUnreachable, Refused, VisitError
from fieldcoach.tools.phone.api import GatewayApi
from fieldcoach.tools.phone.audio_socket import AudioSocket
from fieldcoach.tools.phone.channel import EventChannel
from fieldcoach.tools.phone.clocks import WallClock
from fieldcoach.tools.phone.packetiser import Packetiser
from fieldcoach.tools.phone.profile import SendProfile
from fieldcoach.tools.phone.track import OpusTrack
from fieldcoach.tools.phone.transport_choice import (
    CONNECT_S,
    RETURN_S,
    UDP_WAIT_S,
    TransportChoice,
    transport_of,
)


def test_udp_goes_first_and_then_they_take_turns() -> None:
    choice = TransportChoice()
    assert [choice.next() for _ in range(4)] == ["udp", "websocket", "udp", "websocket"]
    assert choice.used is None


def test_after_a_loss_what_worked_goes_first() -> None:
    choice = TransportChoice()
    choice.came_up("websocket", 0)
    assert [choice.next() for _ in range(3)] == ["websocket", "udp", "websocket"]
    choice.came_up("udp", 10)
    assert [choice.next() for _ in range(2)] == ["udp", "websocket"]


def test_on_the_websocket_udp_is_tried_again_every_minute() -> None:
    choice = TransportChoice()
    choice.came_up("websocket", 100.0)
    assert not choice.should_return(100 + RETURN_S - 0.1)
    assert choice.should_return(100 + RETURN_S)
    assert choice.next() == "udp"
    assert not choice.should_return(101 + RETURN_S)  # it did not come up: a minute later
    assert choice.should_return(100 + 2 * RETURN_S)
    assert choice.next() == "udp"
    choice.came_up("udp", 300.0)
    assert not choice.should_return(1e9)


@pytest.mark.parametrize("way", ["udp", "websocket"])
def test_a_way_that_the_user_fixed_stays(way: str) -> None:
    choice = TransportChoice(transport_of(way))
    assert {choice.next() for _ in range(3)} == {way}
    choice.came_up(transport_of(way), 0.0)  # type: ignore[arg-type]
    assert not choice.should_return(1e9)
    assert not choice.gives_up("udp", CONNECT_S - 0.1, is_answered=False)
    assert choice.gives_up("udp", CONNECT_S, is_answered=False)


def test_blocked_is_known_in_time_and_slow_is_not_blocked() -> None:
    choice = TransportChoice()
    assert not choice.gives_up("udp", UDP_WAIT_S - 0.1, is_answered=False)
    assert choice.gives_up("udp", UDP_WAIT_S, is_answered=False)
    assert not choice.gives_up("udp", UDP_WAIT_S, is_answered=True)
    assert choice.gives_up("udp", CONNECT_S, is_answered=True)
    assert not choice.gives_up("websocket", UDP_WAIT_S, is_answered=False)


def test_another_word_is_refused() -> None:
    assert transport_of("auto") == "auto"
    with pytest.raises(VisitError, match="--transport tcp"):
        transport_of("tcp")


class Server:
    """Takes one audio socket."""

    def __init__(self) -> None:
        self.packets: list[OpusPacket] = []
        self.headers: dict[str, str] = {}
        self.close_with: int | None = None
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/audio", self._audio)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _audio(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("fieldcoach.audio.v1",))
        await socket.prepare(request)
        self.headers = dict(request.headers)
        if self.close_with is not None:
            await socket.close(code=self.close_with)
            return socket
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            self.packets += unpack_frame(message.data)
        return socket


def track(seconds: float) -> OpusTrack:
    return OpusTrack(Packetiser(bytes(int(32_000 * seconds)), SendProfile("L2", 12_000, 60, dtx=False)))


async def test_the_socket_sends_every_packet_with_its_number_and_time() -> None:
    server = Server()
    runner = await server.start()
    try:
        async with GatewayApi(server.url) as api:
            socket = AudioSocket(track(0.6))
            assert not socket.is_answered
            await socket.open(api, "/audio", "token")
            assert socket.is_answered
            async with asyncio.timeout(10):
                await socket.track.finished.wait()
                while len(server.packets) < 10:
                    await asyncio.sleep(0.01)
            assert [packet.sequence for packet in server.packets] == list(range(10))
            assert [packet.timestamp for packet in server.packets] == [n * 2_880 for n in range(10)]
            assert server.headers["Authorization"] == "Bearer token"
            assert (await socket.figures())["packets_sent"] == 10
            assert (await socket.pulse()).report is None
            assert (socket.dropped, socket.rtp_origin(lambda _: None)) == (0, 0)
            assert not socket.lost.is_set()
            socket.track.stop()
            await socket.close()
    finally:
        await runner.cleanup()


async def test_a_socket_that_is_closed_is_lost() -> None:
    server = Server()
    server.close_with = 4409
    runner = await server.start()
    try:
        async with GatewayApi(server.url) as api:
            socket = AudioSocket(track(5))
            await socket.open(api, "/audio", "token")
            async with asyncio.timeout(10):
                await socket.lost.wait()
            assert socket.close_code == 4409
            socket.track.stop()
            await socket.close()
            with pytest.raises(Refused):
                await AudioSocket(track(1)).open(api, "/nothing", "token")
    finally:
        await runner.cleanup()


async def test_nobody_there_is_told() -> None:
    async with GatewayApi("http://127.0.0.1:9") as api:
        socket = AudioSocket(track(1))
        with pytest.raises(GatewayUnreachable):
            await socket.open(api, "/audio", "token")
        await socket.close()


async def test_fresh_turn_credentials_come_with_the_token() -> None:
    async with GatewayApi("http://127.0.0.1:9") as api:
        channel = EventChannel(api, "/events", "first", lambda _event: None, WallClock())
        channel._receive('{"type": "token", "session_token": "second"}')
        assert (channel.token, channel.ice_servers) == ("second", None)
        channel._receive('{"type": "token", "session_token": "third", "ice_servers": [{"urls": ["turn:t"]}]}')
        assert (channel.token, channel.ice_servers) == ("third", [{"urls": ["turn:t"]}])
