"""What benchmarks can be told."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """Every benchmark takes the first four; the others say which one they are for."""

    root: Path
    quick: bool = False
    as_json: bool = False
    visits: Path | None = None
    minutes: float | None = None
    """asr: of paced replay at each number of sessions."""
    sessions: tuple[int, ...] = ()
    """asr: the numbers to try, rising."""
    noise: Path | None = None
    """asr: recordings in which nobody speaks."""
    speech: Path | None = None
    """asr: recordings of one turn each, for voice detection and endpoints."""
