"""Finals of several workers: no word twice."""

from fieldcoach.coach.transcript import CommittedTranscript
from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.messages import FinalTranscript, Timing, Word

SESSION = "a" * 26


def final(first_s: float, end_s: float, text: str = "a b", epoch: int = 1, **more: object) -> FinalTranscript:
    fields: dict[str, object] = {
        "session": SESSION,
        "epoch": epoch,
        "utterance": 1,
        "n": 1,
        "first_sample": round(first_s * SAMPLE_RATE),
        "end_sample": round(end_s * SAMPLE_RATE),
        "text": text,
        "language": "en",
        "confidence": 1,
        "engine": "e",
        "model": "m",
        "timing": Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0),
    }
    return FinalTranscript.model_validate(fields | more)


def word(text: str, start_s: float) -> Word:
    start = round(start_s * SAMPLE_RATE)
    return Word(text=text, start_sample=start, end_sample=start + 1_600, confidence=1)


def test_whole_repeated_and_old() -> None:
    transcript = CommittedTranscript()
    assert transcript.accept(final(0, 2))[1] == "whole"
    assert transcript.accept(final(0, 2)) == (None, "repeated")
    assert transcript.accept(final(2, 4, epoch=3))[1] == "whole"
    assert transcript.accept(final(4, 6, epoch=2)) == (None, "old-epoch")


def test_overlap_is_trimmed_by_word_times() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 2))
    words = (word("no", 1.0), word("space", 2.1), word("here", 2.5))
    accepted, use = transcript.accept(final(1, 3, "no space here", epoch=2, words=words))
    assert accepted is not None
    assert (use, accepted.text, accepted.first_sample) == ("trimmed", "space here", 2 * SAMPLE_RATE)
    assert transcript.accept(final(2.5, 3.4, "no", epoch=2, words=(word("no", 2.5),))) == (None, "repeated")


def test_overlap_without_word_times() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(0, 2))
    assert transcript.accept(final(1, 2.1)) == (None, "repeated")
    assert transcript.accept(final(1, 3))[1] == "trimmed"


def test_back_filled_words_are_taken() -> None:
    transcript = CommittedTranscript()
    transcript.accept(final(5, 9))
    assert transcript.accept(final(1, 3, late_ms=8_000)) == (None, "repeated")
    assert transcript.accept(final(1, 3, epoch=0, late_ms=8_000, backfill=True))[1] == "back-filled"
    assert transcript.accept(final(1, 3, late_ms=9_000, backfill=True)) == (None, "repeated")
    assert transcript.accept(final(3, 5, late_ms=9_000, backfill=True))[1] == "back-filled"
