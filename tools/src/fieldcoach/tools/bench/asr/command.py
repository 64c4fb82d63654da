"""`fieldcoach bench asr`: streams per core, and what they get; beside it LocalAgreement."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from ...errors import BenchError
from ...percentiles import summary_ms
from ...phone.audio_file import read_pcm
from ..gold import load_visit, visits_in
from ..machine import machine
from ..words import NO_ERRORS, WordErrors, word_errors, words_of
from .figures import StreamFigures, figures_of, together
from .hard_sound import mixed, spread, turns_in
from .peer import BEAM, PeerRecording, run_peer
from .programme import Programme, Recording, one_after_the_other, programme, recorded, sounds_in
from .sizes import run_sizes
from .streams import LightIngest, Stream
from .table import print_figures
from .workers import Workers

DEFAULT_SESSIONS: Final = (10, 20, 40, 60)
DEFAULT_MINUTES: Final = 10.0
QUICK_SESSIONS: Final = (10,)
QUICK_SECONDS: Final = 18.0
QUICK_VISIT: Final = "quick-order"
MODEL: Final = "outlet-en"
READY_S: Final = 60.0
LIMIT_MS: Final = 1_000.0
"""End of speech → final, p95: what counts as served."""
FREE_RUN: Final = 10.0
"""The worker takes whatever comes, so that the curve shows what happens beyond what it would admit."""
USUAL_TARGET: Final = 0.7
SPEECH_SESSIONS: Final = 10
NOISE_LEVELS_DB: Final = (20, 10, 5)


@dataclass(frozen=True, slots=True)
class AsrPlan:
    """What is asked for."""

    root: Path
    quick: bool = False
    visits: Path | None = None
    """Other recordings than those of the checkout."""
    minutes: float | None = None
    """Of paced replay at each number of sessions."""
    sessions: tuple[int, ...] = ()
    """The numbers to try, rising."""
    noise: Path | None = None
    """Recordings in which nobody speaks."""
    speech: Path | None = None
    """Recordings of one turn each, for voice detection and endpoints."""


@dataclass(frozen=True, slots=True)
class Run:
    """One number of sessions."""

    sessions: int
    figures: StreamFigures
    cpu_per_audio_s: float
    seconds: float
    worst_send_delay_ms: float

    @property
    def is_served(self) -> bool:
        """Every line has its final in time, and every chunk was acknowledged."""
        p95 = summary_ms(self.figures.eos_to_final_ms, 95)["p95"]
        is_whole = self.figures.lost_finals == 0 and self.figures.lost_chunks == 0
        return is_whole and p95 is not None and p95 <= LIMIT_MS


async def bench_asr(plan: AsrPlan, console: Console) -> dict[str, Any]:
    """Replay, measure, compare.

    Raises:
        ToolError: a recording can't be read, or the worker can't run.
    """
    before = machine()
    recordings = _recordings(plan)
    seconds = QUICK_SECONDS if plan.quick else 60 * DEFAULT_MINUTES
    if plan.minutes is not None:
        seconds = 60 * plan.minutes
    numbers = plan.sessions or (QUICK_SESSIONS if plan.quick else DEFAULT_SESSIONS)

    @lru_cache
    def session(first: int) -> Programme:
        return programme(recordings, seconds, first)

    runs: list[Run] = []
    quiet, turns = None, None
    async with Workers(plan.root, 1, ASR_LOAD_TARGET=str(FREE_RUN)) as workers:
        ingest = LightIngest(workers.nats_url, _region())
        await ingest.connect()
        try:
            await ingest.wait_for_workers(1, READY_S)
            beat = next(iter(ingest.workers.values()))
            for number in numbers:
                _say(console, f"{number} sessions, {seconds:.0f} s")
                sessions = [session(n % len(recordings)) for n in range(number)]
                runs.append(await _run(ingest, workers, sessions))
                _say(console, _in_a_line(runs[-1]))
            if plan.noise is not None:
                quiet = await _noise(ingest, plan.noise, console)
                if not plan.quick:
                    quiet["visits_wer"] = await _in_noise(ingest, recordings, plan.noise, console)
            if plan.speech is not None:
                turns = await _turns(ingest, plan.speech, console)
            slots = int(next(iter(ingest.workers.values())).slots * USUAL_TARGET / FREE_RUN)
        finally:
            await ingest.close()
    peer = await _peer(plan, [session(0)] if plan.quick else None, recordings, console)
    figures = _figures(plan, before, beat.engine, beat.model, runs, peer, quiet, turns)
    figures["admits"] = slots
    if not plan.quick:
        _say(console, "random weights of Whisper's sizes")
        figures["sizes"] = await run_sizes()
    print_figures(console, figures)
    return figures


def _region() -> str:
    from ...stack.plan import REGION

    return REGION


def _recordings(plan: AsrPlan) -> list[Recording]:
    if plan.visits is not None:
        visits = visits_in(plan.visits, 1 if plan.quick else 100)
    elif plan.quick:
        visits = [load_visit(plan.root / "visits" / f"{QUICK_VISIT}.json")]
    else:
        visits = visits_in(plan.root / "visits", 100)
    return [recorded(visit) for visit in visits]


async def _run(ingest: LightIngest, workers: Workers, sessions: Sequence[Programme]) -> Run:
    ingest.worst_send_delay_s = 0.0
    before = workers.cpu_s()
    streams = await ingest.play(sessions)
    cpu_s = workers.cpu_s() - before
    audio_s = sum(one.seconds for one in sessions)
    return Run(
        sessions=len(sessions),
        figures=together(figures_of(stream) for stream in streams),
        cpu_per_audio_s=cpu_s / audio_s,
        seconds=max(one.seconds for one in sessions),
        worst_send_delay_ms=1e3 * ingest.worst_send_delay_s,
    )


async def _noise(ingest: LightIngest, folder: Path, console: Console) -> dict[str, Any]:
    """Nobody speaks, so every word is an invented one."""
    sounds = [Programme(read_pcm(path), ()) for path in sounds_in(folder, "--noise")]
    minutes = sum(sound.seconds for sound in sounds) / 60
    _say(console, f"noise: {len(sounds)} recordings, {minutes:.1f} min")
    streams = await ingest.play(sounds)
    words = sum(len(words_of(final.text)) for stream in streams for _, final in stream.finals)
    return {
        "minutes": round(minutes, 2),
        "words": words,
        "inserted_words_per_min": round(words / minutes, 2),
        "finals": sum(len(stream.finals) for stream in streams),
    }


async def _turns(ingest: LightIngest, folder: Path, console: Console) -> dict[str, Any]:
    """Each recording is one turn: what is cut in it, and how soon its end is found.

    The words count where a manifest has them; a model of a few hundred words knows few of them.
    """
    recordings = turns_in(folder)
    programmes = spread(recordings, SPEECH_SESSIONS)
    _say(console, f"speech: {len(recordings)} turns, {max(one.seconds for one in programmes):.0f} s")
    streams = await ingest.play(programmes)
    found = together(figures_of(stream) for stream in streams)
    return {
        "turns": len(recordings),
        "turn_cuts": found.turn_cuts,
        "turns_without_final": found.lost_finals,
        "eos_to_final_ms": summary_ms(found.eos_to_final_ms, 50, 95),
        "by_language": {
            language: _accuracy([one for one in streams if one.programme.language == language])
            for language in sorted({one.programme.language for one in streams})
        },
    }


def _accuracy(streams: list[Stream]) -> dict[str, Any]:
    found = together(figures_of(stream) for stream in streams)
    return {"wer": _rate(found.words), "cer": _rate(found.characters), "words": found.words.words}


async def _in_noise(
    ingest: LightIngest, recordings: list[Recording], folder: Path, console: Console
) -> dict[str, Any]:
    """The visits with noise under them, all levels at once."""
    noises = [read_pcm(path) for path in sounds_in(folder, "--noise")]
    levels = {
        level: [
            one_after_the_other([mixed(one, noises[n % len(noises)], level)])
            for n, one in enumerate(recordings)
        ]
        for level in NOISE_LEVELS_DB
    }
    _say(console, f"visits in noise at {', '.join(f'{level} dB' for level in levels)}")
    streams = await ingest.play([one for programmes in levels.values() for one in programmes])
    size = len(recordings)
    return {
        str(level): _accuracy(streams[n * size : (n + 1) * size]) | {"snr_db": level}
        for n, level in enumerate(levels)
    }


async def _peer(
    plan: AsrPlan, programmes: list[Programme] | None, recordings: list[Recording], console: Console
) -> dict[str, Any]:
    """The same sound and the same model through LocalAgreement."""
    each = programmes or [one_after_the_other([recording]) for recording in recordings]
    _say(
        console, f"peer: LocalAgreement over 30 s windows, {sum(one.seconds for one in each):.0f} s of sound"
    )
    model = plan.root / "models" / MODEL
    if not model.is_dir():
        raise BenchError(f"no model in {model}; the peer needs the embedded one")
    with tempfile.TemporaryDirectory(prefix="fieldcoach-bench-") as folder:
        given = []
        for n, one in enumerate(each):
            path = Path(folder) / f"{n}.pcm"
            path.write_bytes(one.pcm)
            given.append(PeerRecording(path, [(line.start, line.end) for line in one.lines]))
        found = await run_peer(model, given)
    words, characters = NO_ERRORS, NO_ERRORS
    for one, text in zip(each, found["texts"], strict=True):
        said, heard = words_of(" ".join(line.text for line in one.lines)), words_of(text)
        words += word_errors(said, heard)
        characters += word_errors(list("".join(said)), list("".join(heard)))
    return {
        "algorithm": f"LocalAgreement-2 over 30 s windows (own implementation), beam {BEAM}, turns given",
        "wer": _rate(words),
        "cer": _rate(characters),
        "cpu_per_audio_s": round(found["cpu_s"] / found["audio_s"], 4),
        "audio_s": round(found["audio_s"], 1),
    }


def _figures(
    plan: AsrPlan,
    before: dict[str, object],
    engine: str,
    model: str,
    runs: list[Run],
    peer: dict[str, Any],
    quiet: dict[str, Any] | None,
    turns: dict[str, Any] | None,
) -> dict[str, Any]:
    first = runs[0]
    served = 0
    best = first
    for run in runs:
        if not run.is_served:
            break
        served, best = run.sessions, run
    return {
        "bench": "asr",
        "quick": plan.quick,
        "engine": engine,
        "model": model,
        "machine": before,
        "seconds": round(first.seconds, 1),
        "streams_per_core": served,
        "cpu_ratio": round(peer["cpu_per_audio_s"] / first.cpu_per_audio_s, 1),
        "wer": {"ours": _rate(first.figures.words), "peer": peer["wer"]},
        "cer": {"ours": _rate(first.figures.characters), "peer": peer["cer"]},
        "eos_to_final_ms": summary_ms(best.figures.eos_to_final_ms, 50, 95),
        "first_partial_ms": summary_ms(best.figures.first_partial_ms, 50),
        "prefix_violations": sum(run.figures.prefix_violations for run in runs),
        "partial_change": _rounded(first.figures.partial_change),
        "inserted_words_per_min": quiet["inserted_words_per_min"] if quiet else None,
        "turn_cuts": {
            "visits": first.figures.turn_cuts,
            "speech": turns["turn_cuts"] if turns else None,
        },
        "curve": [_point(run) for run in runs],
        "peer": peer,
        "noise": quiet,
        "speech": turns,
    }


def _in_a_line(run: Run) -> str:
    """Told at once: a run of ten minutes is not to be lost with what comes after it."""
    latency = summary_ms(run.figures.eos_to_final_ms, 50, 95)
    return (
        f"  end of speech → final p50 {latency['p50']}, p95 {latency['p95']} ms; "
        f"{run.cpu_per_audio_s:.4f} CPU s a second of sound; "
        f"{run.figures.lost_finals} finals and {run.figures.lost_chunks} chunks lost"
    )


def _point(run: Run) -> dict[str, Any]:
    figures = run.figures
    return {
        "sessions": run.sessions,
        "is_served": run.is_served,
        "eos_to_final_ms": summary_ms(figures.eos_to_final_ms, 50, 95),
        "first_partial_ms": summary_ms(figures.first_partial_ms, 50),
        "cpu_per_audio_s": round(run.cpu_per_audio_s, 4),
        "wer": _rate(figures.words),
        "lost_finals": figures.lost_finals,
        "lost_chunks": figures.lost_chunks,
        "late_finals": figures.late_finals,
        "turn_cuts": figures.turn_cuts,
        "prefix_violations": figures.prefix_violations,
        "partial_change": _rounded(figures.partial_change),
        "partial_words": figures.partial_words,
        "worst_send_delay_ms": round(run.worst_send_delay_ms, 1),
    }


def _rate(errors: WordErrors) -> float | None:
    return _rounded(errors.rate)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
