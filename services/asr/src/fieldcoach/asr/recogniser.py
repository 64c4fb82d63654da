"""One session's recogniser: audio and decodes in, jobs and transcripts out. No I/O, no clock of its own.

The way of a chunk: `Ear` (samples, voice detection, turns), `Utterance` (jobs), and back
through `end` with what was decoded. Audio time rules everything, so a burst of late chunks gives the same
words as the same chunks on time.
"""

from collections import deque
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from fieldcoach.common.audio import CONCEALED, SAMPLE_RATE, Flag, PcmChunk

from .actions import Action, Complete, Dropped, Retried, Withdraw
from .agreement import without_overlap
from .context import Context
from .ear import Ear
from .endpoint import EndpointRules, Turn
from .engines.base import Hypothesis, Segment
from .filters import Verdict
from .jobs import DEADLINE_S, Decoded, Job, Kind
from .language import SHORTEST, LanguageChoice
from .utterance import Ending, PartialText, Utterance, final_text, outcome_of
from .voice import VoiceDetector

LONGEST_FILL: Final = SAMPLE_RATE
"""A hole is filled with at most 1 s of silence, which ends any utterance; the rest is skipped."""
CUT_SEARCH: Final = 2 * SAMPLE_RATE
CUT_WIDTH: Final = SAMPLE_RATE // 10
"""A forced cut falls in the quietest 100 ms of the last 2 s: between two words, if it can."""
CUT_OVERLAP: Final = SAMPLE_RATE // 5


@dataclass(frozen=True, slots=True)
class Rules:
    """Lengths in samples at 16 kHz."""

    endpoint: EndpointRules
    pre_roll: int
    """Audio before the first voiced frame that is decoded with it: detection lags the voice."""
    tail: int
    """Audio after the last voiced frame that is decoded with it."""
    promote_tail: int
    """A partial that reaches this far beyond the last voiced frame has heard the whole utterance."""
    first_partial: int
    """From the onset to the first partial."""


