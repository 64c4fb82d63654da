"""The whole core in virtual time with a scripted engine."""

import random
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcoach.asr.actions import Complete, Dropped, Retried
from fieldcoach.asr.engines.base import HeardWord, Hypothesis
from fieldcoach.asr.jobs import Decoded, Job, Kind
from fieldcoach.asr.recogniser import SessionRecogniser
from fieldcoach.asr.utterance import FinalText
from fieldcoach.common.audio import Flag, PcmChunk

from .asr_bench import (
    MS,
    RULES,
    SESSION,
    Bench,
    LoudnessDetector,
    ScriptedEngine,
    chunks_of,
    join,
    silence,
    speech,
)

PARTS = st.lists(st.tuples(st.booleans(), st.floats(0.05, 4)), max_size=8)
LOOP = Hypothesis("no no no no", tokens=(5, 5, 5, 5), avg_logprob=-0.5)


def test_two_lines_become_two_finals(bench: Bench) -> None:
    bench.hear(silence(1), speech(2), silence(1), speech(1), silence(1))
    bench.end()
    first, second = bench.finals
    assert first.text == "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9"
    assert first.first_sample == pytest.approx(16_000, abs=512)
    assert first.end_sample == pytest.approx(48_000, abs=512)
    assert (first.utterance, second.utterance) == (1, 2)
    assert second.first_sample >= first.end_sample
    assert not first.low_confidence
    assert bench.of(Complete) == [Complete(96_000)]


def test_the_wait_for_silence_hides_the_decode(bench: Bench) -> None:
    bench.hear(silence(0.5), speech(2), silence(1))
    final = bench.finals[0]
    assert final.decode_ended_at <= final.decided_at
    assert final.decided_at - final.heard_at == pytest.approx(0.448, abs=0.1)
    assert bench.kinds().count(Kind.FINAL) == 0
    at = next(now for now, action in bench.actions if action is final)
    assert at == final.decided_at


def test_a_slow_decode_is_waited_for(engine: ScriptedEngine) -> None:
    bench = Bench(engine, cost_s=0.5)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(2), silence(2))
    final = bench.finals[0]
    assert final.decode_ended_at > final.decided_at
    assert bench.kinds() == [Kind.SPECULATIVE]  # the one that ran was enough


def test_a_speculation_that_never_started_becomes_final(engine: ScriptedEngine) -> None:
    bench = Bench(engine, cost_s=1.0)
    bench.hear(silence(0.5), speech(0.58), silence(2))  # a partial holds the only decoder
    bench.end()
    assert bench.kinds()[:3] == [Kind.PARTIAL, Kind.SPECULATIVE, Kind.FINAL]
    assert len(bench.finals) == 1


def test_partials_come_at_half_a_second_and_then_by_interval(bench: Bench) -> None:
    bench.hear(silence(0.5), speech(3))
    times = [now for now, action in bench.actions if action in bench.partials]
    assert times[0] - 0.5 == pytest.approx(0.5, abs=0.12)
    assert all(0.55 <= later - earlier <= 0.75 for earlier, later in pairwise(times))
    committed = [partial.committed for partial in bench.partials]
    assert all(later.startswith(earlier) for earlier, later in pairwise(committed))
    assert committed[-1]


def test_no_partials_when_the_load_forbids_them(bench: Bench) -> None:
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(3), silence(1))
    assert bench.partials == []
    assert len(bench.finals) == 1


def test_a_partial_that_heard_all_is_promoted(engine: ScriptedEngine) -> None:
    bench = Bench(engine)
    bench.hear(silence(0.48), speech(0.38), silence(1))  # the first partial comes 500 ms after the onset
    assert bench.kinds() == [Kind.PARTIAL]
    assert len(bench.finals) == 1


def test_a_running_partial_that_hears_all_is_waited_for_and_promoted(engine: ScriptedEngine) -> None:
    bench = Bench(engine, cost_s=0.3)
    bench.hear(silence(0.48), speech(0.38), silence(1))
    assert bench.kinds() == [Kind.PARTIAL]
    assert len(bench.finals) == 1


