"""A range that came afterwards, in virtual time with a scripted engine."""

from dataclasses import replace
from math import inf

import pytest

from fieldcoach.asr.actions import Action, Complete
from fieldcoach.asr.backfill import PATIENCE_S, UTTERANCES, BackfillRun
from fieldcoach.asr.engines.base import HeardWord, Hypothesis
from fieldcoach.asr.jobs import DEADLINE_S, Decoded, Job, Kind
from fieldcoach.asr.said import SaidWords
from fieldcoach.asr.scheduler import Scheduler
from fieldcoach.asr.utterance import FinalText
from fieldcoach.common.messages import BackfillAudio

from .asr_bench import RULES, SESSION, LoudnessDetector, Samples, ScriptedEngine, join, silence, speech

AT = 1_000.0
"""When the range came."""
FIRST = 160_000
"""The sample at which its sound begins."""


class RangeBench:
    """Passes a range to a run, and runs its decodes when the last step is through."""

    def __init__(
        self, engine: ScriptedEngine, pcm: Samples, hole: tuple[float, float], number: int = 3
    ) -> None:
        self.audio = BackfillAudio(
            session=SESSION,
            range=number,
            first_sample=FIRST,
            hole_first_sample=FIRST + round(hole[0] * 16_000),
            hole_end_sample=FIRST + round(hole[1] * 16_000),
            late_ms=4_000,
            pcm=b"",
        )
        self.run = BackfillRun(
            self.audio, pcm.tobytes(), ("en",), RULES, LoudnessDetector(), AT, can_retry=engine.can_retry
        )
        self.engine = engine
        self.actions: list[Action] = []
        self.jobs: list[Job] = []
        self.steps = 0
        scheduler = Scheduler()
        for actions in self.run.listen():
            self.steps += 1
            self._take(actions, scheduler)
            while (job := scheduler.next(AT)) is not None:
                segment = self.run.begin(job)
                if segment is not None:
                    decoded = Decoded(self.engine.decode(segment), AT, AT + 0.1)
                    self._take(self.run.end(job, decoded, AT + 0.1), scheduler)

    def _take(self, actions: list[Action], scheduler: Scheduler) -> None:
        self.actions += actions
        for final in (action for action in actions if isinstance(action, FinalText)):
            self.run.add(final)
        for job in (action for action in actions if isinstance(action, Job)):
            self.jobs.append(job)
            scheduler.submit(job)

    @property
    def finals(self) -> list[FinalText]:
        return [action for action in self.actions if isinstance(action, FinalText)]

    def news(self, *said: FinalText) -> list[FinalText]:
        """What of the finals is new, after these."""
        known = SaidWords(is_whole=True)
        for final in said:
            known.add(final)
        return self.run.news(known)


def words(*spans: tuple[str, float, float]) -> Hypothesis:
    """Words with their seconds in the segment."""
    heard = tuple(HeardWord(text, round(16_000 * a), round(16_000 * b), 0.9) for text, a, b in spans)
    return Hypothesis(" ".join(word.text for word in heard), tokens=tuple(range(len(heard))), words=heard)


def test_a_range_is_listened_to_in_steps_and_has_an_end(engine: ScriptedEngine) -> None:
    bench = RangeBench(engine, join(silence(0.5), speech(2), silence(1), speech(1)), (0, 4.5))
    assert bench.steps == 24, "22.5 steps of 200 ms, and the end"
    assert len(bench.finals) == 2
    assert bench.finals[0].first_sample == pytest.approx(FIRST + 8_000, abs=512)
    assert [action for action in bench.actions if isinstance(action, Complete)] == [Complete(FIRST + 72_000)]


def test_a_range_of_silence_says_nothing(engine: ScriptedEngine) -> None:
    bench = RangeBench(engine, silence(2), (0, 2))
    assert bench.jobs == []
    assert isinstance(bench.actions[-1], Complete)
    empty = RangeBench(engine, silence(0), (0, 2))
    assert (empty.steps, empty.finals) == (1, [])


def test_decodes_are_final_patient_and_not_the_live_ones(engine: ScriptedEngine) -> None:
    bench = RangeBench(engine, join(silence(0.5), speech(3), silence(1)), (0, 4))
    assert Kind.PARTIAL not in {job.kind for job in bench.jobs}
    assert {job.session for job in bench.jobs} == {f"{SESSION}+3"}
    assert bench.jobs[0].deadline == AT + DEADLINE_S[bench.jobs[0].kind] + PATIENCE_S
    assert {segment.session for segment in engine.segments} == {SESSION}


