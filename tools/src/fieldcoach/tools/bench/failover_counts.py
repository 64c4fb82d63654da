"""What a fault cost, by the script that every session played. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.looped import LoopedScript
from fieldcoach.common.messages import EventMessage, FinalTranscript, Gap, SessionState, TranscriptComplete

CHUNK: Final = 960
NO_WORKER: Final = "no-asr"
EDGE: Final = SAMPLE_RATE
"""A word so near to the session's first or last sample may be too short to be heard as speech."""
NEAR: Final = SAMPLE_RATE // 4
"""A word so near to a stretch that was declared lost may be lost with it."""


@dataclass(slots=True)
class Reading:
    """What one session's reader got, each event once."""

    session: str
    finals: list[FinalTranscript] = field(default_factory=list)
    declared: list[tuple[int, int]] = field(default_factory=list)
    """Stretches that the ingest said are lost."""
    end_sample: int = 0
    is_complete: bool = False

    def add(self, event: EventMessage) -> None:
        """Take an event."""
        match event:
            case FinalTranscript():
                self.finals.append(event)
            case Gap(reason=reason) if reason == NO_WORKER:
                self.declared.append((event.first_sample, event.first_sample + event.n_samples))
            case SessionState(state="ended"):
                self.end_sample = event.sample
            case TranscriptComplete():
                self.is_complete = True
            case _:
                pass


@dataclass(frozen=True, slots=True)
class Cost:
    """Of all sessions together."""

    lines: int = 0
    """Of the script, that were spoken."""
    lost_chunks: int = 0
    """Of 60 ms: declared by the ingest, since they left its ring before a worker had them for good."""
    declared_lines: int = 0
    """With a word in such a stretch that nobody told."""
    lost_finals: int = 0
    """Lines with a word that was spoken, not declared lost, and never told."""
    double_finals: int = 0
    """Lines with a word that was told twice."""
    incomplete: int = 0
    """Sessions whose transcript was not said to be complete."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.lines + other.lines,
            self.lost_chunks + other.lost_chunks,
            self.declared_lines + other.declared_lines,
            self.lost_finals + other.lost_finals,
            self.double_finals + other.double_finals,
            self.incomplete + other.incomplete,
        )


def cost_of(script: LoopedScript, reading: Reading) -> Cost:
    """Compare what was told with what was spoken."""
    told = Counter(word for final in reading.finals for word in final.text.split())
    lines: set[str] = set()
    missing: set[str] = set()
    declared: set[str] = set()
    twice: set[str] = set()
    for word in script.words(reading.session, EDGE, max(EDGE, reading.end_sample - EDGE)):
        lines.add(word.line)
        if told[word.text] > 1:
            twice.add(word.line)
        elif not told[word.text]:
            is_declared = any(first - NEAR <= word.sample < end + NEAR for first, end in reading.declared)
            (declared if is_declared else missing).add(word.line)
    return Cost(
        lines=len(lines),
        lost_chunks=sum(-(-(end - first) // CHUNK) for first, end in reading.declared),
        declared_lines=len(declared),
        lost_finals=len(missing),
        double_finals=len(twice),
        incomplete=not reading.is_complete,
    )


Course = Sequence[tuple[float, str, int]]
"""(monotonic seconds, worker, epoch) of each chunk that went to another worker, or after a pause."""


def takeovers_ms(courses: Iterable[Course], lost_worker: str, at: float) -> list[float]:
    """From the fault to the first chunk to another worker, of each session that had the lost one."""
    found = []
    for course in courses:
        before = [worker for moment, worker, _ in course if moment <= at]
        after = [moment for moment, worker, _ in course if moment > at and worker != lost_worker]
        if before and before[-1] == lost_worker and after:
            found.append((after[0] - at) * 1e3)
    return found


def resumptions_ms(courses: Iterable[Course], at: float) -> list[float]:
    """From the server's return to the first chunk that went out again."""
    firsts = ([moment for moment, _, _ in course if moment > at] for course in courses)
    return [(after[0] - at) * 1e3 for after in firsts if after]
