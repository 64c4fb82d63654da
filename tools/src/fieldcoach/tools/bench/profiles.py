"""`fieldcoach bench network --profiles`: minutes of a visit through each network by name, all at once.

A phone that follows the ladder, a relay for each, one stack. What came of the speech is heard on the bus,
what the rungs were and what was understood by the phone.
"""

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import BenchError, VisitError
from ..network import Relay, Way, schedule_of
from ..network.conditions import IP_UDP_BYTES
from ..percentiles import summary_ms
from ..phone.profile import LADDER, START
from ..phone.visit import Visit, VisitPlan
from ..project import DEFAULT_PLAYBOOK
from ..stack import Stack, StackOptions
from .audio_tap import AudioTap
from .delivered import Samples, Stretch, delays_ms, voiced_on_all
from .diary import Diary
from .gold import GoldVisit, load_visit, visits_in
from .long_visit import long_visit
from .machine import machine
from .network import SEED, VISITS
from .profiles_plot import save_plots
from .profiles_table import print_profiles
from .score import Event, Received, score_visit
from .speech_share import (
    begun_late,
    first_sound_s,
    fitted,
    longest_hole_s,
    longest_missing_s,
    shares,
    shifted,
)
from .together import together
from .words import WordErrors

PROFILES = ("4g", "3g", "edge", "2g-good", "2g-bad", "warehouse-5", "warehouse-25", "warehouse-84")
MINUTES = 3.0
QUICK_SECONDS = 15.0
PATIENCE_S = 300.0
"""A phone whose user waits longer than any outage here: whether the session lives is the question."""
MINUTES_MAX = 60.0


class TimedRelay(Relay):
    """Knows when its schedule began."""

    started_at: float | None = None

    def start(self) -> None:
        """The schedule begins."""
        self.started_at = time.monotonic()
        super().start()

    @property
    def back_at(self) -> float | None:
        """When the network was there again after its outage; None if it has none."""
        phases = self.link.schedule.phases
        outages = [place for place, phase in enumerate(phases) if phase.uplink.is_down]
        if not outages or self.started_at is None:
            return None
        return self.started_at + sum(phase.seconds or 0.0 for phase in phases[: outages[-1] + 1])


@dataclass(slots=True)
class Run:
    """One visit through one profile, as it was."""

    name: str
    gold: GoldVisit
    pcm: bytes = field(repr=False)
    speech: Samples = field(repr=False)
    diary: Diary = field(default_factory=Diary)
    back_at: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """From the phone and its network."""

    async def play(self, stack: Stack) -> None:
        """Play it; a visit that broke off is reported, too. What costs time is left to `report`."""
        failure, extra = None, {}
        async with TimedRelay(schedule_of(self.name), SEED) as relay:
            plan = VisitPlan(
                gateway=stack.gateway_url,
                token=stack.user_token(),
                pcm=self.pcm,
                playbook=DEFAULT_PLAYBOOK,
                network=relay,
                patience_s=PATIENCE_S,
            )
            try:
                result = await Visit(plan, self.diary).run()
                extra = {
                    "media_reconnects": result.media_reconnects,
                    "events_reconnects": result.reconnects,
                    "ranges_sent_afterwards": result.filled_ranges,
                    "unsent_s": round(result.unsent_s, 1),
                }
            except VisitError as error:
                failure = str(error)
            self.back_at = relay.back_at
            self.facts = {"failure": failure, **extra, **_network_report(relay, self.gold.seconds)}

    def report(self, tap: AudioTap) -> dict[str, Any]:
        """The figures, when all the visits are over: nobody's packets wait for them."""
        session = self.diary.sessions[0] if self.diary.sessions else ""
        return {"profile": self.name, **self.facts, **_report(self, tap.of(session), tap.late_of(session))}


async def bench_profiles(
    root: Path,
    quick: bool,
    folder: Path | None,
    console: Console,
    profiles: tuple[str, ...],
    minutes: float,
    plots: Path | None,
) -> dict[str, Any]:
    """Play minutes of visits through each profile.

    Raises:
        ToolError: an unknown profile, a recording that can't be read, or not one visit that began.
    """
    before = machine()
    for name in profiles:
        schedule_of(name)
    seconds = QUICK_SECONDS if quick else 60 * minutes
    golds = (
        visits_in(folder, len(VISITS))
        if folder is not None
        else [load_visit(root / "visits" / f"{name}.json") for name in VISITS]
    )
    gold, pcm = long_visit(golds, seconds)
    speech = voiced_on_all(pcm, LADDER.values())
    with tempfile.TemporaryDirectory(prefix="fieldcoach-bench-") as run_dir:
        options = StackOptions(root=root, run_dir=Path(run_dir))
        async with Stack(options) as stack, AudioTap(stack.nats_url) as tap:
            told = f"{len(profiles)} networks at the same time, {seconds:.0f} s of visits through each"
            console.print(told, highlight=False)
            runs = [Run(name, gold, pcm, speech) for name in profiles]
            await together(*(run.play(stack) for run in runs))
    reports = [run.report(tap) for run in runs]
    if not any(run.diary.sessions for run in runs):
        raise BenchError(f"not one visit began; the first one's reason: {reports[0]['failure']}")
    asr = next(run.diary.asr for run in runs if run.diary.asr)
    figures = {
        "bench": "network",
        "part": "profiles",
        "quick": quick,
        "engine": asr.get("engine"),
        "model": asr.get("model"),
        "machine": before,
        "seed": SEED,
        "seconds": seconds,
        "profiles": {report["profile"]: report for report in reports},
    }
    print_profiles(console, figures)
    if plots is not None:
        for path in save_plots(plots, figures):
            console.print(f"plot: {path}", highlight=False, soft_wrap=True)
    return figures


