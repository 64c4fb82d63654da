"""The parts of bench network that play minutes through networks by name, and what they make of what came."""

import asyncio
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.support import NatsServer

from fieldcoach.common.audio import Flag
from fieldcoach.common.bus import Bus
from fieldcoach.common.messages import BackfillAudio
from fieldcoach.tools.bench import network as bench
from fieldcoach.tools.bench import profiles
from fieldcoach.tools.bench.audio_tap import AudioTap
from fieldcoach.tools.bench.chromium import Sent
from fieldcoach.tools.bench.delivered import Stretch
from fieldcoach.tools.bench.gold import load_visit
from fieldcoach.tools.bench.long_visit import PAUSE_S, long_visit, spoken_only
from fieldcoach.tools.bench.network_choice import NetworkChoice
from fieldcoach.tools.bench.network_plot import loss_plot, wire_plot
from fieldcoach.tools.bench.profiles_plot import rungs_plot, save_plots
from fieldcoach.tools.bench.profiles_table import print_profiles
from fieldcoach.tools.bench.speech_share import (
    begun_late,
    first_sound_s,
    fitted,
    longest_hole_s,
    longest_missing_s,
    shares,
    shifted,
    sounding,
)
from fieldcoach.tools.bench.stock import StockNotConnected
from fieldcoach.tools.bench.stock_process import receive_stock_apart
from fieldcoach.tools.errors import BenchError, MediaFailed
from fieldcoach.tools.network import schedule_of
from fieldcoach.tools.phone.profile import LADDER

ROOT = Path(__file__).parents[2]
MS = 16
SID = "a" * 26


def stretch(start_ms: int, length_ms: int, flags: Flag = Flag.OK, arrival: float = 0.0) -> Stretch:
    return Stretch(start_ms * MS, length_ms * MS, flags, arrival)


def test_a_long_visit_keeps_its_words_in_their_places() -> None:
    golds = [load_visit(ROOT / "visits" / f"{name}.json") for name in ("quick-order", "biscuits-no-space")]
    gold, pcm = long_visit(golds, 75.0)
    assert len(pcm) == 2 * 75 * 16_000
    assert gold.seconds == 75.0
    first = len(golds[0].lines)
    assert [line.text for line in gold.lines[:first]] == [line.text for line in golds[0].lines]
    second = gold.lines[first]
    assert second.text == golds[1].lines[0].text
    # the text lies where the sound of it is
    at = round((second.start) * 16_000)
    came_from = round(golds[1].lines[0].start * 16_000)
    sound = np.frombuffer(pcm, dtype="<i2")
    own = np.frombuffer(long_visit([golds[1]], 20.0)[1], dtype="<i2")
    assert np.array_equal(sound[at : at + 16_000], own[came_from : came_from + 16_000])
    assert second.start >= golds[0].seconds + PAUSE_S
    assert gold.lines[-1].end <= 75.0
    assert len(long_visit(golds, 200.0)[0].lines) > len(golds[0].lines) + len(golds[1].lines)


def test_speech_without_pauses() -> None:
    golds = [load_visit(ROOT / "visits" / "quick-order.json")]
    pcm = spoken_only(golds, 60.0)
    assert len(pcm) == 2 * 60 * 16_000
    loud = np.abs(np.frombuffer(pcm, dtype="<i2").astype(int)).reshape(-1, 8_000).max(axis=1)
    assert loud.min() > 500


def test_speech_is_told_by_its_best_flag_and_what_came_later() -> None:
    speech = np.zeros(2_000 * MS, dtype=np.bool_)
    speech[: 1_000 * MS] = True
    timeline = [
        stretch(0, 400),
        stretch(400, 100, Flag.GAP),
        stretch(400, 100, Flag.NACK),  # published again after a change of worker
        stretch(500, 100, Flag.PLC),
        stretch(600, 200, Flag.GAP),
        stretch(800, 100, Flag.DTX),
        stretch(1_000, 1_000),
    ]
    late = [stretch(550, 150, Flag.BACKFILL)]
    found = shares(speech, timeline, late)
    assert found == {
        "ok": 0.4,
        "nack": 0.1,
        "red": 0.0,
        "fec": 0.0,
        "dtx": 0.1,
        "plc": 0.1,
        "gap": 0.2,
        "none": 0.1,
        "backfill": 0.15,
        "missing": 0.2,
    }
    assert longest_hole_s(timeline) == pytest.approx(0.3)
    assert longest_missing_s(speech, timeline, late) == pytest.approx(0.1)
    assert shares(np.zeros(10, dtype=np.bool_), timeline, []) == {}