def test_a_live_decode_of_the_same_moment_goes_first(engine: ScriptedEngine) -> None:
    bench = RangeBench(engine, join(speech(1), silence(1)), (0, 2))
    scheduler, late = Scheduler(), replace(bench.jobs[0], kind=Kind.FINAL)
    live = Job("other", 1, 1, Kind.FINAL, AT + 2 + DEADLINE_S[Kind.FINAL])
    for job in (late, live):
        scheduler.submit(job)
    assert scheduler.next(AT + 2) is live


def said(text: str, first_s: float, end_s: float) -> FinalText:
    """A final of the live transcript; seconds in the range."""
    first, end = FIRST + round(16_000 * first_s), FIRST + round(16_000 * end_s)
    return FinalText(1, first, end, text, (), 1, False, 0, (), "en", 0, 0, 0, 0, 0, 0, 0)


def test_only_words_that_were_not_said_are_new(engine: ScriptedEngine) -> None:
    # the utterance is decoded from 300 ms before its first voiced sample: from 0.7 s
    engine.script = {
        0: words(("known", 0.3, 0.6), ("half", 0.8, 1.2), ("new", 1.5, 1.8), ("known", 2.6, 3.0)),
    }
    bench = RangeBench(engine, join(silence(0.992), speech(3), silence(1)), (1.7, 3.2))
    (new,) = bench.news(said("known", 1, 1.3), said("known", 3.3, 3.7))
    assert new.text == "half new"
    assert [word.text for word in new.words] == ["half", "new"]
    assert (new.first_sample, new.end_sample) == (new.words[0].start, new.words[-1].end)


def test_words_in_two_places_are_two_finals(engine: ScriptedEngine) -> None:
    engine.script = {0: words(("a", 0.3, 0.6), ("b", 0.8, 1.2), ("c", 1.5, 1.8))}
    bench = RangeBench(engine, join(silence(0.992), speech(2), silence(1)), (0.5, 3.2))
    news = bench.news(said("b", 1.5, 1.9))
    assert [new.text for new in news] == ["a", "c"]
    assert [new.utterance for new in news] == [-3 * UTTERANCES - 1, -3 * UTTERANCES - 2]
    assert news[0].end_sample <= FIRST + 24_000 < news[1].first_sample


def test_an_utterance_that_was_said_is_not_new(engine: ScriptedEngine) -> None:
    engine.script = {0: words(("known", 0.3, 0.6), ("too", 0.7, 1.2))}
    bench = RangeBench(engine, join(silence(0.992), speech(1), silence(2)), (0, 4))
    (final,) = bench.finals
    assert bench.news(final) == []


@pytest.mark.parametrize(("hole", "text"), [((0, 4), "one two"), ((2.8, 4), "two"), ((4, 5), "")])
def test_without_word_times_letters_tell_the_place(
    engine: ScriptedEngine, hole: tuple[float, float], text: str
) -> None:
    engine.script = {0: Hypothesis("one two", tokens=(1, 2))}
    bench = RangeBench(engine, join(silence(0.992), speech(2), silence(1)), hole)
    news = bench.news()
    assert [new.text for new in news] == ([text] if text else [])
    assert all(new.words == () for new in news)


def test_it_can_be_told_when_the_live_transcript_is_past_the_hole(engine: ScriptedEngine) -> None:
    run = RangeBench(engine, silence(3), (1, 2)).run
    end, later = FIRST + 2 * 16_000, FIRST + 3 * 16_000
    assert not run.can_tell(end - 1, end - 1)
    assert run.can_tell(end, end), "nothing has come since"
    assert not run.can_tell(end + 100, later), "an utterance is open that begins at the hole"
    assert run.can_tell(later, later + 16_000)
    assert run.can_tell(inf, end - 1)


def test_an_utterance_inside_the_hole_keeps_its_place_and_text(engine: ScriptedEngine) -> None:
    bench = RangeBench(engine, join(silence(0.992), speech(1), silence(1)), (0, 3))
    (final,), (new,) = bench.finals, bench.news()
    assert (new.first_sample, new.end_sample, new.text) == (final.first_sample, final.end_sample, final.text)


def test_utterances_of_ranges_never_bear_a_live_number(engine: ScriptedEngine) -> None:
    pcm = join(silence(0.5), speech(1), silence(1), speech(1), silence(1))
    one, two = RangeBench(engine, pcm, (0, 5), number=1), RangeBench(engine, pcm, (0, 5), number=2)
    numbers = [final.utterance for final in (*one.news(), *two.news())]
    assert numbers == [-UTTERANCES - 1, -UTTERANCES - 2, -2 * UTTERANCES - 1, -2 * UTTERANCES - 2]


def test_how_late_a_range_is_told(engine: ScriptedEngine) -> None:
    bench = RangeBench(engine, silence(1), (0, 1))
    assert bench.run.late_ms(AT) == 4_000
    assert bench.run.late_ms(AT + 1.5) == pytest.approx(5_500)
