"""`fieldcoach bench network`: what loss leaves of a visit on our receive path, and on stock aiortc's.

Many visits at once: each takes its real time, but little of a processor. First the ones without loss, by
which the delay is measured, a few at a time; then those with loss, the stock receivers in own processes.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import MediaFailed
from ..network import Relay, schedule_of
from ..network.profiles import BENCH_CLEAN_S, BENCH_DELAY_MS
from ..percentiles import summary_ms
from ..phone.audio_file import read_pcm
from ..phone.profile import LADDER, SendProfile
from ..phone.visit import TRAILING_SILENCE_S, Visit, VisitPlan, VisitResult
from ..project import DEFAULT_PLAYBOOK
from ..stack import Stack, StackOptions
from .audio_tap import AudioTap
from .delivered import (
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
from .diary import Diary
from .gold import GoldVisit, load_visit, visits_in
from .machine import machine, process_age_s
from .network_plot import save_loss_plot
from .network_table import print_figures
from .score import score_visit
from .stock import StockNotConnected, StockReception
from .stock_process import StockRun, receive_stock_apart, uplink_counts
from .together import together
from .visit import QUICK_LIMIT_S, QUICK_VISIT
from .words import NO_ERRORS, WordErrors

LOSSES = tuple(f"l{percent:02}b{burst}" for percent in (1, 5, 10, 20) for burst in (1, 3))
QUICK_LOSSES = ("l20b3",)
"""The hardest one: of a few hundred packets, 1 % in bursts is nothing or a lot."""
CLEAN = "l00b1"
"""The same link without loss, for the delay that the receive path adds."""
PROFILE = LADDER["L1"]
"""Where a visit starts: 16 kbps in packets of 40 ms, the same for both receivers and the whole run."""
REPLAY_PROFILE = SendProfile("replay", 32_000, 60)
"""What stock aiortc left goes through the stack a second time, without loss, above the ladder's best bitrate;
in long packets, of which each costs this machine the same."""
VISITS = (
    *("biscuits-no-space", "soap-margin", "quick-order", "enough-stock", "expired-stock", "long-talker"),
)
"""Every English recording, 5 minutes of sound: at 1 % in bursts of 3 that is still some 15 bursts a cell."""
SEED = 1
"""Of the first visit; each has its own, the same for both receivers, so no single one decides."""
AT_ONCE = 10
"""Visits in parallel with loss. A phone costs 5 % of a core, and all of ours share this process; with these
the table is done in a quarter of an hour."""
CLEAN_AT_ONCE = 3
"""Without loss, where the delay is measured: the phones, the network and the stack share this machine."""
CONNECT_TRIES = 3
"""A machine that is busy for others may not answer a handshake in time. How often is told."""
BUSY_PATIENCE_S = 60.0
"""Every worker is full: another visit has to end first."""
QUICK_RESERVE_S = 13.0
"""The recording is played twice; besides, silence after it, two connections, a summary, the stack's stop."""

T = TypeVar("T")


class NotConnected(MediaFailed):
    """The phone's media connection did not come up; nothing of the visit was played."""


@dataclass(slots=True)
class Cell:
    """One visit through one network, by both receivers."""

    gold: GoldVisit
    network: str
    seed: int
    pcm: bytes = field(repr=False)
    sent: SentAudio = field(repr=False)
    ours: dict[str, Any] = field(default_factory=dict)
    stock: dict[str, Any] = field(default_factory=dict)
    ours_words: WordErrors = NO_ERRORS
    stock_words: WordErrors = NO_ERRORS
    delays_ms: list[float] = field(default_factory=list)
    asr: dict[str, Any] = field(default_factory=dict)
    result: VisitResult | None = field(default=None, repr=False)
    counts: dict[str, Any] = field(default_factory=dict)
    """What our visit's network did."""
    stock_run: StockRun | None = field(default=None, repr=False)
    replayed: VisitResult | None = field(default=None, repr=False)
    retries: int = 0
    """Connections that did not come up."""

    @property
    def voiced(self) -> int:
        """Samples that were sent since the link began to lose."""
        return self.sent.samples_from(BENCH_CLEAN_S)