def test_a_promoted_partial_that_fails_is_decoded_again(engine: ScriptedEngine) -> None:
    engine.script[0] = None
    bench = Bench(engine, cost_s=0.3)
    bench.hear(silence(0.48), speech(0.38), silence(1))
    bench.end()
    assert bench.kinds()[0] is Kind.PARTIAL
    assert bench.kinds()[1] in (Kind.SPECULATIVE, Kind.FINAL)
    assert [final.text for final in bench.finals] == ["w0"]


def test_speech_after_a_pause_discards_the_speculation(bench: Bench) -> None:
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(0.35), speech(1), silence(1))
    assert bench.kinds() == [Kind.SPECULATIVE, Kind.SPECULATIVE]
    assert len(bench.finals) == 1
    assert bench.finals[0].text.split()[-1] == "w9"


def test_a_speculation_answered_after_speech_resumed_counts_for_nothing(engine: ScriptedEngine) -> None:
    bench = Bench(engine, cost_s=0.4)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(0.3), speech(1), silence(2))
    assert [final.text.split()[-1] for final in bench.finals] == ["w9"]


def test_finals_keep_the_order_of_speech(engine: ScriptedEngine) -> None:
    engine.script = {0: LOOP, 1: LOOP}
    bench = Bench(engine, cost_s=0.9)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.3), speech(0.4), silence(0.6), speech(0.4), silence(0.6), speech(0.4), silence(1))
    bench.end()
    assert [final.utterance for final in bench.finals] == [1, 2, 3]


def test_a_loop_is_tried_again_then_marked(engine: ScriptedEngine) -> None:
    engine.script = {0: LOOP, 1: LOOP}
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(1))
    assert [action.reason for action in bench.of(Retried)] == ["loop"]
    assert bench.finals[0].low_confidence
    assert engine.segments[1].is_retry
    assert bench.finals[0].decode_s == pytest.approx(2 * bench.cost_s)


def test_a_retry_that_passes_is_taken(engine: ScriptedEngine) -> None:
    engine.script = {0: LOOP}
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(1))
    assert bench.finals[0].text == "w0 w1 w2 w3 w4"
    assert not bench.finals[0].low_confidence


def test_an_engine_that_cannot_do_better_is_not_asked_again(engine: ScriptedEngine) -> None:
    engine.script, engine.can_retry = {0: LOOP}, False
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(1))
    assert bench.of(Retried) == []
    assert bench.finals[0].low_confidence


def test_a_failed_decode_is_repeated(engine: ScriptedEngine) -> None:
    engine.script, engine.can_retry = {0: None}, False
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(1))
    assert [action.reason for action in bench.of(Retried)] == ["decode-failed"]
    assert len(bench.finals) == 1


def test_when_the_engine_gives_up_the_newest_partial_is_better_than_silence(engine: ScriptedEngine) -> None:
    engine.script = {1: None, 2: None}
    bench = Bench(engine)
    bench.hear(silence(0.5), speech(0.6))
    bench.recogniser.partial_interval_s = inf
    bench.hear(speech(0.6), silence(1))
    assert bench.kinds() == [Kind.PARTIAL, Kind.SPECULATIVE, Kind.SPECULATIVE]
    assert bench.finals[0].text == "w0 w1"


def test_when_the_engine_gives_up_without_a_partial_it_is_counted(engine: ScriptedEngine) -> None:
    engine.script = {0: None, 1: None}
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(1))
    assert bench.finals == []
    assert bench.of(Dropped) == [Dropped("decode-failed")]


def test_silence_heard_as_nothing_is_dropped(engine: ScriptedEngine) -> None:
    engine.script = {0: Hypothesis("")}
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(1))
    assert bench.of(Dropped) == [Dropped("empty")]


def test_an_improbable_text_is_marked(engine: ScriptedEngine) -> None:
    engine.script = {0: Hypothesis("something odd", tokens=(1, 2), avg_logprob=-1.5)}
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.5), speech(1), silence(1))
    assert bench.finals[0].low_confidence


def test_words_are_placed_on_the_sessions_clock(engine: ScriptedEngine) -> None:
    engine.script = {0: Hypothesis("hello", tokens=(1,), words=(HeardWord("hello", 4_800, 8_000, 0.9),))}
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.992), speech(1), silence(1))
    word = bench.finals[0].words[0]
    assert (word.start, word.end) == (bench.finals[0].first_sample, bench.finals[0].first_sample + 3_200)


