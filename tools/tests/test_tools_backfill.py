"""The phone's memory of what it sent, and its answer to the list of what is missing, in virtual time."""

import asyncio
from typing import Any

import pytest
from tests.support import until

from fieldcoach.common.backfill import MAX_UPLOAD_BYTES, Record, parse_records
from fieldcoach.tools.errors import GatewayUnreachable, Refused
from fieldcoach.tools.phone import backfill
from fieldcoach.tools.phone.backfill import END_WAIT_S, MARGIN_TICKS, SETTLE_PAUSED_S, SETTLE_S, Backfill
from fieldcoach.tools.phone.ring import RING_BYTES, RING_S, RTP_CLOCK, OpusRing

FRAME = 960
"""20 ms: what the packets of these tests say they hold."""
SSRC, ORIGIN = 7, 1_000_000


def packet(n: int = 0, size: int = 10) -> bytes:
    return b"\x78" + n.to_bytes(4, "big") + bytes(size - 5)


def ring_of(seconds: float, size: int = 10) -> OpusRing:
    ring = OpusRing()
    for n in range(round(seconds * 50)):
        ring.add(n * FRAME, packet(n, size))
    return ring


def missing(*ranges: tuple[int, float, float], ssrc: int = SSRC, origin: int = ORIGIN) -> dict[str, Any]:
    """The event: number, first and last second of each range."""
    told = [
        {
            "range": number,
            "ssrc": ssrc,
            "first_timestamp": (origin + round(first * RTP_CLOCK)) % (1 << 32),
            "last_timestamp": (origin + round(last * RTP_CLOCK)) % (1 << 32),
        }
        for number, first, last in ranges
    ]
    return {"type": "missing", "ranges": told}


class Phone:
    """Back-fill with a clock in hand, and a gateway that answers as scripted."""

    def __init__(self, ring: OpusRing, origin: int = ORIGIN) -> None:
        self.now = 50.0
        self.answers: list[Exception] = []
        self.bodies: list[bytes] = []
        self.waits: list[float] = []
        self.backfill = Backfill(ring, {SSRC: origin}.get, lambda: self.now)

    async def upload(self, body: bytes) -> None:
        self.bodies.append(body)
        if self.answers:
            raise self.answers.pop(0)

    def records(self) -> list[Record]:
        next_body = self.backfill.next_body()
        assert next_body is not None
        return [record for body in next_body[1] for record in parse_records(body)]


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Phone:
    made, pause = Phone(ring_of(20)), asyncio.sleep

    async def sleep(seconds: float) -> None:
        made.waits.append(seconds)
        made.now += seconds
        await pause(0)

    class VirtualAsyncio:
        Event = asyncio.Event

    VirtualAsyncio.sleep = staticmethod(sleep)  # type: ignore[attr-defined] # as the module has it
    monkeypatch.setattr(backfill, "asyncio", VirtualAsyncio)
    return made


def test_the_ring_keeps_five_minutes() -> None:
    ring = ring_of(RING_S + 10)
    assert len(ring) == RING_S * 50
    assert ring.n_bytes == 10 * len(ring)
    oldest, newest = ring.cut(0, 1 << 40)[0], ring.cut(0, 1 << 40)[-1]
    assert newest.end - oldest.begin == RING_S * RTP_CLOCK
    assert oldest.begin == 10 * RTP_CLOCK


def test_the_ring_keeps_two_megabytes() -> None:
    ring = ring_of(60, size=1_275)
    assert RING_BYTES - 1_275 < ring.n_bytes <= RING_BYTES
    assert ring.n_bytes == 1_275 * len(ring)
    assert ring.cut(0, 1 << 40)[-1].end == 60 * RTP_CLOCK


def test_the_ring_counts_time_over_silence_that_was_not_encoded() -> None:
    ring = ring_of(1)
    ring.add(round(RING_S * RTP_CLOCK) + 10 * FRAME, packet())
    assert len(ring) == 40  # 11 were too old with the first word after


def test_a_cut_has_every_packet_that_sounds_in_it() -> None:
    ring = ring_of(1)
    assert [one.begin for one in ring.cut(FRAME, 3 * FRAME)] == [FRAME, 2 * FRAME]
    assert [one.begin for one in ring.cut(FRAME - 1, 3 * FRAME + 1)] == [0, FRAME, 2 * FRAME, 3 * FRAME]
    assert ring.cut(50 * FRAME, 60 * FRAME) == []


def test_a_packet_is_found_by_its_bytes_the_newest_first() -> None:
    ring = ring_of(1)
    ring.add(50 * FRAME, packet(3))
    assert ring.begin_of(packet(3)) == 50 * FRAME
    assert ring.begin_of(packet(4)) == 4 * FRAME
    assert ring.begin_of(b"never sent") is None


def test_an_erased_ring_knows_nothing() -> None:
    ring = ring_of(1)
    ring.erase()
    assert (len(ring), ring.n_bytes, ring.cut(0, 1 << 40)) == (0, 0, [])
    ring.add(0, packet())
    assert len(ring) == 1


