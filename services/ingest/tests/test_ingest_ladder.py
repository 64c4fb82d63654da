"""The ladder: each threshold by itself, then whole calls over simulated links."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.ingest.arrivals import LinkWindow
from fieldcoach.ingest.ladder import Ladder

from .simulated_link import LINKS, Link, Scene

CLEAN = LinkWindow(
    packets=50,
    silent_s=0.02,
    loss=0.0,
    slope=0.0,
    slope_error=0.001,
    jitter_s=0.005,
    queue_s=0.0,
    rtt_s=0.1,
    goodput=40_000.0,
)
RISING: dict[str, Any] = {"slope": 0.2, "queue_s": 0.3}


class Run:
    """Shows the ladder windows, two a second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ladder = Ladder(self.now)

    def see(self, link: LinkWindow = CLEAN, seconds: float = 0.5, **changes: Any) -> list[int]:
        shown = replace(link, **changes)
        rungs = []
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            rung = self.ladder.judge(shown, self.now)
            if rung is not None:
                rungs.append(rung)
        return rungs


@pytest.mark.parametrize(
    ("changes", "rung"),
    [
        ({}, 0),
        ({"loss": 0.019}, 0),
        ({"loss": 0.02}, 1),
        ({"loss": 0.5}, 1),  # radio: the delay is flat
        ({"rtt_s": 0.249}, 0),
        ({"rtt_s": 0.25}, 1),
        ({"rtt_s": 0.5}, 2),
        ({"rtt_s": 0.9}, 2),
        ({"rtt_s": 0.91}, 3),
        ({"rtt_s": None}, 1),  # unknown: not to the top
        ({"slope": 0.011}, 1),
        ({"slope": 0.006}, 1),  # too much for the top
        ({"slope": 0.2, "slope_error": 0.1}, 0),  # chance
        ({"slope": None}, 0),
        ({**RISING, "loss": 0.04}, 1),
        ({**RISING, "loss": 0.05}, 2),
        ({**RISING, "loss": 0.11}, 3),
        ({**RISING, "loss": None, "goodput": 22_000.0}, 1),
        ({**RISING, "goodput": 21_000.0}, 3),
        ({**RISING, "goodput": 15_000.0}, 3),
        ({**RISING, "goodput": 14_000.0}, 4),
        ({**RISING, "goodput": 8_000.0}, 5),  # not even the lowest rung
        ({**RISING, "goodput": 9_000.0}, 4),
        ({**RISING, "goodput": None}, 1),
        ({"loss": 0.06, "queue_s": 0.1}, 2),  # a short queue is full, and stands
        ({"loss": 0.06, "queue_s": 0.1, "jitter_s": 0.06}, 1),  # within the jitter
        ({"goodput": 5_000.0}, 0),  # the phone has not more to say
        ({"silent_s": 3.0, "packets": 0}, 5),
    ],
)
def test_where_a_link_leads(changes: dict[str, Any], rung: int) -> None:
    run = Run()
    run.see(seconds=12, **changes)
    assert run.ladder.rung == rung


def test_it_begins_on_l1_and_goes_up_after_ten_clean_seconds() -> None:
    run = Run()
    assert run.ladder.rung == 1
    assert run.see(seconds=9.5) == []
    assert run.see(seconds=0.5) == [0]
    assert run.see(seconds=60) == []


def test_silence_proves_nothing() -> None:
    run = Run()
    assert run.see(seconds=60, loss=None, slope=None, goodput=None) == []
    assert run.see(seconds=10) == [0]


def test_down_one_rung_a_round_trip_and_once_a_second_at_most() -> None:
    run = Run()
    assert run.see(seconds=0.5, **RISING, goodput=10_000.0) == [2]
    assert run.see(seconds=0.5) == []
    assert run.see(seconds=0.5) == [3]  # the aim was seen, and stays
    assert run.see(seconds=1, rtt_s=0.2) == [4]
    slow = Run()
    assert slow.see(seconds=0.5, rtt_s=1.4) == [2]
    assert slow.see(seconds=1, rtt_s=1.4) == []
    assert slow.see(seconds=0.5, rtt_s=1.4) == [3]
    assert slow.ladder.fresh_from == pytest.approx(slow.now + 1.4)