def _report(run: Run, stretches: list[Stretch], late: list[Stretch]) -> dict[str, Any]:
    diary, gold, back_at = run.diary, run.gold, run.back_at
    lag = begun_late(run.speech, stretches)
    stretches, late = shifted(stretches, lag), shifted(late, lag)
    late = fitted(run.speech, stretches, late)
    started_at = diary.started_at
    if started_at is None:
        return {"sessions": len(diary.sessions), "speech": {}, "rungs": [], "suspended": []}
    events = [(t - started_at, event) for t, event in diary.events]
    in_time = [received for received in events if not received[1].get("backfill")]
    states = _changes(events, "state", "state", None)
    suspended = _suspended(states, gold.seconds)
    live, filled = (score_visit(gold, heard, {}).words for heard in (in_time, events))
    back_s = None if back_at is None else first_sound_s(stretches, back_at)
    rungs = _changes(events, "profile", "rung", START.rung)
    return {
        "sessions": len(set(diary.sessions)),
        "speech_s": round(float(run.speech.sum()) / SAMPLE_RATE, 1),
        "begun_late_s": round(lag / SAMPLE_RATE, 2),
        "speech": shares(run.speech, stretches, late),
        "longest_hole_s": round(longest_hole_s(stretches), 2),
        "longest_missing_s": round(longest_missing_s(run.speech, stretches, late), 2),
        "delay_ms": summary_ms(delays_ms(stretches, started_at, 0.0, 0.0), 50, 95),
        "wer_live": _rounded(live.rate),
        "wer": _rounded(filled.rate),
        "word_errors_live": _edits(live),
        "word_errors": _edits(filled),
        "rungs": rungs,
        "rung_changes_per_minute": round((len(rungs) - 1) / (gold.seconds / 60), 2),
        "states": states,
        "suspended": suspended,
        "suspended_s": [round(until - since, 1) for since, until in suspended],
        "back_at_s": None if back_at is None else round(back_at - started_at, 1),
        "back_to_sound_s": None if back_s is None else round(back_s, 2),
        "still_missing_ranges": _last_missing(event for _, event in events),
    }


def _changes(events: Iterable[Received], kind: str, name: str, first: str | None) -> list[tuple[float, str]]:
    """(seconds, value) whenever it is another one; commands are told again until they are acknowledged."""
    found = [] if first is None else [(0.0, first)]
    for t, event in events:
        if event.get("type") == kind and (not found or found[-1][1] != event[name]):
            found.append((round(max(0.0, t), 2), str(event[name])))
    return found


def _suspended(states: list[tuple[float, str]], end: float) -> list[tuple[float, float]]:
    """Each time from `suspended` to `live`, up to the visit's end."""
    found: list[tuple[float, float]] = []
    since: float | None = None
    for t, state in [*states, (end, "live")]:
        if state == "suspended" and since is None:
            since = t
        elif state in ("live", "ended") and since is not None:
            if since < end:
                found.append((since, min(t, end)))
            since = None
    return found


def _edits(words: WordErrors) -> dict[str, int]:
    return {
        "words": words.words,
        "substituted": words.substituted,
        "deleted": words.deleted,
        "inserted": words.inserted,
    }


def _last_missing(events: Iterable[Event]) -> int:
    listed = [event for event in events if event.get("type") == "missing"]
    return len(listed[-1]["ranges"]) if listed else 0


def _network_report(relay: TimedRelay, visit_s: float) -> dict[str, Any]:
    up = relay.link.counts(Way.UP)
    lived_s = 0.0 if relay.started_at is None else min(visit_s, time.monotonic() - relay.started_at)
    bits = 8 * (up.sent_bytes + IP_UDP_BYTES * up.sent)
    phases, at = [], 0.0
    for phase in relay.link.schedule.phases:
        phases.append((at, phase.name))
        at += phase.seconds or 0.0
    return {
        "phases": phases,
        "wire_kbps": round(bits / 1e3 / lived_s, 1) if lived_s else None,
        "packets": up.sent,
        "dropped": dict(up.dropped),
        "late_ms": round(relay.worst_late_ms, 1),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
