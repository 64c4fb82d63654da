"""`fieldcoach bench engines`: what each engine hears, whole utterances, one decode each, by language."""

import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from ..gold import visits_in
from ..machine import machine
from ..measured_process import run_measured
from ..words import NO_ERRORS, WordErrors, word_errors, words_of
from .hard_sound import turns_in
from .programme import Recording, recorded

MODULE: Final = "fieldcoach.asr.bench.decode"
ENGINES: Final = ("whisper", "sphinx")
AROUND_S: Final = 0.2
"""Of sound before and after a line: a voice detector leaves that much on."""
QUICK_LINES: Final = 10


@dataclass(frozen=True, slots=True)
class SpokenSet:
    """Recordings of one kind and language."""

    name: str
    language: str
    recordings: tuple[Recording, ...]


async def bench_engines(
    root: Path, quick: bool, visits: Path | None, speech: Path | None, console: Console
) -> dict[str, Any]:
    """Decode all lines of the visits, and all turns of `speech`, with each engine.

    Raises:
        ToolError: a recording can't be read, or an engine can't run.
    """
    sets = _sets(root, quick, visits, speech)
    before = machine()
    rows = []
    with tempfile.TemporaryDirectory(prefix="fieldcoach-bench-") as folder:
        for one in sets:
            request = {"recordings": _written(one, Path(folder))}
            for engine in ENGINES:
                console.print(f"{engine}: {one.name}, {one.language}", highlight=False)
                found = await run_measured(
                    MODULE,
                    f"engine {engine}",
                    request,
                    ASR_ENGINE=engine,
                    ASR_THREADS="1",
                    ASR_MODELS_DIR=str(root / "models"),
                )
                rows.append(_row(one, found))
    figures = {"bench": "engines", "quick": quick, "machine": before, "rows": rows}
    _print(console, rows)
    return figures


def _sets(root: Path, quick: bool, visits: Path | None, speech: Path | None) -> list[SpokenSet]:
    spoken = [recorded(visit) for visit in visits_in(visits or root / "visits", 1 if quick else 100)]
    sets = [
        SpokenSet("visits", language, tuple(group))
        for language, group in groupby(
            sorted(spoken, key=lambda one: one.language), key=lambda one: one.language
        )
    ]
    turns = sorted(turns_in(speech) if speech else [], key=lambda one: one.language)
    for language, group in groupby(turns, key=lambda one: one.language):
        all_of_it = tuple(group)
        sets.append(SpokenSet("speech", language, all_of_it[:QUICK_LINES] if quick else all_of_it))
    return sets


def _written(one: SpokenSet, folder: Path) -> list[dict[str, Any]]:
    given = []
    for number, recording in enumerate(one.recordings):
        path = folder / f"{one.name}-{one.language}-{number}.pcm"
        path.write_bytes(recording.pcm)
        turns = [
            (max(0.0, line.start - AROUND_S), min(recording.seconds, line.end + AROUND_S))
            for line in recording.lines
        ]
        given.append({"path": str(path), "language": one.language, "turns": turns})
    return given


def _row(one: SpokenSet, found: dict[str, Any]) -> dict[str, Any]:
    words, characters = NO_ERRORS, NO_ERRORS
    for recording, texts in zip(one.recordings, found["texts"], strict=True):
        for line, text in zip(recording.lines, texts, strict=True):
            said, heard = words_of(line.text), words_of(text)
            words += word_errors(said, heard)
            characters += word_errors(list("".join(said)), list("".join(heard)))
    return {
        "engine": found["engine"],
        "model": found["model"],
        "set": one.name,
        "language": one.language,
        "utterances": sum(len(recording.lines) for recording in one.recordings),
        "audio_s": round(found["audio_s"], 1),
        "wer": _rate(words),
        "cer": _rate(characters),
        "cpu_per_audio_s": round(found["cpu_s"] / found["audio_s"], 4),
    }


def _rate(errors: WordErrors) -> float | None:
    return None if errors.rate is None else round(errors.rate, 4)


def _print(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(title="bench engines: whole utterances, one decode each", title_justify="left")
    for name in ("engine / model", "of", "language"):
        table.add_column(name)
    for name in ("utterances", "WER", "CER", "CPU per\naudio s"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            f"{row['engine']} / {row['model']}",
            row["set"],
            row["language"],
            str(row["utterances"]),
            *("-" if row[rate] is None else f"{100 * row[rate]:.1f} %" for rate in ("wer", "cer")),
            f"{row['cpu_per_audio_s']:.3f}",
        )
    console.print(table)
