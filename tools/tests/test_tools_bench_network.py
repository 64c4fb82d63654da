"""The figures of bench network: their definitions, their names, and the receiver that is compared."""

import asyncio
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.support import NatsServer, until

from fieldcoach.common.audio import Flag, pack_chunk
from fieldcoach.common.bus import Bus
from fieldcoach.tools.bench import network as bench
from fieldcoach.tools.bench import stock as stock_module
from fieldcoach.tools.bench.audio_tap import AudioTap
from fieldcoach.tools.bench.delivered import (
    SentAudio,
    Stretch,
    delays_ms,
    flags_ms,
    ours_delivered,
    sent_audio,
    speaking_kbps,
    stock_delivered,
    wire_kbps,
)
from fieldcoach.tools.bench.gold import GoldLine, GoldVisit
from fieldcoach.tools.bench.network import CLEAN, LOSSES, VISITS, Cell
from fieldcoach.tools.bench.network_table import print_figures
from fieldcoach.tools.bench.stock import receive_stock
from fieldcoach.tools.bench.together import together
from fieldcoach.tools.bench.words import WordErrors
from fieldcoach.tools.errors import BenchError
from fieldcoach.tools.network import Relay, Way, schedule_of
from fieldcoach.tools.network.conditions import DOWN
from fieldcoach.tools.phone.plan import VisitPlan
from fieldcoach.tools.phone.profile import LADDER

SECOND = 16_000
SID = "a" * 26


def voice(seconds: float) -> bytes:
    """A buzz with a changing pitch, which Opus' own voice detection takes for speech."""
    t = np.arange(round(seconds * SECOND)) / SECOND
    pitch = 140 + 30 * np.sin(2 * np.pi * 2 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / SECOND
    sound = sum(np.sin(k * phase) / k for k in range(1, 12))
    envelope = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)
    return bytes((4_000 * envelope * sound).astype("<i2").tobytes())


def stretch(start_ms: int, length_ms: int, flags: Flag = Flag.OK, arrival: float = 0.0) -> Stretch:
    return Stretch(start_ms * 16, length_ms * 16, flags, arrival)


def test_only_voice_counts_as_sent() -> None:
    sent = sent_audio(voice(1.0) + bytes(4 * SECOND), LADDER["L1"])
    assert sent.samples_from(0.0) >= SECOND
    # the hang-over of a few packets, then at most the refreshes of DTX
    assert sent.samples_from(2.0) < 0.3 * 3 * SECOND
    assert sent.samples_from(0.5) < sent.samples_from(0.0)


def test_what_counts_as_delivered() -> None:
    timeline = [
        stretch(0, 1_000),
        stretch(1_000, 40, Flag.NACK),
        stretch(1_040, 40, Flag.FEC),
        stretch(1_080, 40, Flag.RED),
        stretch(1_120, 40, Flag.PLC),
        stretch(1_160, 40, Flag.GAP),
        stretch(1_200, 40, Flag.DTX),
        stretch(1_240, 40, Flag.BACKFILL),
        stretch(1_000, 40, Flag.NACK),  # the same again, after a change of worker
    ]
    assert ours_delivered(timeline, from_second=1.0) == 120 * 16
    assert ours_delivered([], 0.0) == 0
    assert flags_ms(timeline) == {
        "backfill": 40,
        "dtx": 40,
        "fec": 40,
        "gap": 40,
        "nack": 40,
        "ok": 1_000,
        "plc": 40,
        "red": 40,
    }


def test_stock_is_counted_on_the_senders_timeline() -> None:
    voiced = np.zeros(3 * SECOND, dtype=np.bool_)
    voiced[: 2 * SECOND] = True
    sent = SentAudio(voiced, ())
    given_out = [(0, SECOND), (SECOND, 640), (2 * SECOND, SECOND)]
    assert stock_delivered(sent, given_out, 0.0) == SECOND + 640
    assert stock_delivered(sent, given_out, 1.0) == 640


