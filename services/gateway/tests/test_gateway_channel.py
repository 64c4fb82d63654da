"""The events channel: resume, renewal, end and overflow, in virtual time."""

from collections import Counter
from typing import Any

from fieldcoach.common.messages import EventMessage, SessionEnding
from fieldcoach.common.position import Position
from fieldcoach.gateway.channel import (
    ENDED_WAIT_MS,
    SUMMARY_WAIT_MS,
    CloseCode,
    Closing,
    EventChannel,
    Outgoing,
    Renewal,
)
from fieldcoach.gateway.send_queue import MAX_EVENTS, MAX_REPLIES

from .gateway_samples import SESSION, cue, final, partial, state, summary

LIFE_MS = 900_000.0


class Rig:
    def __init__(self, after: str = "", renewals: int = 100) -> None:
        self.dropped: Counter[str] = Counter()
        self.now = 0.0
        self._renewals = renewals
        self.channel = EventChannel(
            SESSION, Position.parse(after), LIFE_MS, LIFE_MS, self._renew, self._count
        )

    def _count(self, reason: str) -> None:
        self.dropped[reason] += 1

    def _renew(self) -> Renewal | None:
        if self._renewals == 0:
            return None
        self._renewals -= 1
        return Renewal("next", self.now + LIFE_MS)

    def put(self, *events: EventMessage) -> None:
        for event in events:
            self.channel.put_event(event, {}, self.now)

    def take(self) -> Outgoing | Closing | None:
        return self.channel.take(self.now)

    def drain(self) -> list[dict[str, Any]]:
        found = []
        while isinstance(item := self.take(), Outgoing):
            found.append(item.body)
        return found


def test_events_carry_positions_from_which_another_channel_goes_on() -> None:
    events: list[EventMessage] = [state(1), final(2), cue(3), final(4), state(5)]
    whole = Rig()
    whole.put(*events)
    whole.channel.backlog_is_in()
    sent = whole.drain()
    assert [event["type"] for event in sent] == ["state", "final", "cue", "final", "state"]
    for cut in range(len(sent)):
        rest = Rig(after=sent[cut]["id"])
        rest.put(*events)
        rest.channel.backlog_is_in()
        assert rest.drain() == sent[cut + 1 :]


def test_what_comes_twice_is_sent_once() -> None:
    rig = Rig()
    rig.put(final(1), final(1))
    assert len(rig.drain()) == 1


def test_internal_events_are_not_shown_but_move_the_position() -> None:
    rig = Rig()
    rig.put(SessionEnding(session=SESSION, n=7, reason="client"), state(8))
    (shown,) = rig.drain()
    assert shown["id"] == "g7.i8"


def test_live_is_marked() -> None:
    rig = Rig()
    rig.put(final(1))
    rig.channel.backlog_is_in()
    rig.put(final(2))
    items = [rig.take(), rig.take()]
    assert [item.cause.live for item in items if isinstance(item, Outgoing) and item.cause] == [False, True]


def test_partials_and_replies_have_no_position() -> None:
    rig = Rig()
    rig.channel.put_partial(partial(1))
    rig.channel.put_reply({"type": "pong"})
    assert [event["type"] for event in rig.drain()] == ["pong", "partial"]
    assert len(rig.channel) == 0


def test_a_worker_that_was_taken_over_is_not_heard() -> None:
    rig = Rig()
    rig.put(final(1, epoch=2))
    rig.put(final(2, epoch=1))
    rig.channel.put_partial(partial(3, epoch=1, utterance=9))
    assert len(rig.drain()) == 1
    assert rig.dropped == {"stale-epoch": 1}


def test_back_fill_is_sent_whatever_its_epoch_and_closes_none() -> None:
    rig = Rig()
    rig.put(final(1, epoch=2), final(2, epoch=1, backfill=True), final(3, epoch=3, backfill=True))
    rig.put(final(4, epoch=2))
    assert [event["backfill"] for event in rig.drain() if event["type"] == "final"] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not rig.dropped


def test_the_token_is_renewed_when_a_third_is_left() -> None:
    rig = Rig()
    rig.channel.backlog_is_in()
    assert rig.take() is None
    assert rig.channel.next_due() == LIFE_MS * 2 / 3
    rig.now = LIFE_MS * 2 / 3
    (token,) = rig.drain()
    assert token == {"type": "token", "session": SESSION, "session_token": "next", "expires_in": 900}
    assert rig.channel.next_due() == rig.now + LIFE_MS * 2 / 3


def test_without_renewal_the_channel_closes_at_the_expiry() -> None:
    rig = Rig(renewals=0)
    rig.channel.backlog_is_in()
    rig.now = LIFE_MS * 2 / 3
    assert rig.take() is None
    assert rig.channel.next_due() == LIFE_MS
    rig.now = LIFE_MS
    assert rig.take() == Closing(CloseCode.TOKEN)


def test_the_end_comes_after_the_summary_is_sent() -> None:
    rig = Rig()
    rig.put(state(1, "ended"), final(2), summary(3))
    rig.channel.backlog_is_in()
    assert [event["type"] for event in rig.drain()] == ["state", "final", "summary"]
    assert rig.take() == Closing(CloseCode.ENDED)


def test_a_client_that_has_seen_everything_is_told_the_end() -> None:
    rig = Rig(after="c3.i1")
    rig.put(state(1, "ended"), summary(3))
    assert rig.take() is None, "the backlog may hold more"
    rig.channel.backlog_is_in()
    assert rig.take() == Closing(CloseCode.ENDED)


def test_a_missing_summary_or_state_is_not_waited_for_for_ever() -> None:
    rig = Rig()
    rig.channel.backlog_is_in()
    rig.put(state(1, "ended"))
    rig.drain()
    assert rig.channel.next_due() == SUMMARY_WAIT_MS
    rig.now = SUMMARY_WAIT_MS
    assert rig.take() == Closing(CloseCode.ENDED)
    without_media = Rig()
    without_media.channel.backlog_is_in()
    without_media.put(summary(1))
    without_media.drain()
    without_media.now = ENDED_WAIT_MS - 1
    assert without_media.take() is None
    without_media.now = ENDED_WAIT_MS
    assert without_media.take() == Closing(CloseCode.ENDED)


def test_a_session_that_goes_on_after_all_stays_open() -> None:
    rig = Rig()
    rig.channel.backlog_is_in()
    rig.put(state(1, "ended"), state(2, "live"))
    rig.drain()
    rig.now = SUMMARY_WAIT_MS
    assert rig.take() is None


def test_too_many_events_close_the_channel_and_free_the_memory() -> None:
    rig = Rig()
    rig.channel.backlog_is_in()
    rig.put(*(state(n) for n in range(1, MAX_EVENTS + 3)))
    assert len(rig.channel) == 0
    assert rig.channel.closing == CloseCode.TOO_SLOW
    rig.channel.put_partial(partial(1))
    rig.channel.put_reply({})
    rig.put(state(9_999))
    assert len(rig.channel) == 0
    rig.channel.close(CloseCode.REPLACED)
    assert rig.take() == Closing(CloseCode.TOO_SLOW), "the first reason stays"


def test_too_many_replies_close_the_channel() -> None:
    rig = Rig()
    for _ in range(MAX_REPLIES + 1):
        rig.channel.put_reply({})
    assert rig.take() == Closing(CloseCode.TOO_SLOW)