def test_back_fill_that_stands_late_is_put_where_it_fits() -> None:
    speech = np.zeros(8_000 * MS, dtype=np.bool_)
    speech[1_000 * MS : 2_000 * MS] = True
    speech[2_400 * MS : 2_700 * MS] = True
    speech[7_000 * MS : 7_100 * MS] = True
    late = [
        *(stretch(1_340 + at, 20, Flag.BACKFILL, 1.0) for at in range(0, 1_000, 20)),
        stretch(2_740, 300, Flag.BACKFILL, 2.0),
        stretch(7_000, 100, Flag.BACKFILL, 3.0),  # a short hole's stays where it is
    ]
    timeline = [
        *(stretch(0, 1_000), stretch(1_000, 4_000, Flag.GAP), stretch(5_000, 2_000)),
        *(stretch(7_000, 100, Flag.GAP), stretch(7_100, 900)),
    ]
    assert shares(speech, timeline, late)["missing"] > 0.4
    moved = fitted(speech, timeline, late)
    assert shares(speech, timeline, moved)["missing"] == 0
    assert moved[-1] == late[-1]


def test_a_timeline_that_began_late_is_put_in_its_place() -> None:
    speech = np.zeros(5_000 * MS, dtype=np.bool_)
    for start, end in ((500, 1_500), (2_000, 2_400), (3_500, 5_000)):
        speech[start * MS : end * MS] = True
    # the first 700 ms did not arrive
    heard = [stretch(0, 800), stretch(800, 500, Flag.DTX), stretch(1_300, 300), stretch(1_600, 100, Flag.GAP)]
    heard += [stretch(1_700, 1_100, Flag.DTX), stretch(2_800, 1_500)]
    assert begun_late(speech, heard) == 700 * MS
    assert begun_late(speech, shifted(heard, 700 * MS)) == 0
    assert begun_late(speech, []) == 0
    found = shares(speech, shifted(heard, 700 * MS), [])
    assert (found["dtx"], found["none"]) == (0.0, round(200 / 2_900, 5))


def test_when_the_first_sound_comes_again() -> None:
    timeline = [
        stretch(0, 60, arrival=9.0),
        stretch(60, 60, Flag.GAP, arrival=10.1),
        stretch(120, 60, Flag.DTX, arrival=11.5),
        stretch(180, 60, arrival=12.0),
    ]
    assert first_sound_s(timeline, 10.0) == pytest.approx(1.5)
    assert first_sound_s(timeline, 12.5) is None


def test_silence_in_a_filled_range_is_not_sound() -> None:
    pcm = bytes(2 * 20 * MS) + b"\x01\x00" * (20 * MS) + bytes(2 * 20 * MS)
    assert [(s.start, s.n_samples) for s in sounding(1_600, pcm, 1.0)] == [(1_600 + 20 * MS, 20 * MS)]


async def test_the_tap_puts_pieces_of_a_range_together(nats_server: NatsServer) -> None:
    bus = Bus(nats_server.url, "local", "test")
    await bus.connect()
    sound = b"\x01\x00" * (20 * MS)
    async with AudioTap(nats_server.url) as tap:
        async with asyncio.timeout(10):
            while len(tap.late_of(SID)) < 2:  # the server may take the first ones before it knows of the tap
                for piece in range(2):
                    audio = BackfillAudio(
                        session=SID,
                        range=1,
                        first_sample=3_200,
                        hole_first_sample=3_200,
                        hole_end_sample=3_840,
                        late_ms=0,
                        piece=piece,
                        pieces=2,
                        pcm=sound,
                    )
                    await bus.publish(bus.subjects.asr_backfill("b" * 26), audio.encode())
                await asyncio.sleep(0.02)
        assert {s.start for s in tap.late_of(SID)} == {3_200, 3_200 + 20 * MS}
        assert tap.late_of("c" * 26) == []
    await bus.drain()


def test_changes_are_told_once_and_stays_are_measured() -> None:
    events: list[tuple[float, dict[str, Any]]] = [
        (-0.1, {"type": "state", "state": "live"}),
        (0.0, {"type": "profile", "rung": "L1"}),
        (2.0, {"type": "profile", "rung": "L2"}),
        (3.0, {"type": "profile", "rung": "L2"}),
        (4.0, {"type": "state", "state": "suspended"}),
        (7.0, {"type": "state", "state": "connecting"}),
        (9.5, {"type": "state", "state": "live"}),
        (19.0, {"type": "state", "state": "suspended"}),
        (24.0, {"type": "state", "state": "ended"}),
    ]
    assert profiles._changes(events, "profile", "rung", "L1") == [(0.0, "L1"), (2.0, "L2")]
    states = profiles._changes(events, "state", "state", None)
    assert profiles._suspended(states, 20.0) == [(4.0, 9.5), (19.0, 20.0)]
    # the phone has stopped because the recording is over
    assert profiles._suspended(states, 18.0) == [(4.0, 9.5)]
    assert profiles._last_missing([{"type": "missing", "ranges": [1, 2]}, {"type": "final"}]) == 2


async def test_the_network_is_back_when_its_last_outage_is_over() -> None:
    async with profiles.TimedRelay(schedule_of("warehouse-25")) as relay:
        assert relay.back_at is None
        relay.start()
        assert relay.started_at is not None
        assert relay.back_at == relay.started_at + 55.0
    async with profiles.TimedRelay(schedule_of("edge")) as relay:
        relay.start()
        assert relay.back_at is None