def test_delay_is_counted_from_the_last_sample_to_the_first_coming() -> None:
    timeline = [
        stretch(1_000, 40, arrival=101.04 + 0.095),
        stretch(1_000, 40, arrival=104.0),
        stretch(1_040, 40, Flag.PLC, arrival=109.0),
        stretch(0, 40, arrival=109.0),
    ]
    assert delays_ms(timeline, 100.0, 0.075, from_second=1.0) == [pytest.approx(20.0)]
    assert delays_ms(reversed(timeline), 100.0, 0.075, from_second=1.0) == [pytest.approx(20.0)]


def test_kbps_on_the_wire() -> None:
    # 40 ms packets of 80 B: 16 kbps of payload and 10 of headers
    sent = SentAudio(np.zeros(1, dtype=np.bool_), tuple((n * 0.04, 80) for n in range(25)))
    assert wire_kbps(sent, 1.0) == pytest.approx(26.0)
    assert wire_kbps(sent, 2.0) == pytest.approx(13.0)
    line = GoldLine(0.2, 0.6, "rep", "x")
    assert speaking_kbps(sent, [line], LADDER["L1"]) == pytest.approx(26.0)
    assert speaking_kbps(sent, [], LADDER["L1"]) == 0.0


async def test_the_tap_hears_every_session(nats_server: NatsServer) -> None:
    bus = Bus(nats_server.url, "local", "test")
    await bus.connect()
    async with AudioTap(nats_server.url) as tap:
        before = time.monotonic()
        chunk = pack_chunk(SID, 1, 0, 640, 640, int(Flag.NACK), bytes(1_280))
        async with asyncio.timeout(10):
            while not tap.of(SID):  # the server may take the first one before it knows of the tap
                await bus.publish(bus.subjects.audio("b" * 26, SID), chunk)
                await asyncio.sleep(0.02)
        heard = tap.of(SID)[0]
        assert (heard.start, heard.n_samples, heard.flags) == (640, 640, Flag.NACK)
        assert before <= heard.arrival <= time.monotonic()
        assert tap.of("c" * 26) == []
    await bus.drain()


async def test_stock_gives_out_what_it_gets_on_the_senders_timeline() -> None:
    pcm = bytes(SECOND) + voice(1.0) + bytes(SECOND)
    async with Relay(schedule_of("perfect")) as relay:
        reception = await receive_stock(pcm, LADDER["L1"], relay)
    sent = sent_audio(pcm, LADDER["L1"])
    assert stock_delivered(sent, reception.given_out, 0.0) == sent.samples_from(0.0)
    assert len(reception.pcm) == len(pcm)
    heard = np.frombuffer(bytes(reception.pcm), dtype="<i2").astype(float)
    said = np.frombuffer(pcm, dtype="<i2").astype(float)
    # Opus looks 6.5 ms ahead, the resampler 1 ms: the same sound within 20 ms of its place
    lags = [float(np.dot(heard[lag:], said[: len(said) - lag])) for lag in range(320)]
    assert max(lags) > 0.8 * np.linalg.norm(heard) * np.linalg.norm(said)


async def test_stock_without_a_connection_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_module, "CONNECT_LIMIT_S", 0.3)
    async with Relay(schedule_of("l50b9")) as relay:
        relay.link._directions[Way.UP].change(DOWN)
        with pytest.raises(BenchError, match="no media connection"):
            await receive_stock(voice(0.1), LADDER["L1"], relay)
    # aiortc leaves its connecting task to find out by itself
    await until(lambda: not any("__connect" in repr(task) for task in asyncio.all_tasks()))


def cell(network: str, delivered: float) -> Cell:
    gold = GoldVisit("v", "en", (GoldLine(0.0, 1.0, "rep", "x"),), Path(), Path(), 2.0, True)
    pcm = voice(2.0)
    found = Cell(gold, network, 1, pcm, sent_audio(pcm, LADDER["L1"]))
    found.asr = {"engine": "whisper", "model": "outlet-en"}
    found.ours = {"delivered": delivered, "lost": 5, "packets": 50, "late_ms": 1.0, "late_send_ms": 120.0}
    found.stock = {} if network == CLEAN else {"delivered": delivered / 2}
    found.ours_words, found.stock_words = WordErrors(1, 0, 0, 10), WordErrors(5, 0, 0, 10)
    found.delays_ms = [10.0, 20.0]
    return found