def test_a_range_is_answered_with_its_edges_and_its_end(phone: Phone) -> None:
    phone.backfill.heard(missing((3, 5.0, 7.0)))
    *packets, end = phone.records()
    assert end == Record(3, ORIGIN + 7 * RTP_CLOCK, b"")
    assert {record.range for record in packets} == {3}
    assert packets[0].timestamp == ORIGIN + 5 * RTP_CLOCK - MARGIN_TICKS
    assert packets[-1].timestamp == ORIGIN + 7 * RTP_CLOCK + MARGIN_TICKS - FRAME
    assert packets[0].payload == packet(5 * 50 - MARGIN_TICKS // FRAME)
    assert len(packets) == 50 * 5


def test_timestamps_wrap() -> None:
    origin = (1 << 32) - 6 * RTP_CLOCK
    phone = Phone(ring_of(20), origin)
    phone.backfill.heard(missing((1, 5.0, 7.0), origin=origin))
    *packets, end = phone.records()
    assert len(packets) == 50 * 5
    assert (packets[0].timestamp - origin) % (1 << 32) == 5 * RTP_CLOCK - MARGIN_TICKS
    assert end.timestamp == RTP_CLOCK


@pytest.mark.parametrize("ssrc", [SSRC, 99])
def test_what_is_not_known_is_answered_with_the_end_alone(ssrc: int) -> None:
    phone = Phone(OpusRing())
    phone.backfill.heard(missing((1, 5.0, 7.0), ssrc=ssrc))
    assert [record.payload for record in phone.records()] == [b""]


def test_a_long_range_is_cut_into_bodies() -> None:
    phone = Phone(ring_of(20, size=600))
    phone.backfill.heard(missing((1, 0.0, 20.0)))
    found = phone.backfill.next_body()
    assert found is not None
    assert len(found[1]) == 3
    assert max(map(len, found[1])) <= MAX_UPLOAD_BYTES


def test_on_a_poor_link_nothing_is_sent_until_the_visit_ends(phone: Phone) -> None:
    phone.backfill.heard(missing((1, 5.0, 7.0)))
    for rung in ("L2", "L3", "L4"):
        phone.backfill.heard({"type": "profile", "rung": rung})
        assert phone.backfill.next_body() is None
    for rung in ("L0", "L1"):
        phone.backfill.heard({"type": "profile", "rung": rung})
        assert phone.backfill.next_body() is not None
    phone.backfill.heard({"type": "profile", "rung": "L3"})
    phone.backfill.is_ending = True
    assert phone.backfill.next_body() is not None


def test_a_range_is_sent_once_however_often_it_is_told(phone: Phone) -> None:
    phone.backfill.heard(missing((1, 5.0, 7.0), (2, 9.0, 10.0)))
    phone.backfill.sent(1, 500)
    phone.backfill.heard(missing((1, 5.0, 7.0), (2, 9.0, 10.0)))
    assert {record.range for record in phone.records()} == {2}
    phone.backfill.sent(2, 300)
    assert phone.backfill.next_body() is None
    assert phone.backfill.is_open, "the server has not said yet that it has them"
    phone.backfill.heard(missing())
    assert not phone.backfill.is_open
    assert (phone.backfill.uploaded, phone.backfill.uploaded_bytes) == (2, 800)


def test_after_a_gap_a_list_may_still_come(phone: Phone) -> None:
    phone.backfill.heard({"type": "gap", "reason": "paused"})
    assert not phone.backfill.is_open
    phone.backfill.heard({"type": "gap", "reason": "network"})
    assert phone.backfill.is_open
    phone.now += SETTLE_S
    assert not phone.backfill.is_open


def test_other_events_change_nothing(phone: Phone) -> None:
    phone.backfill.heard({"type": "final"})
    assert not phone.backfill.changed.is_set()
    assert not phone.backfill.is_open


async def test_what_fails_is_tried_again_but_not_what_is_refused_for_good(phone: Phone) -> None:
    phone.answers = [
        GatewayUnreachable("away"),
        Refused("backfill", 429, {"title": "too many"}),
        Refused("backfill", 400, {"title": "no"}),
    ]
    running = asyncio.create_task(phone.backfill.run(phone.upload))
    try:
        phone.backfill.heard(missing((1, 5.0, 7.0), (2, 9.0, 10.0)))
        await until(lambda: phone.backfill.uploaded == 1)
    finally:
        running.cancel()
    assert [parse_records(body)[0].range for body in phone.bodies] == [1, 1, 1, 2]
    assert phone.backfill.uploaded_bytes == len(phone.bodies[-1])
    assert set(phone.waits) == {backfill.PAUSE_S}


async def test_an_upload_with_an_old_token_is_tried_again(phone: Phone) -> None:
    phone.answers = [Refused("backfill", 401, {"title": "expired"})]
    running = asyncio.create_task(phone.backfill.run(phone.upload))
    try:
        phone.backfill.heard(missing((1, 5.0, 7.0)))
        await until(lambda: phone.backfill.uploaded == 1)
    finally:
        running.cancel()
    assert len(phone.bodies) == 2


async def test_on_l5_the_list_is_waited_for_longer(phone: Phone) -> None:
    began = phone.now
    phone.backfill.heard({"type": "gap", "reason": "held"})
    await phone.backfill.finish()
    assert phone.now - began == pytest.approx(SETTLE_PAUSED_S, abs=0.2)


async def test_the_visit_ends_when_nothing_is_missing(phone: Phone) -> None:
    began = phone.now
    await phone.backfill.finish()
    assert phone.backfill.is_ending
    assert phone.now == began
    phone.backfill.heard({"type": "gap", "reason": "network"})
    await phone.backfill.finish()
    assert phone.now - began == pytest.approx(SETTLE_S, abs=0.2)


async def test_the_visit_ends_in_time_whatever_is_missing(phone: Phone) -> None:
    began = phone.now
    phone.backfill.heard(missing((1, 5.0, 7.0)))
    await phone.backfill.finish()
    assert phone.now - began == pytest.approx(END_WAIT_S, abs=0.2)