def test_a_long_speech_is_cut_in_its_quietest_place(engine: ScriptedEngine) -> None:
    bench = Bench(engine)
    quiet = (speech(0.2) // 2).astype("int16")  # still speech
    bench.hear(silence(0.5), speech(13.9), quiet, speech(3), silence(1))
    bench.end()
    first, second = bench.finals
    assert first.end_sample == second.first_sample
    assert first.end_sample == pytest.approx((0.5 + 14.0) * 16_000, abs=1_600)
    assert second.text  # `w0` repeats nothing that ended the first
    longest = max(len(segment.pcm) for segment in engine.segments)
    assert longest <= 15.5 * 16_000


def test_words_said_twice_at_a_cut_are_said_once(engine: ScriptedEngine) -> None:
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    words = (HeardWord("cream", 0, 9, 1), HeardWord("biscuits", 9, 20, 1))
    engine.script = {
        0: Hypothesis("ten boxes of cream", tokens=(1, 2, 3, 4)),
        1: Hypothesis("cream biscuits", tokens=(4, 5), words=words),
        2: Hypothesis("biscuits", tokens=(5,)),
    }
    bench.hear(silence(0.5), speech(17), silence(1), speech(1), silence(1))
    assert [final.text for final in bench.finals] == ["ten boxes of cream", "biscuits", "biscuits"]
    assert [word.text for word in bench.finals[1].words] == ["biscuits"]


def test_the_second_part_of_a_cut_may_be_decoded_before_the_first() -> None:
    recogniser = SessionRecogniser(SESSION, ("en",), RULES, LoudnessDetector())
    recogniser.partial_interval_s = inf
    jobs, said = [], []
    for chunk in chunks_of(join(silence(0.5), speech(17), silence(1))):
        jobs += [one for one in recogniser.push(chunk, 0.0) if isinstance(one, Job)]
    of_first, of_second = jobs[0], jobs[-1]
    assert (of_first.utterance, of_second.utterance) == (1, 2)
    for job, text in ((of_second, "biscuits now"), (of_first, "ten boxes of biscuits")):
        assert recogniser.begin(job) is not None
        hypothesis = Hypothesis(text, tokens=tuple(range(len(text.split()))))
        said += recogniser.end(job, Decoded(hypothesis, 0.0, 0.1), 0.1)
    assert [one.text for one in said if isinstance(one, FinalText)] == ["ten boxes of biscuits", "now"]


def test_nothing_but_the_overlap_after_a_cut_is_dropped(engine: ScriptedEngine) -> None:
    bench = Bench(engine)
    bench.recogniser.partial_interval_s = inf
    engine.script = {0: Hypothesis("a b", tokens=(1, 2)), 1: Hypothesis("b", tokens=(2,))}
    bench.hear(silence(0.5), speech(17), silence(1))
    assert [final.text for final in bench.finals] == ["a b"]
    assert bench.of(Dropped) == [Dropped("overlap")]


def test_a_lapsed_partial_is_asked_for_again(bench: Bench) -> None:
    recogniser = bench.recogniser
    pcm = join(silence(0.5), speech(1.5))
    asked = []
    for chunk in chunks_of(pcm):
        for job in recogniser.push(chunk, chunk.end_sample / 16_000):
            asked.append(job)
            recogniser.lapse(job)  # type: ignore[arg-type] # nothing but partials is asked for here
            recogniser.lapse(job)  # type: ignore[arg-type] # a second time is harmless
    assert len(asked) > 3


def test_a_job_of_the_past_has_no_audio(bench: Bench) -> None:
    bench.hear(silence(0.5), speech(1), silence(1))
    assert bench.recogniser.begin(bench.jobs[0]) is None


# ── the timeline ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_short_hole_is_silence_of_its_length(bench: Bench) -> None:
    before, after = join(silence(0.48), speech(0.96)), join(speech(0.96), silence(1.2))
    for chunk in chunks_of(before):
        bench.push(chunk)
    hole = 1_600
    for chunk in chunks_of(after, first_seq=24, first_sample=len(before) + hole):
        bench.push(chunk)
    final = bench.finals[0]
    assert len(bench.finals) == 1
    assert final.concealed == hole
    assert final.end_sample == pytest.approx(len(before) + hole + 0.96 * 16_000, abs=512)


def test_a_gap_chunk_says_the_same(bench: Bench) -> None:
    bench.hear(silence(0.48), speech(0.96))
    bench.push(PcmChunk(SESSION, 1, bench._seq, bench._sample, 1_600, Flag.GAP, b""))
    bench.hear(speech(0.96), silence(1.2))
    assert [final.concealed for final in bench.finals] == [1_600]


def test_a_long_gap_ends_the_utterance_and_moves_the_clock(engine: ScriptedEngine) -> None:
    detector = LoudnessDetector()
    bench = Bench(engine, detector)
    bench.hear(silence(0.48), speech(0.96))
    minute = 60 * 16_000
    bench.push(PcmChunk(SESSION, 1, bench._seq, bench._sample, minute, Flag.GAP, b""))
    bench.hear(speech(0.96), silence(1.2))
    first, second = bench.finals
    assert first.end_sample < 2 * 16_000
    assert second.first_sample == pytest.approx(1.44 * 16_000 + minute, abs=512)
    assert detector.resets == 2  # at the start, and after the hole


def test_concealed_packets_are_told(bench: Bench) -> None:
    bench.hear(silence(0.48), speech(0.48))
    for chunk in chunks_of(speech(0.12), first_seq=bench._seq, first_sample=bench._sample, flags=Flag.PLC):
        bench.push(chunk)
    bench.hear(speech(0.48), silence(1))
    assert bench.finals[0].concealed == 1_920


def test_samples_that_are_known_are_not_heard_twice(bench: Bench) -> None:
    pcm = join(silence(0.48), speech(0.96), silence(1.2))
    seq = 0
    for chunk in chunks_of(pcm):
        bench.push(PcmChunk(SESSION, 1, seq, chunk.sample_index, chunk.n_samples, chunk.flags, chunk.pcm))
        again = max(0, chunk.end_sample - 480)  # half known, half new would overlap the next
        bench.push(PcmChunk(SESSION, 1, seq + 1, again, 480, Flag.OK, chunk.pcm[-960:]))
        seq += 2
    assert bench.recogniser._ear.timeline.head == len(pcm)
    assert len(bench.finals) == 1


def test_a_chunk_that_is_half_known_gives_its_other_half(bench: Bench) -> None:
    bench.hear(silence(0.06))
    bench.push(PcmChunk(SESSION, 1, 1, 480, 960, Flag.OK, speech(0.06).tobytes()))
    assert bench.recogniser._ear.timeline.head == 1_440


# ── acks ─────────────────────────────────────────────────────────────────────────────────────────────────


def recogniser_from(seq: int) -> SessionRecogniser:
    return SessionRecogniser(SESSION, ("en",), RULES, LoudnessDetector(), from_seq=seq)


def test_ack_before_any_audio_is_where_we_start() -> None:
    assert recogniser_from(17).needed_seq == 17


def test_ack_follows_silence_by_the_pre_roll(bench: Bench) -> None:
    bench.hear(silence(3))
    behind = 50 - bench.recogniser.needed_seq
    assert behind == pytest.approx(300 / 60, abs=2)


def test_ack_stands_at_the_open_utterances_start(bench: Bench) -> None:
    bench.hear(silence(1.2), speech(2.4))
    start = bench.recogniser.needed_seq
    assert start == 14
    bench.hear(speech(1.2), silence(0.3))
    assert bench.recogniser.needed_seq == start
    bench.hear(silence(0.9))
    assert len(bench.finals) == 1
    assert bench.recogniser.needed_seq > start


def test_ack_waits_for_the_final(engine: ScriptedEngine) -> None:
    bench = Bench(engine, cost_s=30.0)
    bench.hear(silence(1.2), speech(2.4), silence(3))
    assert bench.recogniser.owes_finals
    assert bench.recogniser.needed_seq == 14
    bench.end()
    assert not bench.recogniser.owes_finals
    assert bench.recogniser.needed_seq == bench._seq


def test_end_in_the_middle_of_a_word_says_what_was_said(bench: Bench) -> None:
    bench.hear(silence(0.5), speech(1))
    assert not bench.recogniser.is_pausing
    bench.end()
    assert len(bench.finals) == 1
    assert isinstance(bench.actions[-1][1], Complete)
    assert bench.recogniser.is_pausing


def test_end_without_audio_is_complete() -> None:
    recogniser = recogniser_from(0)
    assert recogniser.finish(1.0) == [Complete(0)]


def test_another_worker_that_starts_at_the_ack_says_the_same(engine: ScriptedEngine) -> None:
    pcm = join(silence(1.2), speech(2.4), silence(1.2), speech(1.2), silence(1.2))
    chunks = chunks_of(pcm)
    one = Bench(engine)
    for chunk in chunks[:80]:  # dies within the second utterance
        one.push(chunk)
    other = Bench(ScriptedEngine())
    other.recogniser = recogniser_from(one.recogniser.needed_seq)
    for chunk in chunks[one.recogniser.needed_seq :]:
        other.push(chunk)
    whole = Bench(ScriptedEngine())
    for chunk in chunks:
        whole.push(chunk)
    said = [(final.text, final.first_sample) for final in one.finals + other.finals]
    assert [text for text, _ in said] == [final.text for final in whole.finals]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.05, 4)), max_size=8), st.floats(0.001, 3), st.integers(0, 9)
)
def test_every_line_is_said_once_in_order_and_acks_never_fall(
    parts: list[tuple[bool, float]], cost_s: float, seed: int
) -> None:
    draw = random.Random(seed)
    engine = ScriptedEngine()
    bench = Bench(engine, cost_s=cost_s)
    pcm = join(silence(0.1), *(speech(length) if loud else silence(length) for loud, length in parts))
    engine.script = {n: draw.choice([LOOP, None]) for n in draw.sample(range(20), 3)}
    acks = [0]
    for chunk in chunks_of(pcm):
        bench.push(chunk)
        acks.append(bench.recogniser.needed_seq)
    bench.end()
    assert acks == sorted(acks)
    assert acks[-1] <= bench._seq
    ends = [(final.first_sample, final.end_sample) for final in bench.finals]
    assert all(first < end for first, end in ends)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(ends))
    assert [final.utterance for final in bench.finals] == sorted({final.utterance for final in bench.finals})
    assert len(bench.of(Complete)) == 1
    said = {final.utterance: final.text.split() for final in bench.finals}
    for partial in bench.partials:
        committed = partial.committed.split()
        assert not committed or said[partial.utterance][: len(committed)] == committed
    assert RULES.endpoint.commit == 448 * MS


