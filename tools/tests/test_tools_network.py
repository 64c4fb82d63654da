"""What the network simulator promises, measured in virtual time."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.tools.errors import UnknownNetwork
from fieldcoach.tools.network import link as link_module
from fieldcoach.tools.network.conditions import DOWN, IP_UDP_BYTES, PERFECT, Conditions
from fieldcoach.tools.network.counts import Counts
from fieldcoach.tools.network.direction import Direction
from fieldcoach.tools.network.link import ImpairedLink, Way
from fieldcoach.tools.network.loss import GilbertElliott
from fieldcoach.tools.network.profiles import UPLINK, Phase, Schedule, names, schedule_of
from fieldcoach.tools.network.report import report_lines

PACKETS = 100_000


def runs(fates: list[bool]) -> list[int]:
    """Lengths of the runs of losses."""
    found, length = [], 0
    for is_lost in [*fates, False]:
        if is_lost:
            length += 1
        elif length:
            found.append(length)
            length = 0
    return found


@pytest.mark.parametrize(("loss", "burst"), [(0.01, 1), (0.05, 3), (0.1, 1), (0.2, 3), (0.2, 1), (0.07, 4)])
def test_loss_and_burst_length_are_as_asked(loss: float, burst: float) -> None:
    model = GilbertElliott(loss, burst, random.Random(1))
    fates = [model.next_is_lost() for _ in range(PACKETS)]
    lengths = runs(fates)
    assert sum(fates) / PACKETS == pytest.approx(loss, rel=0.08)
    assert statistics.mean(lengths) == pytest.approx(burst, rel=0.06)
    assert (max(lengths) == 1) is (burst == 1)


def test_no_loss_is_no_loss() -> None:
    model = GilbertElliott(0, 3, random.Random(1))
    assert not any(model.next_is_lost() for _ in range(1_000))


def test_what_no_chain_can_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 0\.50"):
        GilbertElliott(0.6, 1, random.Random(1))
    for loss, burst in ((1.0, 1.0), (-0.1, 1.0), (0.1, 0.5)):
        with pytest.raises(ValueError, match="mean_burst"):
            GilbertElliott(loss, burst, random.Random(1))


def arrivals(conditions: Conditions, every_s: float, size: int = 100, n: int = 5_000) -> list[list[float]]:
    direction = Direction(conditions, "seed")
    return [direction.send(place * every_s, size) for place in range(n)]


def test_the_delay_is_even_around_its_mean() -> None:
    found = arrivals(Conditions(delay_ms=650, jitter_ms=150), every_s=0.3)
    delays = sorted(at - place * 0.3 for place, (at,) in enumerate(found))
    assert 0.5 <= delays[0] < 0.503
    assert 0.797 < delays[-1] <= 0.8
    quartiles = statistics.quantiles(delays, n=4)
    assert quartiles == pytest.approx([0.575, 0.65, 0.725], abs=0.008)


def test_packets_keep_their_order_unless_told_otherwise() -> None:
    ordered = [at for (at,) in arrivals(Conditions(delay_ms=100, jitter_ms=50), every_s=0.02)]
    assert ordered == sorted(ordered)
    assert all(0.05 <= at - place * 0.02 <= 0.150001 for place, at in enumerate(ordered))

    direction = Direction(Conditions(delay_ms=100, jitter_ms=50, reorder=0.1), "seed")
    mixed = [direction.send(place * 0.02, 100)[0] for place in range(5_000)]
    latest, overtaken = 0.0, 0
    for at in mixed:
        overtaken += at < latest
        latest = max(latest, at)
    assert overtaken == direction.counts.reordered
    # a tenth may overtake; not all of them do, and a late one of them is overtaken by some
    assert 0.05 < overtaken / 5_000 < 0.15


@pytest.mark.parametrize("rate_kbps", [18.0, 100.0])
def test_a_slow_link_passes_its_rate_and_its_queue_is_bounded(rate_kbps: float) -> None:
    conditions = Conditions(rate_kbps=rate_kbps, delay_ms=10)
    size = 122
    direction = Direction(conditions, "seed")
    every_s = conditions.transmission_s(size) / 3  # three times what it can carry
    passed = [
        at for place in range(3_000) if (found := direction.send(place * every_s, size)) for at in found
    ]
    carried = len(passed) * (size + IP_UDP_BYTES) * 8 / 1e3 / (passed[-1] - passed[0])
    assert carried == pytest.approx(rate_kbps, rel=0.01)
    assert direction.counts.queue_full == 3_000 - len(passed)
    longest = conditions.queue_packets * conditions.transmission_s(size) + 0.01
    assert direction.counts.max_delay_s == pytest.approx(longest, rel=0.15)
    assert direction.counts.max_delay_s <= longest + 1e-9


def test_the_queue_holds_as_many_packets_as_promised() -> None:
    assert [UPLINK[name].queue_packets for name in ("4g", "3g", "2g-bad")] == [41, 4, 4]
    assert PERFECT.queue_packets == 0
    direction = Direction(Conditions(rate_kbps=8), "seed")
    assert [len(direction.send(0.0, 72)) for _ in range(6)] == [1, 1, 1, 1, 0, 0]
    assert direction.send(0.1, 72) == [
        pytest.approx(0.5)
    ]  # one has left, after 100 bytes of 8 bits at 8 kbps


def test_a_link_that_becomes_fast_does_not_overtake_itself() -> None:
    direction = Direction(Conditions(rate_kbps=8), "seed")
    direction.send(0.0, 72)
    direction.change(PERFECT)
    assert direction.send(0.0, 72) == [pytest.approx(0.1)]
    assert direction.send(0.5, 72) == [0.5]


def test_duplicates_and_outages_are_counted() -> None:
    direction = Direction(Conditions(duplicate=0.2), "seed")
    found = [direction.send(float(n), 10) for n in range(5_000)]
    twice = sum(len(at) == 2 for at in found)
    assert twice == direction.counts.duplicated
    assert twice / 5_000 == pytest.approx(0.2, rel=0.1)
    direction.change(DOWN)
    assert direction.send(5_000.0, 10) == []
    assert direction.counts.outage == 1


@given(
    seed=st.integers(0, 1_000),
    steps=st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 1_500)), max_size=60),
    conditions=st.builds(
        Conditions,
        rate_kbps=st.none() | st.floats(5, 500),
        delay_ms=st.floats(0, 700),
        jitter_ms=st.floats(0, 200),
        loss=st.floats(0, 0.4),
        burst=st.floats(1, 5),
        reorder=st.floats(0, 1),
        duplicate=st.floats(0, 1),
    ),
)
def test_every_packet_has_one_fate_never_before_it_was_sent_and_always_the_same(
    seed: int, steps: list[tuple[float, int]], conditions: Conditions
) -> None:
    def played() -> tuple[list[list[float]], Counts]:
        direction, now, found = Direction(conditions, f"{seed}"), 0.0, []
        for pause, size in steps:
            now += pause
            found.append(direction.send(now, size))
            assert all(at >= now for at in found[-1])
        return found, direction.counts

    found, counts = played()
    assert counts.sent == len(steps) == counts.delivered + sum(number for _, number in counts.dropped)
    assert counts.delivered == sum(1 for at in found if at)
    assert played() == (found, counts)


def test_another_seed_is_another_day() -> None:
    def lost(seed: int) -> list[int]:
        link: ImpairedLink[int] = ImpairedLink(schedule_of("l20b3"), seed)
        link.start(0.0)
        for n in range(500):
            link.send(Way.UP, n, 100, 2 + n * 0.04)
        return [delivery.packet for delivery in link.take(100.0)]

    assert lost(1) == lost(1)
    assert lost(1) != lost(2)


def test_the_phases_follow_each_other_once_started() -> None:
    link: ImpairedLink[str] = ImpairedLink(schedule_of("warehouse-5"))
    link.send(Way.UP, "handshake", 100, 1_000.0)
    assert link.phase.name == "4g"
    assert [delivery.packet for delivery in link.take(1_001.0)] == ["handshake"]
    link.start(2_000.0)
    link.start(2_005.0)
    seen = []
    for second in range(50):
        link.take(2_000.0 + second)
        seen.append((link.phase.name, link.address))
    assert [seen.index(kind) for kind in dict.fromkeys(seen)] == [0, 10, 30, 35]
    assert list(dict.fromkeys(seen)) == [("4g", 0), ("2g-bad", 0), ("nothing", 0), ("3g", 1)]
    assert link.next_due is None


def test_nothing_passes_in_an_outage_and_what_goes_to_an_old_address_is_lost() -> None:
    slow = Conditions(delay_ms=5_000)
    phases = (
        Phase("slow", 1.0, slow, slow),
        Phase("nothing", 1.0, DOWN, DOWN),
        Phase("new", None, PERFECT, PERFECT, True),
    )
    link: ImpairedLink[str] = ImpairedLink(Schedule("test", phases))
    link.start(0.0)
    link.send(Way.DOWN, "late", 10, 0.5)
    link.send(Way.UP, "late too", 10, 0.5)
    link.send(Way.UP, "never", 10, 1.5)
    link.send(Way.DOWN, "never", 10, 1.5)
    link.send(Way.UP, "new", 10, 2.5)
    link.drop(Way.DOWN, 10, is_old_address=True)
    assert [(d.packet, d.address, d.way) for d in link.take(10.0)] == [
        ("new", 1, Way.UP),
        ("late too", 0, Way.UP),
    ]
    down = link.counts(Way.DOWN)
    assert (down.sent, down.delivered, down.outage, down.old_address) == (3, 0, 1, 2)
    assert link.counts(Way.UP).outage == 1


def test_a_copy_for_an_old_address_is_not_counted_twice() -> None:
    twice = Conditions(delay_ms=2_000, duplicate=1.0)
    phases = (Phase("old", 1.0, twice, twice), Phase("new", None, PERFECT, PERFECT, True))
    link: ImpairedLink[str] = ImpairedLink(Schedule("test", phases))
    link.start(0.0)
    link.send(Way.DOWN, "late", 10, 0.5)
    assert link.take(5.0) == []
    assert (link.counts(Way.DOWN).delivered, link.counts(Way.DOWN).old_address) == (0, 1)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_IN_FLIGHT", 3)
    link: ImpairedLink[int] = ImpairedLink(schedule_of("l00b1"))
    for n in range(5):
        link.send(Way.UP, n, 10, 0.0)
    assert link.in_flight == 3
    assert link.next_due == pytest.approx(0.075)
    assert link.counts(Way.UP).overflow == 2


@pytest.mark.parametrize("name", [*names(), "l01b1", "L20B3", "l50b9"])
def test_every_network_has_a_schedule(name: str) -> None:
    schedule = schedule_of(name)
    assert schedule.phases[-1].seconds is None
    for phase in schedule.phases:
        Direction(phase.uplink, "x")
        assert phase.downlink.delay_ms == phase.uplink.delay_ms
        assert phase.downlink.loss == pytest.approx(phase.uplink.loss / 3)


@pytest.mark.parametrize("name", ["5g", "l60b1", "l05b0", "warehouse-7", ""])
def test_an_unknown_network_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(UnknownNetwork, match=r"2g-bad.*l05b3"):
        schedule_of(name)


def test_a_schedule_ends_with_what_lasts() -> None:
    with pytest.raises(ValueError, match="last phase"):
        Schedule("x", ())
    with pytest.raises(ValueError, match="last phase"):
        Schedule("x", (Phase("a", None, PERFECT, PERFECT), Phase("b", None, PERFECT, PERFECT)))


def test_the_report_says_what_happened() -> None:
    up = Counts(sent=100, delivered=90, lost=6, bursts=2, queue_full=4, delay_s=9.0, max_delay_s=0.3)
    up.duplicated, up.reordered = 1, 2
    lines = report_lines("2g-bad", 7, {Way.UP: up, Way.DOWN: Counts()}, 2, 1.25, 1)
    assert lines == [
        "network 2g-bad, seed 7",
        "  uplink    100 packets, 90 delivered; 6 lost (6.0 %) in bursts of 3.0; 4 queue full (4.0 %);"
        " 1 twice; 2 out of order; delay 100 ms, at most 300 ms",
        "  downlink  no packet",
        "  the phone had 2 addresses",
        "  the simulator was at most 1.2 ms late, 1 socket errors",
    ]
    assert "delay" not in report_lines("x", 0, {Way.UP: Counts(sent=1, outage=1), Way.DOWN: up}, 1, 0, 0)[1]
    assert (up + up).sent == 200
    assert (up + up).max_delay_s == 0.3