def figures() -> dict[str, Any]:
    about = {"cores": 2, "cpu": "x", "load_1min": 0.0}
    lossy = [cell(name, 0.9) for name in LOSSES] + [cell(LOSSES[0], 0.8)]
    return bench._figures(lossy, [cell(CLEAN, 1.0)], about, quick=False)


def test_every_figure_has_its_name() -> None:
    found = figures()
    assert set(found["delivered"]["stock"]) == set(LOSSES)
    assert set(LOSSES) == {
        f"{loss}{burst}" for loss in ("l01", "l05", "l10", "l20") for burst in ("b1", "b3")
    }
    assert set(found["delivered"]["ours"]) == {*LOSSES, CLEAN}
    assert found["delivered"]["ours"]["l01b1"] == pytest.approx(0.85)
    assert found["delivered"]["stock"]["l20b3"] == pytest.approx(0.45)
    assert (found["wer"]["ours"]["l05b1"], found["wer"]["stock"]["l05b1"]) == (0.1, 0.5)
    assert found["lost"]["l01b1"] == 0.1
    assert found["delay_ms"] == {"p50": 15.0, "p95": 19.5}
    wire = found["wire_kbps"]
    assert list(wire) == ["L0", "L1", "L2", "L3", "L4"]
    assert sorted(wire.values(), reverse=True) == list(wire.values())
    assert 8 < wire["L4"] < 12
    assert len(found["cells"]) == 10
    assert found["worst_late_ms"] == 120.0
    assert found["spread"]["ours"]["l01b1"] == [0.8, 0.9]
    assert (found["packets"]["l01b1"], found["packets_lost"]["l01b1"]) == (100, 10)


def test_the_table_has_a_row_for_each_network() -> None:
    out = io.StringIO()
    print_figures(Console(file=out, width=110), figures())
    rows = [line for line in out.getvalue().splitlines() if line.startswith("│")]
    assert len(rows) == 9
    assert [text.strip() for text in rows[-1].strip("│").split("│")] == [
        "20 %, 3",
        "10.0 %",
        "5",
        "90.00 %",
        "90.00 %",
        "45.00 %",
        "10.0 %",
        "50.0 %",
    ]
    assert "p50 15 ms" in out.getvalue()
    assert "120 ms too late" in out.getvalue()


def test_quick_takes_one_visit_and_one_loss_level(request: pytest.FixtureRequest) -> None:
    root = request.config.rootpath
    (gold,) = bench._chosen(root, True, None)
    lossy, clean = bench._cells([gold.until(10.0)], ("l20b3",))
    assert [c.network for c in lossy] == ["l20b3"]
    assert [c.network for c in clean] == [CLEAN]
    assert len(bench._chosen(root, False, root / "visits")) == len(VISITS)


async def test_a_full_stack_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[VisitPlan] = []

    class Noted:
        def __init__(self, plan: VisitPlan, _: object) -> None:
            plans.append(plan)

        async def run(self) -> str:
            return "done"

    class Running:
        gateway_url = "http://x"

        def user_token(self) -> str:
            return "t"

    monkeypatch.setattr(bench, "Visit", Noted)
    stack: Any = Running()
    assert await bench._visit(stack, b"", LADDER["L1"]) == "done"  # type: ignore[comparison-overlap]
    assert [plan.busy_patience_s for plan in plans] == [bench.BUSY_PATIENCE_S]


async def test_the_first_failure_ends_the_rest() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def fails() -> None:
        raise BenchError("no")

    with pytest.raises(BenchError, match="no"):
        await together(waits(), fails())
    assert ended == ["waits"]
