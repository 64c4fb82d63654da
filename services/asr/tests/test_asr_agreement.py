"""Committed words only grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.asr.agreement import LocalAgreement, without_overlap
from fieldcoach.asr.engines.base import HeardWord, Hypothesis


def test_commits_what_three_decodes_agree_on() -> None:
    agreement = LocalAgreement()
    assert agreement.update("give me six") == ("", "give me six")
    assert agreement.update("give me sick cases") == ("", "give me sick cases")
    assert agreement.update("give me six cases of") == ("give me", "six cases of")
    assert agreement.update("give me six cases of") == ("give me", "six cases of")
    assert agreement.update("give me six cases of cola") == ("give me six cases of", "cola")


def test_never_takes_back() -> None:
    agreement = LocalAgreement()
    for _ in range(3):
        before = agreement.update("a b c")
    assert before == ("a b c", "")
    for _ in range(4):
        assert agreement.update("x y z w") == ("a b c", "w")


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6).map(" ".join), max_size=8))
def test_committed_is_append_only(decodes: list[str]) -> None:
    agreement, before = LocalAgreement(), ""
    for text in decodes:
        committed, _ = agreement.update(text)
        assert committed == before or committed.startswith(f"{before} " if before else "")
        before = committed


@pytest.mark.parametrize(
    ("before", "text", "left"),
    [
        ("ten boxes of cream", "cream biscuits", "biscuits"),
        ("ten of cream", "of cream biscuits", "biscuits"),
        ("ten boxes", "cream biscuits", "cream biscuits"),
        ("", "cream", "cream"),
        ("cream", "cream", ""),
    ],
)
def test_without_overlap(before: str, text: str, left: str) -> None:
    words = tuple(HeardWord(word, 0, 1, 1.0) for word in text.split())
    kept = without_overlap(before, Hypothesis(text, words=words))
    assert kept.text == left
    assert [word.text for word in kept.words] == left.split()
