"""What has been committed is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.asr.binding import bind
from fieldcoach.asr.engines.base import HeardWord, Hypothesis

WORDS = st.lists(st.sampled_from("abcd"), max_size=7)


def placed(text: str) -> Hypothesis:
    words = tuple(HeardWord(word, 10 * n, 10 * n + 10, 0.9) for n, word in enumerate(text.split()))
    return Hypothesis(text, words=words)


@pytest.mark.parametrize(
    ("committed", "heard", "said"),
    [
        ("give me six", "give me six cases", "give me six cases"),
        ("give me sick", "give me six cases", "give me sick cases"),
        ("give me", "please give me six", "give me six"),
        ("give me six cases", "give me", "give me six cases"),
        ("", "give me", "give me"),
        ("we have no", "no space here", "we have no space here"),
    ],
)
def test_bind(committed: str, heard: str, said: str) -> None:
    assert bind(committed.split(), placed(heard)).text == said


def test_words_that_gave_way_keep_their_place_and_have_no_confidence() -> None:
    bound = bind(["give", "me", "sick"], placed("give me six cases"))
    assert [(word.text, word.start, word.end, word.confidence) for word in bound.words] == [
        ("give", 0, 10, 0.9),
        ("me", 10, 20, 0.9),
        ("sick", 20, 30, 0.0),
        ("cases", 30, 40, 0.9),
    ]


@given(WORDS, WORDS)
def test_always_begins_with_what_was_committed(committed: list[str], heard: list[str]) -> None:
    bound = bind(committed, placed(" ".join(heard)))
    assert bound.text.split()[: len(committed)] == committed
    assert [word.text for word in bound.words] == bound.text.split()
    assert all(word.start <= word.end for word in bound.words)
