"""Sound that is harder than the visits: mixed with noise, or spoken by real people; with what is said."""

import csv
from pathlib import Path
from typing import Final

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from ...phone.audio_file import read_pcm
from ..gold import GoldLine
from .programme import Programme, Recording, one_after_the_other, sounds_in

MANIFEST: Final = "manifest.tsv"
"""Beside or above the recordings: `file`, `language`, `reference` (others are left alone), tab-separated."""


def mixed(recording: Recording, noise: bytes, snr_db: float) -> Recording:
    """With noise under it; the ratio is that of the power while somebody speaks to the noise's."""
    speech = np.frombuffer(recording.pcm, "<i2").astype(np.float64)
    sound = np.resize(np.frombuffer(noise, "<i2").astype(np.float64), len(speech))
    spoken = np.concatenate(
        [speech[round(line.start * SAMPLE_RATE) : round(line.end * SAMPLE_RATE)] for line in recording.lines]
    )
    wanted = np.mean(spoken**2) / 10 ** (snr_db / 10)
    louder = np.sqrt(wanted / max(1.0, float(np.mean(sound**2))))
    both = np.clip(np.rint(speech + louder * sound), -32_768, 32_767).astype("<i2")
    return Recording(f"{recording.name} {snr_db:.0f} dB", both.tobytes(), recording.lines, recording.language)


def turns_in(folder: Path) -> list[Recording]:
    """Each recording as one turn, with its text where a manifest has it; what it has without a text is none.

    Raises:
        BenchError: there is none.
    """
    known = _manifest(folder)
    turns = []
    for path in sounds_in(folder, "--speech"):
        language, text = known.get(path.name, ("en", ""))
        if path.name in known and not text:
            continue
        pcm = read_pcm(path)
        line = GoldLine(0.0, len(pcm) / (2 * SAMPLE_RATE), "", text)
        turns.append(Recording(path.stem, pcm, (line,), language))
    return turns


def _manifest(folder: Path) -> dict[str, tuple[str, str]]:
    for place in (folder / MANIFEST, folder.parent / MANIFEST):
        if place.is_file():
            with place.open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
                return {
                    Path(row.get("file") or "").name: (
                        row.get("language") or "en",
                        row.get("reference") or "",
                    )
                    for row in rows
                }
    return {}


def spread(turns: list[Recording], sessions: int) -> list[Programme]:
    """The turns as programmes of one language each, about so many in all."""
    programmes = []
    for language in sorted({turn.language for turn in turns}):
        own = [turn for turn in turns if turn.language == language]
        number = max(1, round(sessions * len(own) / len(turns)))
        programmes += [one_after_the_other(own[n::number]) for n in range(min(number, len(own)))]
    return programmes
