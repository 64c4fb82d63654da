"""Sound over a WebSocket: to the session a connection like any other."""

from fieldcoach.common.audio import Flag
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import MediaProfile, OpusFrames, OpusPacket
from fieldcoach.ingest.fragment import IceFragment
from fieldcoach.ingest.opus_source import OpusSource, take

from .test_ingest_session import VOICE, Scene


class Socket:
    """A phone's WebSocket at a gateway, packets of 20 ms."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.name = new_id()
        self.number = 0

    def open(self) -> None:
        self.scene.session.attach(OpusSource(self.name), self.scene.now)

    def send(self, n: int = 1, last: bool = False) -> None:
        packets = []
        for _ in range(n):
            number, self.number = self.number, self.number + 1
            packets.append(OpusPacket(sequence=number, timestamp=number * 960, payload=VOICE))
        frames = OpusFrames(
            session=self.scene.session.id, source=self.name, packets=tuple(packets), last=last
        )
        take(self.scene.session, frames, self.scene.now, self.scene.telemetry.packets.add)

    def talk(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.send()
            self.scene.pass_time(0.02)


def counted(scene: Scene, outcome: str) -> int:
    return scene.telemetry.packets[outcome]


def test_it_takes_over_from_a_peer_connection_with_its_first_packet() -> None:
    scene = Scene()
    scene.pass_time(1, talking=True)
    socket = Socket(scene)
    socket.open()
    scene.pass_time(0.5, talking=True)
    assert len(scene.session.peers) == 2
    socket.talk(1)
    assert [peer.resource.name for peer in scene.session.peers] == [socket.name]
    assert [phone.resource.name for phone in scene.session.retired] == [scene.phone.resource.name]
    scene.pass_time(0.3)
    scene.assert_contiguous()
    assert 2.3 < scene.sent[-1].end_sample / 16_000 < 2.9
    profiles = [event for event in scene.session.outbox if isinstance(event, MediaProfile)]
    assert not profiles[-1].nack


def test_several_packets_of_one_frame_are_one_stretch() -> None:
    scene = Scene()
    socket = Socket(scene)
    socket.open()
    for _ in range(10):
        socket.send(5)
        scene.pass_time(0.1)
    scene.assert_contiguous()
    assert {chunk.flags for chunk in scene.sent} == {Flag.OK}
    assert sum(chunk.n_samples for chunk in scene.sent) >= 0.9 * 16_000


def test_a_pause_discards_and_a_resume_takes() -> None:
    scene = Scene()
    socket = Socket(scene)
    socket.open()
    socket.talk(0.5)
    scene.session.pause(scene.now)
    socket.talk(0.5)
    assert counted(scene, "paused") == 25
    scene.session.resume(scene.now)
    socket.talk(0.5)
    assert scene.session.life.state == "live"
    scene.assert_contiguous()


def test_the_end_of_the_socket_suspends() -> None:
    scene = Scene()
    scene.session.on_lost(scene.session.peers[0], "closed", scene.now)
    socket = Socket(scene)
    socket.open()
    socket.talk(0.2)
    socket.send(0, last=True)
    assert scene.states()[-1] == ("suspended", "closed")
    socket.send(0, last=True)  # said twice changes nothing
    assert scene.session.peers == ()


def test_a_source_that_was_given_up_and_speaks_again_is_taken_back() -> None:
    scene = Scene()
    scene.session.on_lost(scene.session.peers[0], "closed", scene.now)
    socket = Socket(scene)
    socket.open()
    socket.talk(0.2)
    scene.pass_time(4)
    assert scene.states()[-1] == ("suspended", "no-packets")
    scene.pass_time(60)
    assert not scene.session.peers
    socket.talk(0.2)
    assert scene.states()[-1][0] == "live"
    assert [peer.resource.name for peer in scene.session.peers] == [socket.name]


def test_a_source_that_was_replaced_is_not() -> None:
    scene = Scene()
    old, new = Socket(scene), Socket(scene)
    old.open()
    old.talk(0.2)
    new.open()
    new.talk(0.2)
    old.send(3)
    assert counted(scene, "old-connection") == 3
    assert [peer.resource.name for peer in scene.session.peers] == [new.name]


def test_after_the_end_nothing_is_taken() -> None:
    scene = Scene()
    socket = Socket(scene)
    socket.open()
    socket.talk(0.2)
    scene.session.end("user", scene.now, announce=False)
    socket.send(2)
    assert counted(scene, "old-connection") == 2
    assert scene.session.peers == ()


def test_a_peer_connection_takes_no_frames() -> None:
    scene = Scene()
    frames = OpusFrames(
        session=scene.session.id,
        source=scene.phone.resource.name,
        packets=(OpusPacket(sequence=0, timestamp=0, payload=VOICE),),
        last=True,
    )
    take(scene.session, frames, scene.now, scene.telemetry.packets.add)
    assert counted(scene, "old-connection") == 1
    assert len(scene.session.peers) == 1


async def test_it_has_no_ice_and_nothing_to_free() -> None:
    source = OpusSource(new_id())
    reply = await source.patch(IceFragment("", "", ()), "*")
    assert reply.problem is not None
    assert reply.problem.status == 422
    await source.upkeep(0.0)
    await source.close()
    assert source.rtt_s is None
