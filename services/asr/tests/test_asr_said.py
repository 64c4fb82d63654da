"""The words that a session's transcript has, also those of a worker before."""

from fieldcoach.asr.engines.base import HeardWord
from fieldcoach.asr.said import KEPT, MAX_FINALS, SaidWords, placed
from fieldcoach.asr.utterance import FinalText
from fieldcoach.common.messages import FinalTranscript, Timing, Word

S = 16_000


def final(text: str, first_s: float, end_s: float, words: tuple[HeardWord, ...] = ()) -> FinalText:
    first, end = round(first_s * S), round(end_s * S)
    return FinalText(1, first, end, text, words, 1, False, 0, (), "en", 0, 0, 0, 0, 0, 0, 0)


def published(text: str, first_s: float, end_s: float, epoch: int, *, late: bool = False) -> FinalTranscript:
    return FinalTranscript(
        session="s" * 26,
        epoch=epoch,
        utterance=1,
        n=1,
        first_sample=round(first_s * S),
        end_sample=round(end_s * S),
        text=text,
        words=(Word(text=text, start_sample=round(first_s * S), end_sample=round(end_s * S), confidence=1),),
        language="en",
        confidence=1,
        backfill=late,
        engine="e",
        model="m",
        timing=Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0),
    )


def heard(said: SaidWords, first_s: float = 0, end_s: float = 1_000) -> list[str]:
    return [one.word.text for one in said.around(round(first_s * S), round(end_s * S))]


def test_words_around_a_stretch_in_the_order_of_speech() -> None:
    said = SaidWords(is_whole=True)
    said.add(final("one two", 10, 12))
    said.add(final("five", 20, 21))
    said.add(final("three four", 14, 16))
    assert heard(said) == ["one", "two", "three", "four", "five"]
    assert heard(said, 11.5, 15) == ["two", "three"]
    utterances = [one.utterance for one in said.around(0, 1_000 * S)]
    assert utterances[0] == utterances[1] != utterances[2] == utterances[3]


def test_an_utterance_keeps_its_order_whatever_its_times() -> None:
    said = SaidWords(is_whole=True)
    words = tuple(HeardWord(text, at, at + 100, 1) for text, at in (("a", 100), ("b", 50), ("c", 300)))
    said.add(final("a b c", 0, 1, words))
    assert heard(said) == ["a", "b", "c"]


def test_what_is_too_old_is_forgotten() -> None:
    said = SaidWords(is_whole=True)
    said.add(final("old", 0, 1))
    said.add(final("", 1, 2))
    said.add(final("new", 3 + KEPT / S, 4 + KEPT / S))
    assert heard(said) == ["new"]
    for _ in range(MAX_FINALS + 5):
        said.add(final("new", 400, 401))
    assert len(said.around(0, 500 * S)) == MAX_FINALS


def test_what_others_said_is_recalled_as_readers_take_it() -> None:
    said = SaidWords(is_whole=False)
    said.add(final("mine", 6, 7))
    said.recall(
        [
            published("first", 1, 2, 1),
            published("first", 1, 2, 2),  # repeated by the second worker
            published("late", 3, 4, 2, late=True),
            published("second", 4.5, 5.5, 2),
            published("mine", 6, 7, 3),
        ],
        epoch=3,
    )
    assert said.is_whole
    assert heard(said) == ["first", "late", "second", "mine"]


def test_places_without_word_times_go_by_letters() -> None:
    words = placed("a bcd", (), 0, 600)
    assert [(word.text, word.start, word.end) for word in words] == [("a", 0, 200), ("bcd", 200, 600)]
    assert placed("", (), 0, 600) == ()