def report(name: str) -> dict[str, Any]:
    speech = {kind: 0.0 for kind in ("nack", "red", "fec", "dtx", "plc", "none")}
    speech |= {"ok": 0.9, "gap": 0.1, "backfill": 0.08, "missing": 0.02}
    return {
        "profile": name,
        "failure": "it broke" if name == "2g-bad" else None,
        "sessions": 1,
        "speech": speech,
        "rungs": [(0.0, "L1"), (40.0, "L3")],
        "suspended": [(30.0, 34.0)],
        "phases": [(0.0, "4g"), (10.0, "2g-bad"), (30.0, "nothing"), (35.0, "3g")],
        "wire_kbps": 17.5,
        "late_ms": 150.0,
    }


def test_plots_are_images_with_labels(tmp_path: Path) -> None:
    figures = {"seconds": 60.0, "profiles": {name: report(name) for name in ("4g", "2g-bad")}}
    for path in save_plots(tmp_path / "images", figures):
        root = ElementTree.fromstring(path.read_text())
        texts = ["".join(found.itertext()) for found in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "4g" in texts
        assert any(word in " ".join(texts) for word in ("seconds since", "share of the speech"))
    # the line goes down at 40 of 60 s
    assert rungs_plot(figures).count("<polyline") == 2
    loss = {name: {level: 0.5 for level in ("l01b1", "l20b3")} for name in ("ours", "stock")}
    spread = {name: {level: [0.4, 0.6] for level in ("l01b1", "l20b3")} for name in ("ours", "stock")}
    assert "burst 3" in loss_plot({"round_trip_ms": 150.0, "delivered": loss, "spread": spread})
    one = {"wire_kbps": 54.2, "payload_kbps": 31.0}
    assert "54.2" in wire_plot({"chromium": {"default": one, "L3": one}, "wire_kbps_phone": {"L3": 12.6}})


def test_a_visit_that_broke_off_is_told() -> None:
    import io

    from rich.console import Console

    out = io.StringIO()
    about = {"cores": 2, "cpu": "x", "load_1min": 0.0}
    runs = {name: report(name) for name in ("4g", "2g-bad")}
    figures = {"profiles": runs, "machine": about, "engine": "whisper", "model": "outlet-en"}
    print_profiles(Console(file=out, width=110), figures)
    assert "2g-bad: the visit broke off: it broke" in out.getvalue()
    assert "90.0" in out.getvalue()
    assert "150 ms too late" in out.getvalue()


def test_rates_are_of_what_was_sent_between() -> None:
    found = Sent(1_000, 240, 20, 1_000.0).since(Sent(200, 120, 10, 0.0))
    # 800 B of payload, 120 B of RTP headers, 380 B below them, in a second
    assert found == {
        "wire_kbps": 10.4,
        "payload_kbps": 6.4,
        "packets_per_s": 10.0,
        "rtp_header_bytes": 12.0,
    }
    with pytest.raises(BenchError, match="sent no audio"):
        Sent(1, 1, 1, 1.0).since(Sent(1, 1, 1, 0.0))


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        (NetworkChoice(minutes=3), "belongs to --profiles"),
        (NetworkChoice(profiles="3g", networks="l05b1"), "belong to the loss levels"),
        (NetworkChoice(profiles=" , "), "name networks"),
        (NetworkChoice(profiles="3g", minutes=100), "at most 60"),
        (NetworkChoice(wire=True, profiles="3g"), "--wire"),
    ],
)
def test_options_that_do_not_belong_together(choice: NetworkChoice, why: str) -> None:
    with pytest.raises(BenchError, match=why):
        choice.benchmark()


def test_all_profiles_are_the_ones_of_the_design() -> None:
    chosen: Any = NetworkChoice(profiles="all").benchmark()
    assert chosen.keywords["profiles"] == profiles.PROFILES
    assert {schedule_of(name).name for name in profiles.PROFILES} == set(profiles.PROFILES)


async def test_the_stock_receiver_runs_in_a_process_of_its_own() -> None:
    pcm = np.random.default_rng(1).integers(-3_000, 3_000, 16_000, dtype="<i2").tobytes()
    run = await receive_stock_apart(pcm, LADDER["L1"], "perfect", 1)
    assert len(run.reception.pcm) == len(pcm)
    assert run.reception.given_out[0][0] == 0
    assert run.counts["lost"] == 0
    assert run.counts["packets"] > 25
    with pytest.raises(BenchError, match="no-such"):
        await receive_stock_apart(pcm, LADDER["L1"], "no-such", 1)


async def test_only_a_connection_that_did_not_come_up_is_tried_again() -> None:
    cell: Any = type("Cell", (), {"retries": 0})()
    failures: list[Exception] = [bench.NotConnected("no"), StockNotConnected("no")]

    async def attempt() -> str:
        if failures:
            raise failures.pop(0)
        return "done"

    assert await bench._connected(cell, attempt) == "done"
    assert cell.retries == 2
    failures = [MediaFailed("lost after 10 s")]
    with pytest.raises(MediaFailed, match="lost after"):
        await bench._connected(cell, attempt)
    failures = [bench.NotConnected("no")] * 3
    with pytest.raises(bench.NotConnected):
        await bench._connected(cell, attempt)