def test_two_rungs_with_more_than_a_second_in_the_queue() -> None:
    run = Run()
    assert run.see(seconds=0.5, slope=0.5, queue_s=1.1, goodput=10_000.0) == [3]


def test_loss_is_congestive_for_a_while_after_the_delay_has_risen() -> None:
    run = Run()
    run.see(seconds=0.5, **RISING)
    assert run.ladder.is_congested
    run.see(seconds=4, loss=0.03)
    assert run.ladder.is_congested
    run.see(seconds=1, loss=0.03)
    assert not run.ladder.is_congested


def test_a_failed_probe_doubles_the_wait_and_a_kept_one_makes_it_short_again() -> None:
    run = Run()
    run.see(seconds=1.5, **RISING, goodput=20_000.0)
    assert run.ladder.rung == 3
    waits = []
    for _ in range(5):
        begun = run.now
        while not run.see():
            pass
        waits.append(run.now - begun)
        run.see(seconds=2, **RISING, goodput=20_000.0)
        assert run.ladder.rung == 3
    assert waits == pytest.approx([8, 16, 32, 60, 60], abs=1)
    while run.ladder.rung != 2:
        run.see()
    run.see(seconds=31, rtt_s=0.6)
    assert run.see(seconds=8) == [1]


def test_a_down_step_without_a_probe_does_not_lengthen_the_wait() -> None:
    run = Run()
    run.see(seconds=1, rtt_s=0.6)
    assert run.ladder.rung == 2
    assert run.see(seconds=8) == [1]


def test_after_silence_it_goes_on_on_l3_with_the_first_packet() -> None:
    run = Run()
    assert run.see(seconds=2, silent_s=3.5, packets=0, loss=None) == [5]
    assert run.see(seconds=30, silent_s=9.0, packets=0) == []
    assert run.see(packets=1, loss=None) == [3]
    assert run.see(seconds=8) == [2]


def test_a_new_connection_keeps_the_rung_but_not_above_l1() -> None:
    run = Run()
    run.see(seconds=10)
    assert (run.ladder.rung, run.ladder.first_rung) == (0, 1)
    run.ladder.connected(run.now)
    assert run.ladder.rung == 1
    run.see(seconds=1, rtt_s=0.6)
    run.ladder.connected(run.now)
    assert run.ladder.rung == 2
    run.see(seconds=2, silent_s=4.0, packets=0)
    assert (run.ladder.rung, run.ladder.first_rung) == (5, 3)


WINDOWS = st.builds(
    LinkWindow,
    packets=st.integers(0, 100),
    silent_s=st.sampled_from([0.0, 0.0, 0.0, 4.0]),
    loss=st.none() | st.floats(0, 1),
    slope=st.none() | st.floats(-1, 1),
    slope_error=st.floats(0, 0.1),
    jitter_s=st.floats(0, 0.2),
    queue_s=st.floats(0, 3),
    rtt_s=st.none() | st.floats(0, 3),
    goodput=st.none() | st.floats(0, 60_000),
)


@given(st.lists(WINDOWS, max_size=80))
def test_whatever_is_seen_commands_are_a_second_apart_and_up_only_by_one(windows: list[LinkWindow]) -> None:
    run = Run()
    last_at, rung = -100.0, run.ladder.rung
    for window in windows:
        for new in run.see(window):
            assert 0 <= new <= 5
            assert new != rung
            assert new >= rung - 1 or (rung, new) == (5, 3)  # an outage is over
            assert run.now - last_at >= 1 or rung == 5
            last_at, rung = run.now, new


# ── whole calls ──────────────────────────────────────────────────────────────────────────────────────────


