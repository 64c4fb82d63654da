"""The ladder in a session: what it tells the phone."""

from fieldcoach.common.messages import MediaProfile

from .test_ingest_session import Phone, Scene


def told(scene: Scene) -> list[tuple[int, str]]:
    return [(e.command, e.rung) for e in scene.session.outbox if isinstance(e, MediaProfile)]


def settle(scene: Scene) -> None:
    for event in list(scene.session.outbox):
        if isinstance(event, MediaProfile):
            scene.session.adaptation.commands.applied(event.command, event.rung)


def test_a_command_is_repeated_until_the_phone_says_that_it_sends_so() -> None:
    scene = Scene()
    scene.pass_time(2.5, talking=True)
    assert told(scene) == [(1, "L1")] * 3
    settle(scene)
    scene.pass_time(3, talking=True)
    assert len(told(scene)) == 3
    numbers = [e.n for e in scene.session.outbox if isinstance(e, MediaProfile)]
    assert len(set(numbers)) == 3


def test_a_long_round_trip_leads_down() -> None:
    scene = Scene()
    settle(scene)
    scene.phone.rtt_s = 0.6
    scene.pass_time(2, talking=True)
    assert told(scene)[:2] == [(1, "L1"), (2, "L2")]
    assert scene.session.profile.rung == "L2"


def test_a_phone_that_falls_silent_is_told_l5_and_goes_on_with_its_next_packet() -> None:
    scene = Scene()
    settle(scene)
    scene.pass_time(1, talking=True)
    scene.pass_time(4)
    assert scene.session.life.state == "suspended"
    assert told(scene)[1] == (2, "L5")
    scene.pass_time(1, talking=True)
    assert told(scene)[-1] == (3, "L3")


def test_a_pause_is_no_loss_and_no_silence() -> None:
    scene = Scene()
    settle(scene)
    scene.pass_time(2, talking=True)
    scene.session.pause(scene.now)
    scene.pass_time(10)
    scene.phone.number += 20
    scene.session.resume(scene.now)
    scene.pass_time(2, talking=True)
    assert told(scene) == [(1, "L1")]


def test_a_new_connection_is_told_where_to_go_on() -> None:
    scene = Scene()
    settle(scene)
    scene.phone.rtt_s = 0.6
    scene.pass_time(2, talking=True)
    settle(scene)
    other: Phone = scene.attach()
    assert told(scene)[-1] == (3, "L2")
    scene.pass_time(0.2, talking=True, phone=other)
    assert [peer.resource for peer in scene.session.peers] == [other.resource]