class SessionRecogniser:
    """The state of one session. Every method returns what is to be done now, in order."""

    def __init__(
        self,
        session: str,
        languages: tuple[str, ...],
        rules: Rules,
        detector: VoiceDetector,
        *,
        from_seq: int = 0,
        can_retry: bool = True,
        patience_s: float = 0.0,
        hot_words: tuple[str, ...] = (),
    ) -> None:
        self.session = session
        self._choice = LanguageChoice(languages[0], languages)
        self._context = Context(hot_words)
        self.partial_interval_s = 0.6
        """Audio between two partials; set by the load, `inf` stops them."""
        self._rules = rules
        self._can_retry = can_retry
        self._patience_s = patience_s
        """So much later than usual decodes are due: back-fill gives way to the living."""
        self._ear = Ear(rules.endpoint, rules.pre_roll, detector)
        self._endpointer = self._ear.endpointer
        self._next_seq = from_seq
        self._number = 0
        self._serial = 0
        self._open: Utterance | None = None
        self._ended: deque[Utterance] = deque()
        self._said_before = ""
        """The text of the utterance before, for the overlap of a forced cut."""
        self._finishing = False
        self._is_complete = False
        self._actions: list[Action] = []

    # ── what others ask ──────────────────────────────────────────────────────────────────────────────────

    @property
    def needed_seq(self) -> int:
        """The oldest chunk that another worker would need to say what is not yet said."""
        if self._is_complete:
            return self._next_seq
        waiting = self._ended[0] if self._ended else self._open
        if waiting is not None:
            return waiting.first_seq
        if not self._ear.has_begun:
            return self._next_seq
        seq = self._ear.timeline.seq_at(self._keep_from())
        return self._next_seq if seq is None else seq

    @property
    def is_pausing(self) -> bool:
        """Whether everything that was spoken has ended or is about to."""
        return self._open is None or self._open.pcm is not None

    @property
    def owes_finals(self) -> bool:
        """Whether an utterance has ended and is not yet said."""
        return bool(self._ended)

    @property
    def languages(self) -> tuple[str, ...]:
        """What the session may speak, the likeliest first."""
        current = self._choice.current
        return current, *(language for language in self._choice.allowed if language != current)

    @property
    def told_until(self) -> float:
        """Every word that began before this sample is out; infinite before and after all sound."""
        if self._is_complete or not self._ear.has_begun:
            return inf
        waiting = self._ended[0] if self._ended else self._open
        if waiting is not None:
            return waiting.decode_from
        earliest = self._endpointer.earliest_onset
        return self.head if earliest is None else earliest

    @property
    def head(self) -> int:
        """The sample after the newest that has come."""
        return self._ear.timeline.head if self._ear.has_begun else 0

    # ── audio ────────────────────────────────────────────────────────────────────────────────────────────

    def push(self, chunk: PcmChunk, now: float) -> list[Action]:
        """Take the next chunk in sequence, which arrived `now`."""
        if not self._ear.has_begun:
            self._ear.begin(chunk.sample_index)
        timeline = self._ear.timeline
        self._next_seq = chunk.seq + 1
        if chunk.flags & Flag.END:
            return self.finish(now)
        hole = chunk.sample_index - timeline.head
        if hole > 0:
            self._silence(hole, chunk.seq, now)
            timeline = self._ear.timeline
        known = timeline.head - chunk.sample_index
        if known < chunk.n_samples:
            if chunk.flags & Flag.GAP:
                self._silence(chunk.n_samples - known, chunk.seq, now)
            else:
                concealed = bool(chunk.flags & CONCEALED)
                timeline.append(chunk.pcm[2 * known :], chunk.seq, now, is_concealed=concealed)
                self._listen(now)
        return self._take_actions()

    def finish(self, now: float) -> list[Action]:
        """No more audio comes: end what is open, then say `Complete` after the last final."""
        self._finishing = True
        self._end_open(now, is_cut_off=not self.is_pausing)
        self._flush()
        return self._take_actions()

    def _silence(self, length: int, seq: int, now: float) -> None:
        timeline = self._ear.timeline
        until = timeline.head + length
        fill = min(length, LONGEST_FILL)
        timeline.append(bytes(2 * fill), seq, now, is_concealed=True)
        self._listen(now)
        if length > fill:
            self._end_open(now)
            self._ear.begin(until)

    def _listen(self, now: float) -> None:
        """Do what the turns in new sound ask for."""
        for turn in self._ear.turns():
            self._turn(turn, now)
        self._ask_partial(now)
        self._ear.timeline.forget(self._keep_from())

    def _keep_from(self) -> int:
        return self._ear.keep_from if self._open is None else self._open.decode_from

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self, turn: Turn, now: float) -> None:
        match turn:
            case Turn.START:
                onset = self._endpointer.onset
                self._begin(onset, self._ear.with_pre_roll(onset))
            case Turn.PAUSE:
                assert self._open is not None
                self._capture()
                self._ask_final(self._open, now)
            case Turn.RESUME:
                assert self._open is not None
                self._actions.append(Withdraw(Kind.SPECULATIVE))
                self._open.resume()
            case Turn.END:
                self._end_open(now)
            case Turn.TOO_LONG:
                self._cut(now)

    def _begin(self, onset: int, decode_from: int, *, follows_cut: bool = False) -> None:
        self._number += 1
        seq, arrived = self._ear.timeline.seq_at(decode_from), self._ear.timeline.arrival_of(onset)
        assert seq is not None
        assert arrived is not None
        self._context.begin(onset)
        self._open = Utterance(
            self._number,
            onset,
            decode_from,
            seq,
            arrived,
            language=self._choice.current,
            is_language_open=self._choice.is_open,
            follows_cut=follows_cut,
        )

    def _capture(self) -> None:
        """Keep the audio of the open utterance as it would be final now."""
        utterance, timeline = self._open, self._ear.timeline
        assert utterance is not None
        utterance.pcm = timeline.read(utterance.decode_from, self._endpointer.voiced_end + self._rules.tail)

    def _end_open(self, now: float, *, is_cut_off: bool = False) -> None:
        utterance = self._open
        if utterance is None:
            return
        if utterance.pcm is None:
            self._capture()
        end = self._endpointer.voiced_end
        self._ear.close(end + self._rules.tail)
        self._close(utterance, end, self._endpointer.voiced, now, is_cut_off=is_cut_off)
        self._open = None

    def _cut(self, now: float) -> None:
        utterance, timeline = self._open, self._ear.timeline
        assert utterance is not None
        # decodes that began before the cut have heard what now belongs to the next utterance
        self._actions += [Withdraw(Kind.SPECULATIVE), Withdraw(Kind.PARTIAL)]
        utterance.resume()
        utterance.partial_job = utterance.partial_reach = utterance.heard = None
        head = self._endpointer.voiced_end
        at = timeline.quietest(head - CUT_SEARCH, head, CUT_WIDTH)
        utterance.pcm = timeline.read(utterance.decode_from, at)
        voiced = self._endpointer.voiced
        self._endpointer.cut(at)
        self._begin(at, at - CUT_OVERLAP, follows_cut=True)
        self._close(utterance, at, voiced - self._endpointer.voiced, now)

    def _close(
        self, utterance: Utterance, end: int, voiced: int, now: float, *, is_cut_off: bool = False
    ) -> None:
        heard_at = self._ear.timeline.arrival_of(end - 1)
        utterance.ending = Ending(
            end_sample=end,
            voiced=voiced,
            concealed=self._ear.timeline.concealed(utterance.onset, end),
            heard_at=now if heard_at is None else heard_at,
            decided_at=now,
            is_cut_off=is_cut_off,
            concealed_spans=self._ear.timeline.concealed_spans(utterance.onset, end),
        )
        self._context.end(end)
        self._ended.append(utterance)
        if utterance.partial_job is not None and utterance.partial_reach is None:
            self._actions.append(Withdraw(Kind.PARTIAL))
            utterance.partial_job = None
        if utterance.outcome is None:
            self._ask_final(utterance, now)
        self._flush()

    # ── asking for decodes ───────────────────────────────────────────────────────────────────────────────

    def _job(self, utterance: Utterance, kind: Kind, since: float, *, is_retry: bool = False) -> Job:
        self._serial += 1
        deadline = since + DEADLINE_S[kind] + self._patience_s
        job = Job(self.session, utterance.number, self._serial, kind, deadline, is_retry)
        self._actions.append(job)
        return job

    def _ask_partial(self, now: float) -> None:
        utterance = self._open
        if utterance is None or utterance.pcm is not None or utterance.partial_job is not None:
            return
        if self.partial_interval_s == inf or (utterance.follows_cut and self._ended):
            return  # what the part before a cut says decides which words are new here
        due = utterance.onset + self._rules.first_partial
        if utterance.heard is not None:
            due = utterance.heard[0] + round(SAMPLE_RATE * self.partial_interval_s)
        if self._ear.timeline.head >= due:
            utterance.partial_reach = None
            utterance.partial_job = self._job(utterance, Kind.PARTIAL, now)

    def _ask_final(self, utterance: Utterance, now: float) -> None:
        """Get the utterance decoded as it is, unless a partial has done it or is doing it."""
        kind = Kind.SPECULATIVE if utterance.ending is None else Kind.FINAL
        if utterance.final_job is not None:
            if kind is Kind.SPECULATIVE or utterance.has_final_started:
                return
            self._actions.append(Withdraw(Kind.SPECULATIVE))
        elif utterance.first_try is None and self._is_covered(utterance, utterance.partial_reach):
            return  # its end will bring us back here
        elif (
            utterance.first_try is None
            and utterance.heard
            and self._is_covered(utterance, utterance.heard[0])
        ):
            self._settle(utterance, utterance.heard[1], now)
            return
        if utterance.partial_job is not None and utterance.partial_reach is None:
            self._actions.append(Withdraw(Kind.PARTIAL))
            utterance.partial_job = None
        utterance.has_final_started = False
        utterance.final_job = self._job(
            utterance, kind, self._heard_at(utterance, now), is_retry=utterance.first_try is not None
        )

    def _voiced_end(self, utterance: Utterance) -> int:
        return self._endpointer.voiced_end if utterance.ending is None else utterance.ending.end_sample

    def _heard_at(self, utterance: Utterance, now: float) -> float:
        if utterance.ending is not None:
            return utterance.ending.heard_at
        return self._ear.timeline.arrival_of(self._endpointer.voiced_end - 1) or now

    def _is_covered(self, utterance: Utterance, reach: int | None) -> bool:
        """Whether a partial that reaches so far has heard everything that was voiced."""
        return reach is not None and reach >= self._voiced_end(utterance) + self._rules.promote_tail

    # ── decodes ──────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, job: Job) -> Segment | None:
        """A decoder is free for this job: its audio, or None if nobody needs it any more."""
        utterance = self._find(job)
        if utterance is None:
            return None
        if job.kind is Kind.PARTIAL:
            utterance.partial_reach = self._ear.timeline.head
            pcm = self._ear.timeline.read(utterance.decode_from, self._ear.timeline.head)
        else:
            assert utterance.pcm is not None
            utterance.has_final_started = True
            pcm = utterance.pcm
        asks_language = self._asks_language(utterance, len(pcm))
        utterance.has_asked_language |= asks_language
        return Segment(
            session=self.session,
            first_sample=utterance.decode_from,
            pcm=pcm,
            language=utterance.language,
            is_final=job.kind is not Kind.PARTIAL,
            is_retry=job.is_retry,
            choice=self._choice if asks_language else None,
            context=self._context.text,
            hot_words=self._context.hot_words,
        )

    def _asks_language(self, utterance: Utterance, length: int) -> bool:
        return utterance.is_language_open and length - (utterance.onset - utterance.decode_from) >= SHORTEST

    def end(self, job: Job, decoded: Decoded, now: float) -> list[Action]:
        """A job that had begun is done."""
        utterance = self._find(job)
        if utterance is None:
            return []  # speech has resumed since
        if decoded.hypothesis is not None:
            self._note_language(utterance, decoded.hypothesis)
        if job.kind is Kind.PARTIAL:
            self._end_partial(utterance, decoded, now)
        else:
            utterance.final_job = None
            self._settle(utterance, decoded, now)
        self._flush()
        return self._take_actions()

    def _note_language(self, utterance: Utterance, hypothesis: Hypothesis) -> None:
        if not utterance.is_language_open or not utterance.has_asked_language:
            return
        before = self._choice.current
        if hypothesis.language_probabilities:
            self._choice = self._choice.decide(hypothesis.language_probabilities)
        utterance.language, utterance.is_language_open = hypothesis.language or before, False
        if self._choice.current != before:
            self._context.forget()

    def lapse(self, job: Job) -> None:
        """A queued partial grew too old and was dropped; the next chunk asks again."""
        utterance = self._find(job)
        if utterance is not None:
            utterance.partial_job = None

    def _find(self, job: Job) -> Utterance | None:
        known = [*self._ended, self._open] if self._open is not None else self._ended
        return next((one for one in known if one.partial_job is job or one.final_job is job), None)

    def _end_partial(self, utterance: Utterance, decoded: Decoded, now: float) -> None:
        reach, utterance.partial_reach, utterance.partial_job = utterance.partial_reach, None, None
        assert reach is not None
        if decoded.hypothesis is not None:
            utterance.heard = (reach, decoded)
            new = self._new_words(utterance, decoded.hypothesis)
            # nothing is committed before the language is known: another one has other words
            may_commit = not utterance.is_language_open
            committed, tentative = utterance.agreement.update(new.text, may_commit=may_commit)
            if utterance.ending is None and (committed or tentative):
                self._actions.append(
                    PartialText(
                        utterance.number, utterance.onset, reach, committed, tentative, utterance.language
                    )
                )
        if utterance.pcm is not None and utterance.outcome is None:
            self._ask_final(utterance, now)

    def _settle(self, utterance: Utterance, decoded: Decoded, now: float) -> None:
        """Take the decode for the final, or ask for another one if a filter fires."""
        utterance.decode_s += decoded.cost_s
        voiced = self._endpointer.voiced if utterance.ending is None else utterance.ending.voiced
        tries = [decoded] if utterance.first_try is None else [utterance.first_try, decoded]
        outcome = outcome_of(tries, voiced / SAMPLE_RATE)
        has_failed = outcome.hypothesis is None
        if utterance.first_try is None and (has_failed or (outcome.verdict.is_retry and self._can_retry)):
            utterance.first_try = decoded
            self._context.forget()
            self._actions.append(Retried("decode-failed" if has_failed else outcome.verdict))
            self._ask_final(utterance, now)
            return
        if has_failed and utterance.heard is not None:
            outcome = outcome_of([utterance.heard[1]], voiced / SAMPLE_RATE)
        utterance.outcome = outcome

    # ── what goes out ────────────────────────────────────────────────────────────────────────────────────

    def _flush(self) -> None:
        """Finals leave in the order of their utterances, whatever order the decoders keep."""
        while self._ended and self._ended[0].outcome is not None:
            self._emit(self._ended.popleft())
        if self._finishing and self._open is None and not self._ended:
            self._finishing, self._is_complete = False, True
            self._actions.append(Complete(self._ear.timeline.head if self._ear.has_begun else 0))

    def _emit(self, utterance: Utterance) -> None:
        outcome, ending = utterance.outcome, utterance.ending
        assert outcome is not None
        assert ending is not None
        if outcome.hypothesis is not None:
            outcome = replace(outcome, hypothesis=self._new_words(utterance, outcome.hypothesis))
        final = final_text(utterance, outcome, ending)
        self._said_before = final.text if final is not None else ""
        if final is not None:
            self._context.said(final.text, is_trusted=not final.low_confidence)
            self._actions.append(final)
            return
        self._context.forget()
        reason = "decode-failed" if outcome.hypothesis is None else outcome.verdict.value
        self._actions.append(Dropped("overlap" if outcome.verdict is Verdict.KEEP else reason))

    def _new_words(self, utterance: Utterance, hypothesis: Hypothesis) -> Hypothesis:
        """Without the words that the part before a cut has said."""
        return without_overlap(self._said_before, hypothesis) if utterance.follows_cut else hypothesis

    def _take_actions(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions
