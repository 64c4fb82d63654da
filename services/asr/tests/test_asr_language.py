"""Which language an utterance is in."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fieldcoach.asr.engines.base import Hypothesis, Segment
from fieldcoach.asr.engines.whisper import WhisperEngine, WhisperOptions
from fieldcoach.asr.language import LanguageChoice
from fieldcoach.asr.settings import AsrSettings

from .asr_bench import SESSION, Bench, ScriptedEngine, silence, speech

BOTH = LanguageChoice("en", ("en", "hi"))


@pytest.mark.parametrize(
    ("probabilities", "current", "challenger"),
    [
        ({"en": 0.6, "hi": 0.4}, "en", None),
        ({"en": 0.3, "hi": 0.6}, "hi", None),
        ({"en": 0.4, "hi": 0.6}, "en", "hi"),
        ({"en": 0.1, "hi": 0.2, "ur": 0.7}, "en", "hi"),  # not among the session's
        ({"en": 0.5, "hi": 0.5}, "en", None),
        ({}, "en", None),
    ],
)
def test_one_answer(probabilities: dict[str, float], current: str, challenger: str | None) -> None:
    decided = BOTH.decide(probabilities)
    assert (decided.current, decided.challenger) == (current, challenger)


def test_a_small_lead_must_come_twice_in_a_row() -> None:
    doubtful = {"en": 0.4, "hi": 0.6}
    assert BOTH.decide(doubtful).decide(doubtful).current == "hi"
    assert BOTH.decide(doubtful).decide({"en": 0.9}).decide(doubtful).current == "en"


class Bilingual(ScriptedEngine):
    """Fake: says which language it was asked for, and detects `heard` with full certainty."""

    heard = "hi"

    def decode(self, segment: Segment) -> Hypothesis:
        hypothesis = super().decode(segment)
        language, found = segment.language, {}
        if segment.choice is not None:
            found = {self.heard: 0.9}
            language = segment.choice.decide(found).current
        return replace(hypothesis, language=language, language_probabilities=found)


def bench_of(*languages: str) -> tuple[Bench, Bilingual]:
    engine = Bilingual()
    return Bench(engine, languages=languages), engine


def test_a_long_utterance_is_decoded_in_the_language_it_is_in() -> None:
    bench, _ = bench_of("en", "hi")
    bench.hear(silence(0.5), speech(4), silence(1))
    assert [final.language for final in bench.finals] == ["hi"]
    early, late = bench.partials[0], bench.partials[-1]
    assert (early.language, early.committed) == ("en", "")  # too short to know; nothing is committed
    assert (late.language, late.committed != "") == ("hi", True)


def test_a_short_one_keeps_the_sessions_language() -> None:
    bench, engine = bench_of("en", "hi")
    bench.hear(silence(0.5), speech(4), silence(1))
    engine.heard = "en"
    bench.hear(speech(0.6), silence(1), speech(4), silence(1))
    assert [final.language for final in bench.finals] == ["hi", "hi", "en"]


def test_one_language_is_never_asked_for() -> None:
    bench, engine = bench_of("en")
    bench.hear(silence(0.5), speech(4), silence(1))
    assert all(segment.choice is None for segment in engine.segments)
    assert bench.finals[0].language == "en"


def test_an_engine_that_does_not_tell_leaves_the_sessions_language() -> None:
    bench = Bench(ScriptedEngine(), languages=("en", "hi"))
    bench.hear(silence(0.5), speech(4), silence(1))
    assert bench.finals[0].language == "en"
    assert bench.partials[-1].committed


def test_whisper_counts_only_the_sessions_languages() -> None:
    asked: list[object] = []

    def detect(encoded: object) -> list[list[tuple[str, float]]]:
        asked.append(encoded)
        return [[("<|ur|>", 0.6), ("<|hi|>", 0.3), ("<|en|>", 0.1)]] * 2

    engine = WhisperEngine(Path(), "none", WhisperOptions())
    model = SimpleNamespace(is_multilingual=True, detect_language=detect)
    engine._whisper = SimpleNamespace(model=model)
    plain = Segment("s", 0, np.zeros(16, np.float32), "en", is_final=True)
    segments = [plain, replace(plain, choice=BOTH)]
    assert engine._detect(segments, "encoded") == [{}, {"hi": 0.3, "en": 0.1}]
    assert engine._detect([plain, plain], "encoded") == [{}, {}]
    model.is_multilingual = False
    assert engine._detect(segments, "encoded") == [{}, {}]
    assert asked == ["encoded"]  # nobody asked the second time, nobody could answer the third


def test_indic_utterances_are_cut_earlier() -> None:
    settings = AsrSettings()
    assert settings.rules_for(("en",)).endpoint.longest == 15 * 16_000
    assert settings.rules_for(("en", "hi")).endpoint.longest == 10 * 16_000
    assert AsrSettings(asr_longest_ms=6_000).rules_for(("hi",)).endpoint.longest == 6 * 16_000


def test_previous_text_is_told_until_there_is_doubt() -> None:
    bench, engine = bench_of("en", "hi")
    bench.hear(silence(0.5), speech(1), silence(0.6), speech(1), silence(2.5), speech(1), silence(1))
    finals = [segment.context for segment in engine.segments if segment.is_final]
    told = {segment.first_sample: segment.context for segment in engine.segments}
    assert list(told.values()) == ["", bench.finals[0].text, ""]  # the third came after a silence
    assert finals
    engine.heard = "hi"
    bench.hear(speech(4), silence(0.6), speech(1), silence(1))
    assert engine.segments[-1].language == "hi"
    assert bench.recogniser.session == SESSION


def test_a_filter_ends_the_context() -> None:
    engine = ScriptedEngine()
    bench = Bench(engine)
    loop = Hypothesis("no no no no", tokens=(5, 5, 5, 5), avg_logprob=-0.5)
    bench.hear(silence(0.5), speech(1), silence(0.6))
    engine.script = {len(engine.segments) + n: loop for n in range(4)}
    bench.hear(speech(1), silence(1))
    assert bench.finals[-1].low_confidence
    bench.hear(speech(1), silence(1))
    assert engine.segments[-1].context == ""
