"""Where a final is not to be trusted."""

from math import inf
from pathlib import Path

from fieldcoach.asr.doubts import Doubt, Reason, doubts_of, doubts_within
from fieldcoach.asr.engines.base import HeardWord, Hypothesis
from fieldcoach.asr.hot_words import load_hot_words
from fieldcoach.common.audio import Flag

from .asr_bench import ROOT, Bench, ScriptedEngine, chunks_of, silence, speech


def word(start: int, end: int, confidence: float) -> HeardWord:
    return HeardWord("w", start, end, confidence)


def test_unsure_words_side_by_side_are_one_stretch() -> None:
    words = (word(0, 10, 0.2), word(12, 20, 0.1), word(20, 30, 0.9), word(30, 40, 0.3))
    assert doubts_of(0, 40, words, (), is_cut_off=False) == (
        Doubt(0, 20, Reason.WORD),
        Doubt(30, 40, Reason.WORD),
    )


def test_all_reasons_in_order() -> None:
    found = doubts_of(0, 40_000, (word(9_000, 9_500, 0.0),), ((100, 200), (9_100, 9_200)), is_cut_off=True)
    assert [doubt.reason for doubt in found] == [
        Reason.CONCEALED,
        Reason.WORD,
        Reason.CONCEALED,
        Reason.CUT_OFF,
    ]
    assert found[-1] == Doubt(32_000, 40_000, Reason.CUT_OFF)


def test_a_part_of_a_final_keeps_its_own_doubts() -> None:
    whole = doubts_of(
        0, 40_000, (word(9_000, 9_500, 0.0), word(20_000, 21_000, 0.1)), ((8_000, 9_200),), is_cut_off=True
    )
    assert doubts_within(whole, (word(9_100, 9_600, 0.0),), 9_100, 9_600) == (
        Doubt(9_100, 9_200, Reason.CONCEALED),
        Doubt(9_100, 9_600, Reason.WORD),  # where the word is now
    )
    assert doubts_within(whole, (word(35_000, 36_000, 0.9),), 35_000, 36_000) == (
        Doubt(35_000, 36_000, Reason.CUT_OFF),
    )
    assert doubts_within(whole, (word(30_000, 31_000, 0.9),), 30_000, 31_000) == ()


def test_concealed_packets_carry_their_place_through() -> None:
    bench = Bench(ScriptedEngine())
    bench.hear(silence(0.48), speech(0.48))
    at = bench._sample
    for chunk in chunks_of(speech(0.12), first_seq=bench._seq, first_sample=at, flags=Flag.PLC):
        bench.push(chunk)
    bench.hear(speech(0.48), silence(1))
    assert bench.finals[0].doubts == (Doubt(at, at + 1_920, Reason.CONCEALED),)
    assert not bench.finals[0].low_confidence


def test_the_end_of_the_sound_in_the_middle_of_speech_is_doubted() -> None:
    bench = Bench(ScriptedEngine())
    bench.hear(silence(0.5), speech(2))
    bench.end()
    final = bench.finals[0]
    assert final.low_confidence
    assert final.doubts == (Doubt(final.end_sample - 8_000, final.end_sample, Reason.CUT_OFF),)


def test_the_end_of_the_sound_after_speech_is_not() -> None:
    bench = Bench(ScriptedEngine())
    bench.hear(silence(0.5), speech(2), silence(0.3))
    bench.end()
    assert not bench.finals[0].low_confidence
    assert bench.finals[0].doubts == ()


def test_what_was_committed_is_said_though_the_last_decode_is_dropped() -> None:
    engine = ScriptedEngine()
    bench = Bench(engine)
    bench.hear(silence(0.5), speech(4))
    committed = bench.partials[-1].committed
    assert committed
    bench.recogniser.partial_interval_s = inf
    nothing = Hypothesis("", no_speech_prob=0.9, avg_logprob=-2)
    engine.script = {len(engine.segments) + n: nothing for n in range(4)}
    bench.hear(speech(1), silence(1))
    assert [final.text for final in bench.finals] == [committed]
    assert bench.finals[0].low_confidence


def test_partials_after_a_forced_cut_begin_with_new_words(bench: Bench) -> None:
    bench.hear(silence(0.5), speech(18), silence(1))
    bench.end()
    for partial in bench.partials:
        final = next(final for final in bench.finals if final.utterance == partial.utterance)
        committed = partial.committed.split()
        assert final.text.split()[: len(committed)] == committed


def test_hot_words_are_the_playbooks_names(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("id: x\nvocabulary: [")
    (tmp_path / "odd.yaml").write_text("- 1")
    (tmp_path / "mine.yaml").write_text(
        "id: mine\nvocabulary: {skus: [{id: a, names: [soap, soaps]}, {id: tea}]}"
    )
    assert load_hot_words(tmp_path) == {"mine": ("soap", "tea")}
    assert "biscuits" in load_hot_words(ROOT / "playbooks")["outlet-en"]
