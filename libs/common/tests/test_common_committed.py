from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.common.committed import CommittedTranscript
from fieldcoach.common.messages import FinalTranscript, Timing

TIMING = Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0)


def final(epoch: int, first: int, end: int) -> FinalTranscript:
    return FinalTranscript(
        session="s" * 26, epoch=epoch, utterance=0, n=0, first_sample=first, end_sample=end, text="x",
        language="en", confidence=1, engine="e", model="m", timing=TIMING,
    )  # fmt: skip


def test_one_utterance_after_the_other_is_new() -> None:
    transcript = CommittedTranscript()
    assert transcript.judge(final(1, 0, 1_000)) == "new"
    assert transcript.judge(final(1, 900, 2_000)) == "new"  # pre-roll reaches into the one before


def test_a_worker_that_took_over_repeats_the_last_one() -> None:
    transcript = CommittedTranscript()
    transcript.judge(final(1, 1_000, 2_000))
    assert transcript.judge(final(2, 1_010, 2_020)) == "doubled"
    assert transcript.judge(final(2, 2_500, 3_000)) == "new"


def test_a_worker_that_was_paused_comes_too_late() -> None:
    transcript = CommittedTranscript()
    transcript.judge(final(2, 0, 1_000))
    assert transcript.judge(final(1, 2_000, 3_000)) == "stale"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5_000), st.integers(1, 3_000)), max_size=30))
def test_what_is_new_never_lies_mostly_in_what_was(spans: list[tuple[int, int, int]]) -> None:
    transcript, until, highest = CommittedTranscript(), 0, 0
    for epoch, first, length in spans:
        if transcript.judge(final(epoch, first, first + length)) == "new":
            assert epoch >= highest
            assert 2 * (first + length - until) >= length
            until, highest = first + length, epoch
