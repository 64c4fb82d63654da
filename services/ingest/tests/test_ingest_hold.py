"""What a phone on L5 keeps is a hole that is asked for, whichever of order, answer and sound comes first."""

from typing import cast

import pytest

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.messages import MissingAudio
from fieldcoach.ingest.hold import LONGEST_DTX_S, OVER_AFTER_S, SURE_AFTER_S, Hold
from fieldcoach.ingest.jitter import AudioPacket
from fieldcoach.ingest.ladder import OFFLINE, Ladder
from fieldcoach.ingest.peer import Peer

from .test_ingest_session import MARKER, VOICE, Scene


def test_it_begins_with_the_order_and_ends_after_the_answer_to_the_next() -> None:
    hold = Hold()
    hold.told("L1")
    assert hold.longest_silence_s(0.0) is None
    hold.told("L5")
    assert hold.longest_silence_s(1.0) == LONGEST_DTX_S
    hold.applied(2, "L5", 1.5)
    assert hold.longest_silence_s(2.0) == 0.0
    hold.told("L4")
    assert hold.longest_silence_s(60.0) == 0.0  # it has not heard of it yet
    hold.applied(3, "L4", 60.0)
    assert hold.longest_silence_s(60.0 + SURE_AFTER_S - 0.1) == 0.0
    assert hold.longest_silence_s(60.0 + SURE_AFTER_S) == LONGEST_DTX_S
    assert hold.is_on(60.0 + OVER_AFTER_S - 0.1)
    assert not hold.is_on(60.0 + OVER_AFTER_S)


def test_a_copy_of_an_old_answer_changes_nothing() -> None:
    hold = Hold()
    hold.told("L5")
    hold.applied(2, "L5", 0.0)
    hold.told("L4")
    hold.applied(3, "L4", 1.0)
    hold.applied(2, "L5", 1.5)
    assert not hold.is_on(10.0)


def test_an_answer_that_comes_after_the_next_order_still_counts() -> None:
    hold = Hold()
    hold.told("L5")
    hold.told("L3")
    hold.applied(2, "L5", 1.0)
    assert hold.longest_silence_s(9.0) == 0.0
    hold.applied(3, "L3", 9.0)
    assert not hold.is_on(9.0 + OVER_AFTER_S)


def test_a_phone_that_does_not_follow_holds_nothing_but_one_that_has_said_so_does() -> None:
    hold = Hold()
    hold.told("L5")
    hold.given_up("L5")
    assert not hold.is_on(0.0)
    hold.told("L5")
    hold.applied(4, "L5", 1.0)
    hold.told("L4")
    hold.given_up("L4")
    assert hold.is_on(1e9)


class Call(Scene):
    """A phone that talks all the time, in packets of 20 ms; on hold it sends one every 2 s."""

    def __init__(self) -> None:
        super().__init__()
        self.tick = self.sequence = 0
        self.is_holding = False
        self.spoken: list[tuple[int, bool]] = []
        """Each 20 ms, and whether it was sent."""

    def talk(self, seconds: float, payload: bytes = VOICE) -> None:
        for _ in range(round(seconds * 50)):
            is_sent = not self.is_holding or self.tick % 100 == 0
            if is_sent:
                packet = AudioPacket(self.sequence & 0xFFFF, self.tick * 960, payload, self.now + 0.02)
                self.sequence += 1
            self.spoken.append((self.tick, is_sent))
            self.tick += 1
            self.pass_time(0.02)
            if is_sent:
                self.session.on_packet(cast(Peer, self.phone), 1, packet)
                self._deliver()

    def order(self, rung: int) -> int:
        """As the ladder would."""
        ladder: Ladder = self.session.adaptation.ladder
        ladder._move(rung, self.session.adaptation.arrivals.window(self.now), self.now)
        ladder.is_away = False
        command = self.session.adaptation._issue(self.now)
        self.session._note_hold(self.now)
        return command.number

    def asked(self) -> list[tuple[float, float]]:
        told = [event for event in self.session.outbox if isinstance(event, MissingAudio)]
        ranges = told[-1].ranges if told else ()
        return [(one.first_sample / SAMPLE_RATE, one.end_sample / SAMPLE_RATE) for one in ranges]


@pytest.mark.parametrize("order_takes", [0.04, 1.0])
@pytest.mark.parametrize("answer_takes", [0.04, 0.5, 1.5])
@pytest.mark.parametrize("keep_alive", [VOICE, MARKER])
def test_all_that_was_held_is_asked_for_however_order_and_answer_race(
    order_takes: float, answer_takes: float, keep_alive: bytes
) -> None:
    call = Call()
    call.talk(3)
    number = call.order(OFFLINE)
    call.talk(order_takes)
    call.is_holding = True
    call.talk(answer_takes, keep_alive)
    call.session.adaptation.applied(number, "L5", call.now)
    call.talk(7.3, keep_alive)
    assert call.session.life.state == "live"
    assert call.asked() == []
    number = call.order(4)
    call.talk(order_takes, keep_alive)
    call.is_holding = False
    call.talk(answer_takes)
    call.session.adaptation.applied(number, "L4", call.now)
    call.talk(8)
    asked = call.asked()
    unsent = [n * 0.02 for n, is_sent in call.spoken if not is_sent]
    assert len(unsent) > 300
    assert all(any(first - 1e-6 <= at and at + 0.02 <= end + 1e-6 for first, end in asked) for at in unsent)
    assert {gap.reason for gap in call.gaps()} == {"held"}
    assert len(asked) == 1  # as one, not a range every 2 s


def test_silence_is_silence_again_when_the_hold_is_over() -> None:
    call = Call()
    call.talk(1)
    number = call.order(OFFLINE)
    call.session.adaptation.applied(number, "L5", call.now)
    number = call.order(4)
    call.session.adaptation.applied(number, "L4", call.now)
    call.talk(OVER_AFTER_S + 0.2)
    call.talk(0.02, MARKER)
    call.pass_time(0.38)
    call.tick += 19
    call.talk(1)
    assert call.gaps() == []


def test_a_lost_keep_alive_suspends_nobody() -> None:
    call = Call()
    call.talk(1)
    number = call.order(OFFLINE)
    call.session.adaptation.applied(number, "L5", call.now)
    call.pass_time(6)
    assert call.states()[-1][0] == "live"
    call.pass_time(2)
    assert call.states()[-1][0] == "suspended"
