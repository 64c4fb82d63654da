"""Test doubles of the asr worker: audio whose loudness is its probability of speech, a scripted engine,
and a bench that feeds chunks and runs decodes in virtual time."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from fieldcoach.asr.actions import Action, Withdraw
from fieldcoach.asr.endpoint import EndpointRules
from fieldcoach.asr.engines.base import Engine, Hypothesis, Segment, decode_or_none
from fieldcoach.asr.errors import DecodeFailed
from fieldcoach.asr.jobs import Decoded, Job, Kind
from fieldcoach.asr.recogniser import Rules, SessionRecogniser
from fieldcoach.asr.scheduler import Scheduler
from fieldcoach.asr.utterance import FinalText, PartialText
from fieldcoach.asr.voice import FRAME, VoiceDetector
from fieldcoach.common.audio import CHUNK_SAMPLES, Flag, PcmChunk

SESSION = "s" * 26
MS = 16
ROOT = Path(__file__).resolve().parents[3]
RULES = Rules(
    EndpointRules(speculate=224 * MS, commit=448 * MS, longest=15_000 * MS),
    pre_roll=300 * MS,
    tail=224 * MS,
    promote_tail=96 * MS,
    first_partial=500 * MS,
)
Samples = npt.NDArray[np.int16]


class LoudnessDetector:
    """Fake: the loudest sample of a frame, as a share of half scale, is its probability of speech."""

    def __init__(self) -> None:
        self.resets = 0

    def __call__(self, pcm: npt.NDArray[np.float32]) -> list[float]:
        return [min(1.0, 2 * float(np.max(np.abs(frame)))) for frame in pcm.reshape(-1, FRAME)]

    def reset(self) -> None:
        self.resets += 1


@dataclass
class ScriptedEngine:
    """Fake: says one word per 200 ms of speech after its first sample; `script` overrides by call."""

    name: str = "scripted"
    model: str = "none"
    languages: tuple[str, ...] = ("en",)
    takes_hot_words: bool = True
    is_remote: bool = False
    can_retry: bool = True
    script: dict[int, Hypothesis | None] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def decode_many(self, segments: Sequence[Segment]) -> list[Hypothesis | None]:
        return [decode_or_none(self, segment) for segment in segments]

    def decode(self, segment: Segment) -> Hypothesis:
        self.segments.append(segment)
        number = len(self.segments) - 1
        if number in self.script:
            scripted = self.script[number]
            if scripted is None:
                raise DecodeFailed("scripted")
            return scripted
        voiced = int(np.count_nonzero(np.abs(segment.pcm) > 0.1))
        text = " ".join(f"w{n}" for n in range(voiced // 3_200))
        return Hypothesis(text, tokens=tuple(range(len(text.split()))), confidence=0.9, avg_logprob=-0.1)


def speech(seconds: float) -> Samples:
    return np.full(round(seconds * 16_000), 16_000, np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * 16_000), np.int16)


def join(*parts: Samples) -> Samples:
    return np.concatenate(parts)


def chunks_of(
    pcm: Samples, *, first_seq: int = 0, first_sample: int = 0, flags: Flag = Flag.OK, epoch: int = 1
) -> list[PcmChunk]:
    """Chunks of 60 ms; the last may be shorter."""
    parts = [(at, pcm[at : at + CHUNK_SAMPLES]) for at in range(0, len(pcm), CHUNK_SAMPLES)]
    return [
        PcmChunk(SESSION, epoch, first_seq + n, first_sample + at, len(part), flags, part.tobytes())
        for n, (at, part) in enumerate(parts)
    ]


class Bench:
    """Feeds a recogniser in virtual time: a chunk arrives when its last sample has been spoken."""

    def __init__(
        self,
        engine: Engine,
        detector: VoiceDetector | None = None,
        *,
        rules: Rules = RULES,
        cost_s: float = 0.02,
        languages: tuple[str, ...] = ("en",),
    ) -> None:
        self.engine = engine
        self.cost_s = cost_s
        self.recogniser = SessionRecogniser(
            SESSION, languages, rules, detector or LoudnessDetector(), can_retry=engine.can_retry
        )
        self.scheduler = Scheduler()
        self.now = 0.0
        self.running: list[tuple[float, Job, Decoded]] = []
        self.actions: list[tuple[float, Action]] = []
        self.jobs: list[Job] = []
        self._seq = 0
        self._sample = 0

    def hear(self, *parts: Samples) -> None:
        """Speak: the samples follow what came before."""
        for chunk in chunks_of(join(*parts), first_seq=self._seq, first_sample=self._sample):
            self.push(chunk)

    def push(self, chunk: PcmChunk) -> None:
        self._seq, self._sample = chunk.seq + 1, chunk.end_sample
        self.run_until(max(self.now, chunk.end_sample / 16_000))
        self._do(self.recogniser.push(chunk, self.now))

    def end(self) -> None:
        self.push(PcmChunk(SESSION, 1, self._seq, self._sample, 0, Flag.END, b""))
        self.run_until(self.now + 60)

    def run_until(self, until: float) -> None:
        while self.running and self.running[0][0] <= until:
            self.now, job, decoded = self.running.pop(0)
            self._do(self.recogniser.end(job, decoded, self.now))
        self.now = until

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self.actions.append((self.now, action))
            if isinstance(action, Job):
                self.scheduler.submit(action)
                self.jobs.append(action)
            elif isinstance(action, Withdraw):
                self.scheduler.withdraw(SESSION, action.kind)
        while not self.running and (job := self.scheduler.next(self.now)) is not None:
            segment = self.recogniser.begin(job)
            if segment is None:
                continue
            try:
                hypothesis = self.engine.decode(segment)
            except DecodeFailed:
                hypothesis = None
            done_at = self.now + self.cost_s
            self.running.append((done_at, job, Decoded(hypothesis, self.now, done_at)))

    def of(self, kind: type) -> list:  # type: ignore[type-arg] # the element type is `kind`
        return [action for _, action in self.actions if isinstance(action, kind)]

    @property
    def finals(self) -> list[FinalText]:
        return self.of(FinalText)

    @property
    def partials(self) -> list[PartialText]:
        return self.of(PartialText)

    def kinds(self) -> list[Kind]:
        return [job.kind for job in self.jobs]


def load_visit(name: str) -> tuple[Samples, list[dict[str, object]]]:
    """The samples and lines of a recorded visit."""
    with av.open(str(ROOT / "visits" / f"{name}.flac")) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    samples = np.concatenate(frames, axis=1)[0].astype(np.int16)
    lines = json.loads((ROOT / "visits" / f"{name}.json").read_text())["lines"]
    return samples, lines


def word_errors(reference: list[str], heard: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(heard) + 1))
    for n, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], n
        for m, other in enumerate(heard, 1):
            diagonal, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, diagonal + (word != other))
    return row[-1]
