"""Which lost packets are asked for, and when."""

import pytest

from fieldcoach.ingest.nack import MAX_REPAIR_S, MAX_WANTED, UNANSWERED, NackScheduler


def test_at_once_then_every_round_trip_three_times() -> None:
    nack = NackScheduler()
    nack.tell_rtt(0.15)
    nack.missing(10, 12, 0.02, 5.0)
    assert nack.due(5.005) == []  # it may only have been overtaken
    assert nack.due(5.01) == [10, 11]
    assert nack.due(5.18) == []
    assert nack.due(5.20) == [10, 11]
    assert nack.due(5.39) == [10, 11]
    assert nack.due(9.0) == []
    assert nack.wanted == 2


def test_a_fast_link_is_asked_every_hundred_milliseconds() -> None:
    nack = NackScheduler()
    nack.tell_rtt(0.02)
    nack.missing(1, 2, 0.02, 0.0)
    asked = [step for step in range(500) if nack.due(step * 0.001)]
    assert asked == pytest.approx([10, 110, 210], abs=2)


def test_what_was_asked_for_and_comes_is_a_repair_and_what_was_under_way_is_not() -> None:
    nack = NackScheduler()
    nack.tell_rtt(0.2)
    nack.missing(1, 5, 0.02, 0.0)
    assert not nack.arrived(1, 0.001)
    nack.due(0.01)
    assert not nack.arrived(2, 0.1)
    assert nack.arrived(3, 0.21)
    assert not nack.arrived(3, 0.22)
    assert not nack.arrived(99, 0.22)
    assert nack.wanted == 1


def test_the_round_trip_is_learnt_from_single_requests() -> None:
    nack = NackScheduler()
    assert nack.rtt is None
    nack.missing(1, 3, 0.02, 0.0)
    assert nack.deadline(1, 0.0) is None
    nack.due(0.01)
    assert nack.arrived(1, 0.26)
    assert nack.rtt == pytest.approx(0.25)
    nack.due(0.3)
    assert nack.arrived(2, 0.4)  # of two requests it is not known which was answered
    assert nack.rtt == pytest.approx(0.25)
    nack.tell_rtt(0.4)
    assert nack.rtt == 0.4


@pytest.mark.parametrize(
    ("rtt", "asks"), [(0.02, 3), (0.15, 3), (0.35, 3), (0.4, 2), (0.55, 2), (0.7, 1), (1.1, 1), (1.3, 0)]
)
def test_as_many_requests_are_waited_for_as_fit(rtt: float, asks: int) -> None:
    nack = NackScheduler()
    nack.tell_rtt(rtt)
    nack.missing(1, 2, 0.02, 10.0)
    deadline = nack.deadline(1, 0.0)
    if not asks:
        assert deadline is None
        assert nack.due(10.1) == []
        return
    assert deadline is not None
    assert deadline - 10 <= MAX_REPAIR_S
    assert deadline - 10 == pytest.approx(0.04 + (asks - 1) * max(0.1, rtt + 0.03) + rtt)
    assert nack.deadline(1, 0.1) is None or rtt < 1.1
    assert nack.deadline(2, 0.0) is None


def test_an_outage_is_not_asked_for_and_the_memory_is_bounded() -> None:
    nack = NackScheduler()
    nack.missing(0, 60, 0.02, 0.0)
    assert nack.wanted == 0
    nack.missing(0, 20, 0.06, 0.0)
    assert nack.wanted == 0
    for first in range(0, 1_000, 10):
        nack.missing(first, first + 5, 0.02, 0.0)
    assert MAX_WANTED - 5 < nack.wanted <= MAX_WANTED
    nack.give_up_before(2_000)
    assert nack.wanted == 0


def test_a_sender_that_does_not_answer_is_not_waited_for_until_it_does() -> None:
    nack = NackScheduler()
    nack.tell_rtt(0.05)
    for number in range(UNANSWERED):
        nack.missing(number, number + 1, 0.02, float(number))
        assert nack.deadline(number, 0.0) is not None
        assert nack.due(number + 0.5) == [number]
        nack.give_up_before(number + 1)
    nack.missing(100, 102, 0.02, 100.0)
    assert nack.deadline(100, 0.0) is None
    assert nack.due(100.01) == [100, 101]
    assert nack.due(101.0) == []  # once is enough to find out
    assert nack.arrived(100, 100.06)
    assert nack.is_answered
    assert nack.deadline(101, 0.0) is not None


def test_an_answer_that_comes_too_late_is_an_answer() -> None:
    nack = NackScheduler()
    nack.tell_rtt(0.05)
    for number in range(0, 2 * UNANSWERED, 2):
        nack.missing(number, number + 1, 0.02, float(number))
        nack.due(number + 0.5)
        nack.give_up_before(number + 1)
    assert not nack.is_answered
    assert not nack.arrived(0, 100.0)
    assert nack.is_answered