def talking(at: float) -> bool:
    """2.6 s of speech in 4."""
    return at % 4 < 2.6


@pytest.mark.parametrize("queue", [None, 100])
def test_a_link_of_18_kbps_settles_on_l3_and_probes_ever_more_rarely(queue: int | None) -> None:
    scene = Scene(Link(18, 0.15, 0.02, queue=queue)).run(180)
    assert scene.rung == "L3"
    assert [rung for at, rung in scene.rungs if at < 5] == ["L1", "L2", "L3"]
    probes = [at for at, rung in scene.rungs if rung == "L2" and at > 5]
    assert len(probes) <= 4
    gaps = [later - earlier for earlier, later in itertools.pairwise(probes)]
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(gaps))
    assert set(scene.changes(5)) == {"L2", "L3"}
    assert scene.delivered / scene.sent > 0.98


def test_when_the_link_recovers_it_climbs_to_the_top() -> None:
    scene = Scene(Link(18, 0.15, 0.02)).run(25)
    scene.change(rate=5_000.0, delay=0.04)
    scene.run(90)
    assert scene.changes(25) == ["L2", "L1", "L0"]


@pytest.mark.parametrize(
    ("name", "rungs"),
    [
        ("4g", {"L0", "L1"}),
        ("3g", {"L0", "L1"}),
        ("edge", {"L2", "L3"}),
        ("2g-good", {"L3", "L4"}),
        ("2g-bad", {"L3", "L4"}),
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_profile_of_the_design_stays_on_its_rungs(name: str, rungs: set[str], seed: int) -> None:
    scene = Scene(LINKS[name], seed, talking).run(180)
    assert set(scene.changes(15)) <= rungs
    assert len(scene.changes(20)) <= 3
    assert scene.waits(20)[95] < 0.12
    assert scene.counts["applied"] + scene.counts.get("superseded", 0) >= scene.counts["sent"] - 1


def test_radio_loss_does_not_lower_the_rate() -> None:
    scene = Scene(Link(5_000, 0.04, 0.01, loss=0.1, burst=3)).run(120)
    assert scene.changes() == []
    assert scene.rung == "L1"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_2g_bad_it_lives_on_l3_for_ten_minutes(seed: int) -> None:
    scene = Scene(LINKS["2g-bad"], seed, talking).run(600)
    assert [rung for at, rung in scene.rungs if at < 6][:3] == ["L1", "L2", "L3"]
    assert scene.time_on("L3") > 0.85 * 600
    assert "L5" not in scene.changes()
    assert max(scene.waits(10)) < 0.5
    assert scene.delivered / scene.sent > 0.88  # before any repair, of 93 % that the radio lets through


@pytest.mark.parametrize("away", [5, 25, 84])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_warehouse_leads_down_to_l5_and_up_again(away: int, seed: int) -> None:
    scene = Scene(LINKS["4g"], seed, talking).run(30)
    assert scene.rung == "L0"
    scene.link = LINKS["2g-bad"]
    scene.run(20)
    assert scene.changes(30)[-1] in ("L3", "L4")
    scene.change(is_up=False)
    scene.run(away)
    assert scene.rung == "L5"
    scene.link = LINKS["3g"]
    back = scene.now
    scene.run(60)
    assert scene.changes(back)[:3] == ["L3", "L2", "L1"]
    assert next(at for at, rung in scene.rungs if at > back) - back < 3


@pytest.mark.parametrize(("kbps", "rung"), [(18.0, 3), (12.0, 3)])
def test_steadiness_does_not_make_it_slow_to_go_down(kbps: float, rung: int) -> None:
    for seed in range(1, 6):
        scene = Scene(LINKS["4g"], seed).run(60)
        scene.change(rate=kbps)
        scene.run(3.5)
        assert int(scene.rung[1]) >= rung


def test_two_packets_lost_of_a_hundred_do_not_lead_off_the_top_but_lasting_loss_does() -> None:
    run = Run()
    assert run.see(seconds=12) == [0]
    assert run.see(seconds=2, loss=0.05) == []
    assert run.see(seconds=60) == []
    assert run.see(seconds=30, loss=0.025) == []
    assert run.see(seconds=10, loss=0.08) == [1]
    assert run.see(seconds=12, loss=0.025) == []  # nor back up before it is less than 2 %


def test_a_window_with_little_jitter_by_chance_shows_no_queue() -> None:
    run = Run()
    run.see(seconds=20, jitter_s=0.09, rtt_s=1.2)
    assert run.ladder.rung == 3
    few: dict[str, Any] = {"slope": None, "slope_error": 0.0, "jitter_s": 0.0}
    assert run.see(seconds=1, rtt_s=1.2, loss=0.3, queue_s=0.2, **few, goodput=9_500.0) == []
    assert run.see(seconds=1, rtt_s=1.2, jitter_s=0.03, slope=0.05, slope_error=0.012, queue_s=0.15) == []
    assert run.see(seconds=1, rtt_s=1.2, loss=0.3, queue_s=0.4, **few, goodput=9_500.0) == [4]


def test_an_outage_leads_to_l5_and_back_by_itself() -> None:
    scene = Scene(LINKS["4g"]).run(30)
    scene.change(is_up=False)
    scene.run(10)
    assert scene.rung == "L5"
    assert scene.counts["repeated"] == 5
    assert scene.counts["unacknowledged"] == 1
    scene.change(is_up=True)
    scene.run(1)
    assert scene.rung == "L3"
    scene.run(60)
    assert scene.changes(41)[:2] == ["L2", "L1"]


def test_a_link_that_does_not_carry_the_lowest_rung_is_left_alone_and_tried_ever_more_rarely() -> None:
    scene = Scene(Link(7, 0.15, 0.02)).run(240)
    assert [rung for at, rung in scene.rungs if at < 15] == ["L1", "L2", "L3", "L4", "L5"]
    assert set(scene.changes(15)) == {"L4", "L5"}
    pauses = [later - at for (at, rung), (later, _) in itertools.pairwise(scene.rungs) if rung == "L5"]
    assert pauses == pytest.approx([8, 16, 32, 60, 60, 60][: len(pauses)], abs=6)
    assert len(pauses) >= 3
    assert scene.held > scene.sent
    assert not scene.adaptation.ladder.is_away


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_from_l5_it_climbs_by_itself_when_the_link_carries_again(loss: float) -> None:
    scene = Scene(Link(7, 0.15, 0.02, loss=loss)).run(15)
    assert scene.rung == "L5"
    scene.change(rate=330.0, loss=loss)
    scene.run(60)
    assert scene.changes(15)[:3] == ["L4", "L3", "L2"]


def test_an_outage_on_l5_is_an_outage() -> None:
    run = Run()
    run.see(seconds=12, **RISING, goodput=8_000.0)
    assert (run.ladder.rung, run.ladder.is_away) == (5, False)
    assert run.see(seconds=9, silent_s=9.0, packets=0) == []
    run.see(silent_s=10.0, packets=0)
    assert run.ladder.is_away
    assert run.see(packets=1, loss=None) == [3]


@pytest.mark.parametrize("late", [{"queue_s": 0.5}, {"rtt_s": 3.0}])
def test_on_l5_what_comes_must_be_in_time(late: dict[str, Any]) -> None:
    run = Run()
    run.see(seconds=9, **RISING, goodput=8_000.0)
    assert run.ladder.rung == 5
    few: dict[str, Any] = {"packets": 1, "loss": None, "slope": None, "goodput": None}
    assert run.see(seconds=20, **few, **late) == []
    assert run.see(seconds=7, **few) == []
    assert run.see(seconds=5, packets=0) == []  # lost: nothing for, nothing against
    assert run.see(seconds=1, **few) == [4]
