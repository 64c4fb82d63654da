"""One utterance from its first voiced frame to its final, and what is known of it so far."""

from dataclasses import dataclass, field, replace
from math import inf

from .agreement import LocalAgreement
from .binding import bind
from .doubts import Doubt, Span, doubts_of
from .engines.base import HeardWord, Hypothesis, Pcm
from .filters import LOW_LOGPROB, Verdict, judge
from .jobs import DEADLINE_S, Decoded, Job, Kind


@dataclass(frozen=True, slots=True)
class Ending:
    """What is fixed when the endpointer commits."""

    end_sample: int
    voiced: int
    concealed: int
    heard_at: float
    """Arrival of the last speech sample."""
    decided_at: float
    is_cut_off: bool = False
    """No pause ended it: the sound did, perhaps within a word."""
    concealed_spans: tuple[Span, ...] = ()
    """Stretches that nobody spoke: lost packets, gaps."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the final will say; `hypothesis` is None if the engine never answered."""

    hypothesis: Hypothesis | None
    verdict: Verdict
    started_at: float
    ended_at: float


@dataclass(slots=True)
class Utterance:
    """The state of one utterance; all positions on the session's clock."""

    number: int
    onset: int
    """Its first voiced sample."""
    decode_from: int
    """With the pre-roll."""
    first_seq: int
    """The chunk in which `decode_from` lies: what another worker would need."""
    heard_first_at: float
    """Arrival of the first voiced sample."""
    language: str = ""
    """In which it is decoded."""
    is_language_open: bool = False
    """More than one language is allowed, and it has not been decided which one this is."""
    has_asked_language: bool = False
    """An engine has been asked; one that does not tell leaves it at the session's."""
    follows_cut: bool = False
    """Its first words are also the last ones of the utterance before."""
    agreement: LocalAgreement = field(default_factory=LocalAgreement)

    partial_job: Job | None = None
    """Queued or running."""
    partial_reach: int | None = None
    """The sample at which the running partial ends; None while it waits in the queue."""
    heard: tuple[int, Decoded] | None = None
    """The newest finished partial, and the sample at which it ended."""

    pcm: Pcm | None = None
    """The whole utterance, once a pause has shown where it may end."""
    final_job: Job | None = None
    has_final_started: bool = False
    first_try: Decoded | None = None
    """What a retry has to beat."""
    outcome: Outcome | None = None
    """Valid until speech resumes."""
    decode_s: float = 0.0
    ending: Ending | None = None

    def resume(self) -> None:
        """Speech goes on: what was decoded as a final is none."""
        self.pcm = self.final_job = self.first_try = self.outcome = None
        self.has_final_started = False
        self.decode_s = 0.0


def outcome_of(tries: list[Decoded], voiced_s: float) -> Outcome:
    """Choose between a decode and its retry: one that passes the filters, else the likelier."""
    candidates = [
        (tried.hypothesis, judge(tried.hypothesis, voiced_s))
        for tried in tries
        if tried.hypothesis is not None
    ]
    started_at, ended_at = tries[0].started_at, tries[-1].ended_at
    if not candidates:
        return Outcome(None, Verdict.EMPTY, started_at, ended_at)
    passed = [candidate for candidate in candidates if not candidate[1].is_retry]
    hypothesis, verdict = max(passed or candidates, key=lambda candidate: candidate[0].avg_logprob)
    return Outcome(hypothesis, verdict, started_at, ended_at)


@dataclass(frozen=True, slots=True)
class PartialText:
    """The open utterance so far. `committed` only grows."""

    utterance: int
    first_sample: int
    end_sample: int
    committed: str
    tentative: str
    language: str


@dataclass(frozen=True, slots=True)
class FinalText:
    """One utterance, to be published. Times are monotonic seconds."""

    utterance: int
    first_sample: int
    end_sample: int
    text: str
    words: tuple[HeardWord, ...]
    """Their samples are on the session's clock."""
    confidence: float
    low_confidence: bool
    concealed: int
    doubts: tuple[Doubt, ...]
    """Where the text is not to be trusted."""
    language: str
    heard_first_at: float
    heard_at: float
    decided_at: float
    deadline: float
    decode_started_at: float
    decode_ended_at: float
    decode_s: float


def final_text(utterance: Utterance, outcome: Outcome, ending: Ending) -> FinalText | None:
    """The utterance as it is published; None if nothing was said in it.

    What has been committed is said, whatever the last decode or a filter makes of it.
    """
    committed = utterance.agreement.words
    hypothesis = outcome.hypothesis
    has_failed = hypothesis is None or outcome.verdict.is_drop
    if hypothesis is None or has_failed:
        if not committed:
            return None
        hypothesis = Hypothesis(utterance.agreement.committed, confidence=0.0, avg_logprob=-inf)
    hypothesis = bind(committed, hypothesis)
    if not hypothesis.text:
        return None
    words = tuple(
        replace(word, start=utterance.decode_from + word.start, end=utterance.decode_from + word.end)
        for word in hypothesis.words
    )
    doubts = doubts_of(utterance.onset, ending.end_sample, words, ending.concealed_spans, ending.is_cut_off)
    return FinalText(
        utterance=utterance.number,
        first_sample=utterance.onset,
        end_sample=ending.end_sample,
        text=hypothesis.text,
        words=words,
        confidence=hypothesis.confidence,
        low_confidence=has_failed
        or outcome.verdict.is_retry
        or ending.is_cut_off
        or hypothesis.avg_logprob < LOW_LOGPROB,
        concealed=ending.concealed,
        doubts=doubts,
        language=utterance.language,
        heard_first_at=utterance.heard_first_at,
        heard_at=ending.heard_at,
        decided_at=ending.decided_at,
        deadline=ending.heard_at + DEADLINE_S[Kind.FINAL],
        decode_started_at=outcome.started_at,
        decode_ended_at=outcome.ended_at,
        decode_s=utterance.decode_s,
    )
