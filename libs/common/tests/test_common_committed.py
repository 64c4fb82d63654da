import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.committed import FILLED_KEPT, CommittedTranscript, FilledStretches
from fieldcoach.common.messages import FinalTranscript, Timing, Word
from fieldcoach.common.overlap import told_words

TIMING = Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0)


def final(
    first_s: float, end_s: float, text: str = "", epoch: int = 1, words: tuple[Word, ...] = ()
) -> FinalTranscript:
    text = text or f"{first_s}to{end_s}"  # of another place: another word
    return FinalTranscript(
        session="s" * 26, epoch=epoch, utterance=0, n=0, first_sample=round(first_s * SAMPLE_RATE),
        end_sample=round(end_s * SAMPLE_RATE), text=text, words=words, language="en", confidence=1,
        engine="e", model="m", timing=TIMING,
    )  # fmt: skip


def filled(first_s: float, end_s: float, epoch: int = 1) -> FinalTranscript:
    return final(first_s, end_s, epoch=epoch).model_copy(update={"backfill": True})


def word(text: str, start_s: float) -> Word:
    start = round(start_s * SAMPLE_RATE)
    return Word(text=text, start_sample=start, end_sample=start + 1_600, confidence=1)


def test_one_utterance_after_the_other_is_new() -> None:
    transcript = CommittedTranscript()
    assert transcript.accept(final(0, 2))[1] == "whole"
    assert transcript.accept(final(1.8, 4))[1] == "whole"  # pre-roll reaches into the one before


def test_a_worker_that_took_over_repeats_the_last_one() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(1, 2))
    assert transcript.accept(final(1.01, 2.02, epoch=2)) == (None, "repeated")
    assert transcript.accept(final(2.5, 3, epoch=2))[1] == "whole"


def test_a_worker_that_was_paused_comes_too_late() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 1, epoch=2))
    assert transcript.accept(final(2, 3, epoch=1)) == (None, "old-epoch")
    assert transcript.is_old(1)
    assert not transcript.is_old(2)


def test_an_overlap_is_trimmed_by_word_times() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 2))
    words = (word("no", 1.0), word("space", 2.1), word("here", 2.5))
    accepted, verdict = transcript.accept(final(1, 3, "no space here", epoch=2, words=words))
    assert accepted is not None
    assert (verdict, accepted.text, accepted.first_sample) == ("trimmed", "space here", 2 * SAMPLE_RATE)
    again = final(2.5, 3.4, "no", epoch=2, words=(word("no", 2.5),))
    assert transcript.accept(again) == (None, "repeated")
    within = final(2.4, 3, "here", epoch=2, words=(word("here", 2.9),))
    assert transcript.accept(within) == (None, "repeated")
    later = final(2.95, 5, "yes", epoch=2, words=(word("yes", 3.5),))
    assert transcript.accept(later) == (later, "whole")


def test_a_line_of_which_half_was_told_is_told_from_there() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 2, "good morning"))
    transcript.accept(final(3, 5, "we have no spa"))  # its worker had to stop
    whole = final(3.01, 8, "We have no space, for ten boxes", epoch=2)
    accepted, verdict = transcript.accept(whole)
    assert accepted is not None
    assert (verdict, accepted.text, accepted.first_sample) == (
        "trimmed",
        "space, for ten boxes",
        5 * SAMPLE_RATE,
    )
    assert transcript.accept(final(3.02, 8.02, "we have no space for ten boxes", epoch=3)) == (
        None,
        "repeated",
    )
    assert transcript.accept(final(6, 9, "ten boxes", epoch=3)) == (None, "repeated")
    assert transcript.accept(final(9, 11, "ten boxes", epoch=3))[1] == "whole"


def test_a_first_word_alone_is_enough_to_be_a_beginning() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0.99, 1.12, "we"))
    accepted, verdict = transcript.accept(final(1.01, 4, "we have no space", epoch=2))
    assert accepted is not None
    assert (verdict, accepted.text) == ("trimmed", "have no space")