async def bench_network(
    root: Path,
    quick: bool,
    folder: Path | None,
    console: Console,
    networks: tuple[str, ...] = (),
    at_once: int = AT_ONCE,
    plots: Path | None = None,
) -> dict[str, Any]:
    """Play every visit through every network, to our stack and to a stock receiver.

    `networks` are the loss levels, all by default; `at_once` is how many visits with loss go on together;
    `plots` is a folder for pictures.

    Raises:
        ToolError: a visit can't be read, or can't be played.
    """
    before = machine()
    begun = time.monotonic()
    golds = _chosen(root, quick, folder)
    networks = networks or (QUICK_LOSSES if quick else LOSSES)
    clean_at_once = len(golds) + 1 if quick else min(CLEAN_AT_ONCE, at_once)
    with tempfile.TemporaryDirectory(prefix="fieldcoach-bench-") as run_dir:
        options = StackOptions(root=root, run_dir=Path(run_dir))
        async with Stack(options) as stack, AudioTap(stack.nats_url) as tap:
            if quick:  # only now is it known how much time is left
                limit_s = (QUICK_LIMIT_S - QUICK_RESERVE_S - process_age_s()) / 2
                golds = [gold.until(limit_s) for gold in golds]
            cells, clean = _cells(golds, networks)
            console.print(
                f"{len(clean)} visits without loss, {clean_at_once} at a time;"
                f" {len(cells)} with loss, by two receivers, {at_once} at a time",
                highlight=False,
            )
            limit = asyncio.Semaphore(clean_at_once)
            unlossy = [_ours(cell, stack, tap, limit) for cell in clean]
            if not quick:
                await together(*unlossy)
                unlossy = []
            limit = asyncio.Semaphore(at_once)
            await together(
                *unlossy,
                *(_stock(cell, stack, limit) for cell in cells),
                *(_ours(cell, stack, tap, limit) for cell in cells),
            )
    for cell in (*cells, *clean):
        _score(cell, tap)
    figures = _figures(cells, clean, before, quick)
    figures |= {"at_once": at_once, "took_s": round(time.monotonic() - begun)}
    print_figures(console, figures)
    if plots is not None:
        for path in save_loss_plot(plots, figures):
            console.print(f"plot: {path}", highlight=False, soft_wrap=True)
    return figures


def _chosen(root: Path, quick: bool, folder: Path | None) -> list[GoldVisit]:
    if folder is not None:
        return visits_in(folder, 1 if quick else len(VISITS))
    names = (QUICK_VISIT,) if quick else VISITS
    return [load_visit(root / "visits" / f"{name}.json") for name in names]


def _cells(golds: list[GoldVisit], networks: tuple[str, ...]) -> tuple[list[Cell], list[Cell]]:
    lossy, clean = [], []
    for seed, gold in enumerate(golds, SEED):
        pcm = read_pcm(gold.audio)[: 2 * round(SAMPLE_RATE * gold.seconds)]
        # the visit's own end: Visit sends this silence too
        sent = sent_audio(pcm + bytes(2 * round(SAMPLE_RATE * TRAILING_SILENCE_S)), PROFILE)
        lossy += [Cell(gold, name, seed, pcm, sent) for name in networks]
        clean.append(Cell(gold, CLEAN, seed, pcm, sent))
    return lossy, clean


async def _ours(cell: Cell, stack: Stack, tap: AudioTap, limit: asyncio.Semaphore) -> None:
    async def once() -> VisitResult:
        async with Relay(schedule_of(cell.network), cell.seed) as relay:
            result = await _visit(stack, cell.pcm, PROFILE, relay)
            cell.counts = uplink_counts(relay)
            return result

    async with limit:
        cell.result = await _connected(cell, once)


def _score(cell: Cell, tap: AudioTap) -> None:
    """When all the visits are over: nobody's packets wait for the arithmetic."""
    assert cell.result is not None
    cell.asr = cell.result.asr
    cell.ours = _ours_report(cell, tap.of(cell.result.session), cell.result) | cell.counts
    if cell.stock_run is not None and cell.replayed is not None:
        replayed = cell.replayed
        cell.stock_words = score_visit(cell.gold, replayed.events, replayed.summary).words
        cell.stock = _stock_report(cell, cell.stock_run.reception) | cell.stock_run.counts


def _ours_report(cell: Cell, stretches: list[Stretch], result: VisitResult) -> dict[str, Any]:
    cell.ours_words = score_visit(cell.gold, result.events, result.summary).words
    cell.delays_ms = delays_ms(stretches, result.started_at, BENCH_DELAY_MS / 1e3, BENCH_CLEAN_S)
    delivered = ours_delivered(stretches, BENCH_CLEAN_S)
    return {
        "delivered_ms": delivered * 1_000 // SAMPLE_RATE,
        "delivered": delivered / cell.voiced,
        "flags_ms": flags_ms(stretches),
        "delay_ms": summary_ms(cell.delays_ms, 50, 95),
        "retransmitted": result.retransmitted,
        "late_send_ms": round(result.worst_send_delay_ms, 1),
        "wer": cell.ours_words.rate,
    }


async def _stock(cell: Cell, stack: Stack, limit: asyncio.Semaphore) -> None:
    async with limit:
        run = await _connected(cell, lambda: receive_stock_apart(cell.pcm, PROFILE, cell.network, cell.seed))
        cell.stock_run = run
    async with limit:
        sound = bytes(run.reception.pcm)
        cell.replayed = await _connected(cell, lambda: _visit(stack, sound, REPLAY_PROFILE))


def _stock_report(cell: Cell, reception: StockReception) -> dict[str, Any]:
    delivered = stock_delivered(cell.sent, reception.given_out, BENCH_CLEAN_S)
    return {
        "delivered_ms": delivered * 1_000 // SAMPLE_RATE,
        "delivered": delivered / cell.voiced,
        "wer": cell.stock_words.rate,
    }


