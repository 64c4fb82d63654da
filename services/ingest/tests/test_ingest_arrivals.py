"""What is told of a link by its arrivals, in virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.ingest.arrivals import OVERHEAD_BYTES, RTP_RATE, ArrivalStatistics

P20 = bytes([9 << 3]) + bytes(59)
MARKER = bytes([9 << 3])


class Feed:
    """Packets of 20 ms; `delay` is what each is under way."""

    def __init__(self, first_sequence: int = 0, first_timestamp: int = 0) -> None:
        self.statistics = ArrivalStatistics()
        self.sequence = first_sequence
        self.timestamp = first_timestamp
        self.begun = 100.0
        self.media = 0.0

    @property
    def now(self) -> float:
        return self.begun + self.media

    def packet(self, delay: float = 0.05, lost: bool = False, payload: bytes = P20) -> None:
        self.media += 0.02
        if not lost:
            self.statistics.add(
                self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, payload, self.begun + self.media + delay
            )
        self.sequence += 1
        self.timestamp += 960

    def silence(self, seconds: float) -> None:
        self.media += seconds
        self.timestamp += round(seconds * RTP_RATE)

    def again(self, back: int, delay: float) -> None:
        """The packet that was sent `back` packets ago comes now."""
        self.statistics.add(
            (self.sequence - back) & 0xFFFF,
            (self.timestamp - 960 * back) & 0xFFFFFFFF,
            P20,
            self.begun + self.media + delay,
        )


def test_nothing_came() -> None:
    link = ArrivalStatistics().window(5.0)
    assert (link.packets, link.silent_s, link.loss, link.slope, link.rtt_s, link.goodput) == (
        0,
        0.0,
        None,
        None,
        None,
        None,
    )


def test_a_steady_stream_over_the_wrap_of_both_counters() -> None:
    feed = Feed(first_sequence=65_500, first_timestamp=(1 << 32) - 48_000)
    for _ in range(150):
        feed.packet()
    link = feed.statistics.window(feed.now + 0.06)
    assert 88 <= link.packets <= 107
    assert link.loss == 0
    assert link.slope == pytest.approx(0, abs=1e-6)
    assert link.jitter_s == pytest.approx(0, abs=1e-6)
    assert link.queue_s == pytest.approx(0, abs=1e-9)
    assert link.silent_s == pytest.approx(0.01)
    assert link.goodput == pytest.approx(50 * 8 * (60 + OVERHEAD_BYTES), rel=0.02)


def test_a_growing_queue_shows_as_slope_and_queue() -> None:
    feed = Feed()
    for number in range(200):
        feed.packet(0.05 + max(0, number - 50) * 0.02 * 0.1)  # 100 ms a second from the first second on
    link = feed.statistics.window(feed.now + 0.3)
    assert link.slope == pytest.approx(0.1 / 1.1, rel=0.01)
    assert link.slope_error < 0.001
    assert 0.15 < link.queue_s < 0.31


def test_the_packet_time_changes_nothing() -> None:
    statistics = ArrivalStatistics()
    media, ticks = 0.0, 0
    for number in range(40):
        payload, ptime = (P20, 0.02) if number < 20 else (bytes([(11 << 3) | 1]) + bytes(150), 0.12)
        media += ptime
        statistics.add(number, ticks, payload, 10 + media)
        ticks += round(ptime * RTP_RATE)
    link = statistics.window(10 + media)
    assert link.slope == pytest.approx(0, abs=1e-9)
    assert link.queue_s == pytest.approx(0, abs=1e-9)


def test_loss_is_what_did_not_come_by_itself() -> None:
    feed = Feed()
    for number in range(100):
        feed.packet(lost=number % 10 == 5)
        if number % 10 == 6:
            feed.again(2, 0.055)  # out of order: 5 ms behind the packet that showed the hole
    feed.again(2, 0.06)  # a copy
    assert feed.statistics.window(feed.now).loss == 0
    for number in range(100):
        feed.packet(lost=number % 10 == 5)
        if number % 50 == 9:
            feed.again(5, 0.3)  # asked for and sent again
    assert feed.statistics.window(feed.now + 0.1).loss == pytest.approx(0.1, abs=0.03)


def test_with_a_long_round_trip_more_may_be_out_of_order() -> None:
    for rtt, loss in ((None, 0.2), (1.0, 0.0)):
        feed = Feed()
        feed.statistics.measured(rtt, feed.now)
        for number in range(20):
            feed.packet(lost=number % 5 == 3)
        for back in (2, 7, 12, 17):
            feed.again(back, 0.3)
        assert feed.statistics.window(feed.now + 0.3).loss == pytest.approx(loss, abs=0.01)


def test_few_packets_prove_nothing() -> None:
    feed = Feed()
    for number in range(7):
        feed.packet(lost=number == 3)
    link = feed.statistics.window(feed.now)
    assert link.loss is None
    assert link.slope is None
    assert link.goodput is None


def test_packets_that_come_at_once_have_no_slope() -> None:
    statistics = ArrivalStatistics()
    for number in range(20):
        statistics.add(number, 960 * number, P20, 50.0)
    link = statistics.window(50.0)
    assert link.slope is None
    assert link.packets == 20


def test_silence_is_no_low_rate() -> None:
    feed = Feed()
    for _ in range(50):
        feed.packet()
    feed.packet(payload=MARKER)
    feed.silence(0.8)
    for _ in range(9):
        feed.packet()
    link = feed.statistics.window(feed.now + 0.06)
    assert link.goodput == pytest.approx(50 * 8 * (60 + OVERHEAD_BYTES), rel=0.05)
    assert link.loss == 0


def test_a_window_begins_no_sooner_than_it_is_told() -> None:
    feed = Feed()
    for _ in range(100):
        feed.packet()
    assert feed.statistics.window(feed.now, feed.now - 0.5).packets < 30
    assert feed.statistics.window(feed.now, feed.now + 1).packets == 0


@pytest.mark.parametrize(("sequences", "seconds"), [(5_000, 0.0), (0, 3_600.0)])
def test_another_stream_begins_anew(sequences: int, seconds: float) -> None:
    feed = Feed()
    for _ in range(50):
        feed.packet(0.5)
    feed.sequence += sequences
    feed.timestamp += round(seconds * RTP_RATE)
    for _ in range(9):
        feed.packet(0.5)
    link = feed.statistics.window(feed.now + 0.5)
    assert link.packets == 9
    assert link.loss == 0


def test_a_packet_that_is_no_opus_is_not_counted() -> None:
    statistics = ArrivalStatistics()
    statistics.add(0, 0, b"", 1.0)
    assert statistics.window(1.0).packets == 0


def test_a_hole_of_any_length_takes_bounded_memory() -> None:
    feed = Feed()
    feed.packet()
    for _ in range(3):
        feed.sequence += 2_900
        feed.timestamp += 960
        feed.media += 0.02
        feed.packet()
    assert len(feed.statistics._missing) <= 256


def test_the_round_trip_between_two_checks_is_told_by_the_queue() -> None:
    feed = Feed()
    for _ in range(100):
        feed.packet()
    feed.statistics.measured(0.1, feed.now)
    feed.statistics.measured(0.1, feed.now)
    assert feed.statistics.window(feed.now).rtt_s == pytest.approx(0.1)
    for _ in range(100):
        feed.packet(0.45)
    assert feed.statistics.window(feed.now + 0.5).rtt_s == pytest.approx(0.5)
    feed.statistics.measured(0.6, feed.now + 0.5)
    assert feed.statistics.window(feed.now + 0.5).rtt_s == pytest.approx(0.6)


def test_a_queue_longer_than_the_round_trip_was_a_step_of_the_senders_clock() -> None:
    feed = Feed()
    for _ in range(100):
        feed.packet()
    for _ in range(100):
        feed.packet(0.85)
    assert feed.statistics.window(feed.now + 0.9).queue_s == pytest.approx(0.8)
    feed.statistics.measured(0.1, feed.now + 0.9)
    link = feed.statistics.window(feed.now + 0.9)
    assert link.queue_s == pytest.approx(0)
    assert link.rtt_s == pytest.approx(0.1)


def test_a_round_trip_before_the_first_packet() -> None:
    statistics = ArrivalStatistics()
    statistics.measured(None, 0.0)
    statistics.measured(0.3, 0.0)
    assert statistics.window(1.0).rtt_s == pytest.approx(0.3)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 65_535),
            st.integers(0, (1 << 32) - 1),
            st.sampled_from([P20, MARKER, b""]),
            st.floats(0, 0.5),
        ),
        max_size=60,
    )
)
def test_no_packets_lead_out_of_bounds(packets: list[tuple[int, int, bytes, float]]) -> None:
    statistics = ArrivalStatistics()
    now = 10.0
    for sequence, timestamp, payload, wait in packets:
        now += wait
        statistics.add(sequence, timestamp, payload, now)
        statistics.measured(wait, now)
        link = statistics.window(now)
        assert link.loss is None or 0 <= link.loss <= 1
        assert link.queue_s >= 0
        assert link.goodput is None or link.goodput >= 0
        assert link.slope_error >= 0
        assert len(statistics._missing) <= 256