def test_one_worker_repeats_nothing() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 4, "ten boxes"))
    assert transcript.accept(final(3, 8, "ten boxes"))[1] == "whole"


def test_unlike_texts_are_judged_by_their_places() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 4, "what do you need"))
    assert transcript.accept(final(1, 5, "ten boxes please", epoch=2)) == (None, "repeated")
    assert transcript.accept(final(2, 8, "ten boxes please", epoch=2))[1] == "whole"


@pytest.mark.parametrize(
    ("told", "new", "count"),
    [
        ("a b c", "a b c d e", 3),
        ("x a b c", "a b c d e", 3),
        ("a b ca", "a b car d e", 2),
        ("a b ca", "a b car", 2),
        ("a x c", "a b c d", 3),
        ("a b c d", "a c d e", 3),
        ("मुझे दस", "मुझे दस डिब्बे", 2),
        ("A, b.", "a b c", 2),
        ("a b", "c d", None),
        ("", "a", None),
        ("a", "", None),
    ],
)
def test_told_words(told: str, new: str, count: int | None) -> None:
    assert told_words(told.split(), new.split()) == count


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1), st.lists(st.sampled_from("ijklmnop")))
def test_what_was_told_is_cut_off_and_nothing_else(told: list[str], rest: list[str]) -> None:
    assert told_words(told, told + rest) == len(told)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 50), st.integers(1, 30)), max_size=30))
def test_what_is_new_never_lies_mostly_in_what_was(spans: list[tuple[int, int, int]]) -> None:
    transcript, until, highest = CommittedTranscript(), 0, 0
    for epoch, first, length in spans:
        accepted, _ = transcript.accept(final(first / 10, (first + length) / 10, epoch=epoch))
        if accepted is not None:
            assert epoch >= highest
            assert 2 * (first + length - until) >= length
            until, highest = first + length, epoch


def test_a_stretch_is_filled_once() -> None:
    stretches = FilledStretches()
    assert stretches.take(100, 200)
    assert not stretches.take(100, 200)
    assert not stretches.take(120, 180)
    assert not stretches.take(149, 249), "more than half of it is known"
    assert stretches.take(150, 250), "half of it is new"
    assert stretches.take(0, 50)


def test_two_known_stretches_count_together() -> None:
    stretches = FilledStretches()
    stretches.take(0, 100)
    stretches.take(100, 200)
    assert not stretches.take(60, 140)


def test_the_oldest_stretches_are_forgotten() -> None:
    stretches = FilledStretches()
    for n in range(FILLED_KEPT + 1):
        assert stretches.take(10 * n, 10 * n + 10)
    assert not stretches.take(10, 20)
    assert stretches.take(0, 10)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_back_fill_is_new_once_whatever_its_epoch(epoch: int) -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 4, epoch=2))
    transcript.accept(final(6, 10, epoch=2))
    hole = filled(4, 6, epoch)
    assert transcript.accept(hole) == (hole, "whole")
    assert transcript.accept(hole) == (None, "repeated")
    assert transcript.accept(filled(4.1, 6, 4)) == (None, "repeated")


def test_back_fill_leaves_the_live_transcript_alone() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 4))
    assert transcript.accept(filled(4, 20, epoch=5))[1] == "whole"
    assert not transcript.is_old(1), "its epoch is no later worker's"
    live = final(4, 6)
    assert transcript.accept(live) == (live, "whole")
    assert transcript.accept(live) == (None, "repeated")


def test_live_words_do_not_fill_a_hole() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 10))
    hole = filled(3, 5)
    assert transcript.accept(hole) == (hole, "whole")


def test_what_two_known_stretches_share_counts_once() -> None:
    stretches = FilledStretches()
    assert stretches.take(0, 100)
    assert stretches.take(50, 150)
    assert stretches.take(50, 280), "130 of 230 are new"