async def _connected(cell: Cell, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again if no connection came up; a visit that broke off later is not hidden so."""
    for _ in range(CONNECT_TRIES - 1):
        try:
            return await attempt()
        except (NotConnected, StockNotConnected):
            cell.retries += 1
    return await attempt()


async def _visit(stack: Stack, pcm: bytes, profile: SendProfile, network: Relay | None = None) -> VisitResult:
    plan = VisitPlan(
        gateway=stack.gateway_url,
        token=stack.user_token(),
        pcm=pcm,
        playbook=DEFAULT_PLAYBOOK,
        profile=profile,
        network=network,
        busy_patience_s=BUSY_PATIENCE_S,
    )
    return await _played(plan)


async def _played(plan: VisitPlan) -> VisitResult:
    diary = Diary()
    try:
        return await Visit(plan, diary).run()
    except MediaFailed as failed:
        if diary.started_at is None:
            raise NotConnected(str(failed)) from failed
        raise


def _figures(cells: list[Cell], clean: list[Cell], before: dict[str, object], quick: bool) -> dict[str, Any]:
    by_network: dict[str, list[Cell]] = {}
    for cell in (*cells, *clean):
        by_network.setdefault(cell.network, []).append(cell)
    lossy = {name: found for name, found in by_network.items() if name != CLEAN}
    asr = clean[0].asr
    packets, lost = (
        {name: sum(cell.ours[count] for cell in found) for name, found in by_network.items()}
        for count in ("packets", "lost")
    )
    return {
        "bench": "network",
        "quick": quick,
        "engine": asr.get("engine"),
        "model": asr.get("model"),
        "machine": before,
        "seed": SEED,
        "profile": PROFILE.rung,
        "round_trip_ms": 2 * BENCH_DELAY_MS,
        "delivered": {
            "ours": _shares(by_network, lambda cell: cell.ours),
            "stock": _shares(lossy, lambda cell: cell.stock),
        },
        "wer": {
            "ours": _rates(by_network, lambda cell: cell.ours_words),
            "stock": _rates(lossy, lambda cell: cell.stock_words),
        },
        "spread": {
            "ours": _spread(by_network, lambda cell: cell.ours),
            "stock": _spread(lossy, lambda cell: cell.stock),
        },
        "worst_late_ms": max(_lateness(cell) for cell in (*cells, *clean)),
        "connect_retries": sum(cell.retries for cell in (*cells, *clean)),
        "delay_ms": summary_ms([ms for cell in clean for ms in cell.delays_ms], 50, 95),
        "packets": packets,
        "packets_lost": lost,
        "lost": {name: round(lost[name] / packets[name], 4) for name in packets},
        "wire_kbps": _wire(clean, is_speaking=True),
        "wire_kbps_visit": _wire(clean, is_speaking=False),
        "cells": [
            {"visit": cell.gold.id, "network": cell.network, "ours": cell.ours, "stock": cell.stock or None}
            for cell in (*clean, *cells)
        ],
    }


def _shares(by_network: dict[str, list[Cell]], report: Callable[[Cell], dict[str, Any]]) -> dict[str, float]:
    """Delivered over sent, all visits of a network together."""
    return {
        name: round(
            sum(report(cell)["delivered"] * cell.voiced for cell in found)
            / sum(cell.voiced for cell in found),
            5,
        )
        for name, found in by_network.items()
    }


def _lateness(cell: Cell) -> float:
    """Of phones and networks: a busy machine delays packets as no network was asked to."""
    ours, stock = cell.ours, cell.stock
    late: tuple[float, ...] = (ours["late_ms"], ours["late_send_ms"], stock.get("late_ms", 0.0))
    return max(late)


def _spread(
    by_network: dict[str, list[Cell]], report: Callable[[Cell], dict[str, Any]]
) -> dict[str, list[float]]:
    """The worst visit's share and the best one's."""
    shares = {name: [report(cell)["delivered"] for cell in found] for name, found in by_network.items()}
    return {name: [round(min(found), 5), round(max(found), 5)] for name, found in shares.items()}


def _rates(by_network: dict[str, list[Cell]], words: Callable[[Cell], WordErrors]) -> dict[str, float | None]:
    rates = {name: sum(map(words, found), NO_ERRORS).rate for name, found in by_network.items()}
    return {name: None if rate is None else round(rate, 4) for name, rate in rates.items()}


def _wire(clean: list[Cell], is_speaking: bool) -> dict[str, float]:
    """Mean of the visits at each rung: of the packets that the phone sends of them."""
    found: dict[str, float] = {}
    for rung, profile in LADDER.items():
        rates = []
        for cell in clean:
            sent = sent_audio(cell.pcm, profile)
            rates.append(
                speaking_kbps(sent, cell.gold.lines, profile)
                if is_speaking
                else wire_kbps(sent, len(cell.pcm) / 2 / SAMPLE_RATE)
            )
        found[rung] = round(sum(rates) / len(rates), 1)
    return found
