"""What is dropped, what is tried again, what stays."""

import pytest

from fieldcoach.asr.engines.base import Hypothesis
from fieldcoach.asr.filters import Verdict, compression_ratio, judge

HINDI = "नमस्ते शर्मा जी आज का धंधा कैसा चल रहा है हमारे पास नई योजना आई है दस डिब्बे लीजिए"


def heard(text: str, **rest: object) -> Hypothesis:
    return Hypothesis(text, tokens=tuple(range(len(text.split()))), **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hypothesis", "voiced_s", "verdict"),
    [
        (heard("give me six cases"), 2.0, Verdict.KEEP),
        (heard(""), 2.0, Verdict.EMPTY),
        (heard("give me", no_speech_prob=0.7, avg_logprob=-1.2), 2.0, Verdict.NO_SPEECH),
        (heard("give me", no_speech_prob=0.7, avg_logprob=-0.2), 2.0, Verdict.KEEP),
        (heard("give me", no_speech_prob=0.2, avg_logprob=-1.2), 2.0, Verdict.KEEP),
        (heard("Thank you."), 0.3, Verdict.STOCK_PHRASE),
        (heard("Thank you."), 0.8, Verdict.KEEP),
        (heard("Thank you!", no_speech_prob=0.7), 0.8, Verdict.STOCK_PHRASE),
        (heard("धन्यवाद।"), 0.3, Verdict.STOCK_PHRASE),
        (heard("no no no yes " * 12), 8.0, Verdict.REPETITIVE),
        (heard("the delivery will come on monday"), 0.2, Verdict.TOO_FAST),
        (heard("yes send me six"), 0.4, Verdict.KEEP),
        (heard("no no no yes " * 12), 5.0, Verdict.TOO_FAST),
        (Hypothesis("no no no", tokens=(7, 7, 7)), 1.0, Verdict.LOOP),
        (Hypothesis("no no", tokens=(7, 7)), 1.0, Verdict.KEEP),
        (heard(HINDI), 9.0, Verdict.KEEP),
    ],
)
def test_judge(hypothesis: Hypothesis, voiced_s: float, verdict: Verdict) -> None:
    assert judge(hypothesis, voiced_s) is verdict


def test_verdicts_are_told_apart() -> None:
    assert [verdict for verdict in Verdict if verdict.is_drop] == [
        Verdict.EMPTY,
        Verdict.NO_SPEECH,
        Verdict.STOCK_PHRASE,
        Verdict.TOO_FAST,
    ]
    assert [verdict for verdict in Verdict if verdict.is_retry] == [Verdict.REPETITIVE, Verdict.LOOP]


def test_devanagari_is_no_loop() -> None:
    assert compression_ratio(HINDI) < 1.8
    assert compression_ratio("") == 1.0
    assert compression_ratio("ab" * 100) > 2.4