def test_a_partial_that_waits_when_the_visit_ends_is_withdrawn(engine: ScriptedEngine) -> None:
    bench = Bench(engine, cost_s=60.0)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.3), speech(1), silence(1))  # this line's decode holds the decoder
    bench.recogniser.partial_interval_s = 0.6
    bench.hear(speech(1))
    bench.end()
    bench.run_until(300)
    assert bench.kinds() == [Kind.SPECULATIVE, Kind.PARTIAL, Kind.FINAL]
    assert [final.text.split()[-1] for final in bench.finals] == ["w4", "w4"]


def test_a_partial_that_waits_when_the_line_pauses_is_withdrawn(engine: ScriptedEngine) -> None:
    bench = Bench(engine, cost_s=60.0)
    bench.recogniser.partial_interval_s = inf
    bench.hear(silence(0.3), speech(1), silence(1))
    bench.recogniser.partial_interval_s = 0.6
    bench.hear(speech(1), silence(0.3))
    bench.end()
    bench.run_until(300)
    assert bench.kinds() == [Kind.SPECULATIVE, Kind.PARTIAL, Kind.SPECULATIVE, Kind.FINAL]
    assert len(bench.finals) == 2


def test_how_far_everything_is_told(bench: Bench) -> None:
    core = bench.recogniser
    assert (core.told_until, core.head) == (inf, 0)
    bench.hear(silence(1))
    assert core.told_until == core.head == 16_000
    bench.hear(speech(2))
    assert core.told_until == pytest.approx(16_000 - RULES.pre_roll, abs=512)
    bench.hear(silence(1))
    assert core.told_until == core.head
    bench.hear(speech(1))
    bench.end()
    assert core.told_until == inf
