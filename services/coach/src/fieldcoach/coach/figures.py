"""Figures of the visit so far. What needs to know who spoke is None while that is unsure.

Times are seconds on the session's clock; shares are 0 to 1 of speech, silence does not count.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from .playbook import Metric

Speaker = Literal["rep", "other", "unknown"]

SURE: Final = 0.75
"""Attribution (the share of speech whose speaker is known) from which figures of speakers are told."""
WINDOW_S: Final = 120.0
MERGE_GAP_S: Final = 1.5
"""A pause shorter than this does not end a monologue."""
BACK_CHANNEL_WORDS: Final = 2
"""So few words of the other ("yes, okay") do not end a monologue either."""
PACE_SPEECH_S: Final = 20.0
"""Speech of one person whose pace is held against the pace of all that the person said before it."""
_ASKING: Final = (
    frozenset(("what", "which", "who", "when", "where", "why", "how", "may", "shall", "should", "would"))
    | frozenset(("can", "could", "will", "do", "does", "did", "is", "are", "have", "has"))
    | frozenset(("kya", "kaun", "kab", "kahan", "kyon", "kyun", "kaise", "kitna", "kitne", "kitni"))
)
"""First words of a question, English and Hindi; recognised speech often has no question mark."""


class Utterance(NamedTuple):
    """One stretch of speech by one speaker."""

    start_s: float
    end_s: float
    words: int
    speaker: Speaker

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(0.0, self.end_s - self.start_s)


@dataclass(slots=True)
class Figures:
    """Running totals of the words heard."""

    speech_s: float = 0.0
    words: int = 0
    questions: int = 0
    _utterances: list[Utterance] = field(default_factory=list)
    _seconds: dict[Speaker, float] = field(
        default_factory=lambda: dict.fromkeys(("rep", "other", "unknown"), 0.0)
    )

    def add(
        self, text: str, words: tuple[str, ...], start_s: float, end_s: float, speaker: Speaker = "unknown"
    ) -> None:
        """Count one utterance; it may lie before others."""
        utterance = Utterance(start_s, end_s, len(words), speaker)
        insort(self._utterances, utterance)
        self._seconds[speaker] += utterance.seconds
        self.speech_s += utterance.seconds
        self.words += len(words)
        marks = text.count("?")
        self.questions += marks or int(bool(words) and words[0] in _ASKING)

    @property
    def attribution(self) -> float:
        """The share of the speech whose speaker is known."""
        return 1 - self._seconds["unknown"] / self.speech_s if self.speech_s else 0.0

    @property
    def is_sure(self) -> bool:
        """Whether figures of speakers may be told."""
        return self.attribution >= SURE

    def value(self, metric: Metric) -> float | None:
        """The figure as far as speakers are known, however unsure; None where nobody is."""
        match metric:
            case "monologue_s":
                return self.monologue_s()
            case "talk_share":
                return self.talk_share(WINDOW_S)
            case "talk_share_visit":
                return self.talk_share()
            case "pace_ratio":
                return self.pace_ratio()
            case "questions":
                return float(self.questions)

    def talk_share(self, window_s: float | None = None) -> float | None:
        """The salesperson's share of the attributed speech, in the visit or its last seconds."""
        seconds = self._seconds if window_s is None else self._seconds_within(window_s)
        known = seconds["rep"] + seconds["other"]
        return seconds["rep"] / known if known else None

    def monologue_s(self) -> float | None:
        """Length of the salesperson's monologue that goes on now; 0 if somebody else speaks."""
        if self._seconds["rep"] == 0:
            return None
        runs = self._monologues(reversed(self._utterances))
        last = next(runs, None)
        return last if last is not None and self._goes_on() else 0.0

    def longest_monologue_s(self) -> float | None:
        """The salesperson's longest monologue, from its first to its last word."""
        return max(self._monologues(reversed(self._utterances)), default=None)

    def pace_ratio(self) -> float | None:
        """Words a minute of the salesperson's last 20 s of speech, over the pace of what was said before."""
        recent = before = 0.0
        recent_words = before_words = 0
        for utterance in reversed(self._utterances):
            if utterance.speaker != "rep":
                continue
            if recent < PACE_SPEECH_S:
                recent, recent_words = recent + utterance.seconds, recent_words + utterance.words
            else:
                before, before_words = before + utterance.seconds, before_words + utterance.words
        if before < PACE_SPEECH_S or not before_words:
            return None
        return (recent_words / recent) / (before_words / before)

    def pace_wpm(self) -> float | None:
        """Words a minute of the salesperson in the whole visit."""
        words = sum(u.words for u in self._utterances if u.speaker == "rep")
        return words / self._seconds["rep"] * 60 if self._seconds["rep"] else None

    def _seconds_within(self, window_s: float) -> dict[Speaker, float]:
        seconds: dict[Speaker, float] = dict.fromkeys(("rep", "other", "unknown"), 0.0)
        begin = self._utterances[-1].end_s - window_s if self._utterances else 0.0
        for utterance in reversed(self._utterances):
            if utterance.end_s <= begin:
                break
            seconds[utterance.speaker] += utterance.end_s - max(utterance.start_s, begin)
        return seconds

    def _goes_on(self) -> bool:
        last = next((u for u in reversed(self._utterances) if not _is_back_channel(u)), None)
        return last is not None and last.speaker == "rep"

    @staticmethod
    def _monologues(latest_first: Iterator[Utterance]) -> Iterator[float]:
        """Lengths of the salesperson's monologues, the last one first."""
        begin = end = None
        for utterance in latest_first:
            if _is_back_channel(utterance):
                continue
            is_rep = utterance.speaker == "rep"
            if begin is not None and end is not None:
                if is_rep and begin - utterance.end_s < MERGE_GAP_S:
                    begin = utterance.start_s
                    continue
                yield end - begin
            begin, end = (utterance.start_s, utterance.end_s) if is_rep else (None, None)
        if begin is not None and end is not None:
            yield end - begin


def _is_back_channel(utterance: Utterance) -> bool:
    return utterance.speaker != "rep" and utterance.words <= BACK_CHANNEL_WORDS
