"""What one session says: recordings one after the other, and what is said in them when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE

from ...errors import BenchError
from ...phone.audio_file import read_pcm
from ..gold import GoldLine, GoldVisit

BETWEEN_S: Final = 1.5
"""Silence between two recordings, and after the last: more than ends an utterance."""
SOUNDS: Final = (".flac", ".wav", ".ogg", ".mp3", ".m4a")


@dataclass(frozen=True, slots=True)
class Recording:
    """Its samples (16 kHz mono s16), its lines, its length in seconds."""

    name: str
    pcm: bytes
    lines: tuple[GoldLine, ...]
    language: str = "en"

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.pcm) / (2 * SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class Programme:
    """One session's sound, and its lines on the session's clock."""

    pcm: bytes
    lines: tuple[GoldLine, ...]
    language: str = "en"

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.pcm) / (2 * SAMPLE_RATE)

    @property
    def speech_s(self) -> float:
        """Of it is speech."""
        return sum(line.end - line.start for line in self.lines)


def recorded(visit: GoldVisit) -> Recording:
    """A visit with its sound."""
    return Recording(visit.id, read_pcm(visit.audio), visit.lines, visit.language)


def sounds_in(folder: Path, option: str) -> list[Path]:
    """All recordings in a folder and those below it, by name.

    Raises:
        BenchError: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUNDS)
    if not found:
        raise BenchError(f"{option} {folder}: no recording in it ({', '.join(SOUNDS)})")
    return found


def programme(recordings: Sequence[Recording], limit_s: float, first: int = 0) -> Programme:
    """Recordings in rotation from number `first` on, up to the last line that ends within `limit_s`."""
    pcm = bytearray()
    lines: list[GoldLine] = []
    silence = bytes(2 * round(SAMPLE_RATE * BETWEEN_S))
    for turn in range(first, first + 10_000):
        recording = recordings[turn % len(recordings)]
        at = len(pcm) / (2 * SAMPLE_RATE)
        fitting = [line for line in recording.lines if at + line.end + BETWEEN_S <= limit_s]
        lines += [replace(line, start=at + line.start, end=at + line.end) for line in fitting]
        if len(fitting) < len(recording.lines):
            end = lines[-1].end if lines else limit_s
            del pcm[2 * round(SAMPLE_RATE * end) :]
            pcm += recording.pcm[: max(0, 2 * round(SAMPLE_RATE * end) - len(pcm))]
            break
        pcm += recording.pcm + silence
    pcm += silence
    return Programme(bytes(pcm), tuple(lines), recordings[first % len(recordings)].language)


def one_after_the_other(recordings: Sequence[Recording]) -> Programme:
    """Each once."""
    return programme(recordings, sum(one.seconds + BETWEEN_S for one in recordings) + BETWEEN_S)
