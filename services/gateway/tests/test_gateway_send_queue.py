"""The send queue: order, bounds, and what is dropped first."""

from collections import Counter

from fieldcoach.common.messages import EventMessage
from fieldcoach.gateway.send_queue import MAX_REPLIES, QueuedEvent, SendQueue

from .gateway_samples import final, partial, state


def queued(event: EventMessage) -> QueuedEvent:
    return QueuedEvent(event, {}, 0.0, "", True)


def queue(max_events: int = 256) -> tuple[SendQueue, Counter[str]]:
    dropped: Counter[str] = Counter()

    def count(reason: str) -> None:
        dropped[reason] += 1

    return SendQueue(count, max_events), dropped


def test_replies_then_events_in_order_then_the_partial() -> None:
    waiting, _ = queue()
    waiting.put_partial(partial(1, utterance=9))
    first, second = queued(state(1)), queued(final(2))
    assert waiting.put_event(first)
    assert waiting.put_event(second)
    assert waiting.put_reply({"type": "pong"})
    assert len(waiting) == 4
    assert [waiting.take() for _ in range(5)] == [
        {"type": "pong"},
        first,
        second,
        partial(1, utterance=9),
        None,
    ]


def test_the_newest_partial_wins() -> None:
    waiting, dropped = queue()
    for n in (1, 3, 2):
        waiting.put_partial(partial(n))
    assert waiting.take() == partial(3)
    assert dropped == {"replaced": 1, "out-of-order": 1}


def test_a_partial_never_follows_its_final() -> None:
    waiting, dropped = queue()
    waiting.put_partial(partial(1, utterance=4))
    waiting.put_event(queued(final(4, utterance=4)))
    waiting.put_partial(partial(2, utterance=4))
    waiting.put_partial(partial(3, utterance=3))
    assert dropped == {"settled": 3}
    waiting.put_partial(partial(4, utterance=5))
    waiting.put_event(queued(final(5, utterance=4)))
    assert len(waiting) == 3


def test_events_are_bounded_on_top_of_the_backlog() -> None:
    waiting, _ = queue(max_events=2)
    assert all(waiting.put_event(queued(state(n))) for n in range(10))
    waiting.fix_limit()
    assert [waiting.put_event(queued(state(n))) for n in range(3)] == [True, True, False]
    waiting.clear()
    assert len(waiting) == 0


def test_replies_are_bounded() -> None:
    waiting, _ = queue()
    assert [waiting.put_reply({}) for _ in range(MAX_REPLIES + 1)].count(False) == 1
