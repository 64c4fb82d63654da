"""Turns from probabilities, frame by frame."""

from fieldcoach.asr.endpoint import Endpointer, EndpointRules, Turn
from fieldcoach.asr.voice import FRAME

RULES = EndpointRules(speculate=7 * FRAME, commit=14 * FRAME, longest=100 * FRAME)


def turns(endpointer: Endpointer, probabilities: list[float], first: int = 0) -> list[tuple[int, Turn]]:
    found = [(n, endpointer.push(first + n * FRAME, p)) for n, p in enumerate(probabilities)]
    return [(n, turn) for n, turn in found if turn is not None]


def test_starts_with_three_of_four_and_remembers_the_first() -> None:
    endpointer = Endpointer(RULES)
    assert turns(endpointer, [0.1, 0.9, 0.2, 0.9, 0.9]) == [(4, Turn.START)]
    assert endpointer.onset == FRAME
    assert endpointer.voiced == 3 * FRAME
    assert endpointer.voiced_end == 5 * FRAME


def test_a_click_never_starts() -> None:
    endpointer = Endpointer(RULES)
    assert turns(endpointer, [0.9, 0.9, 0.1, 0.1] * 5) == []
    assert not endpointer.in_speech


def test_earliest_onset_is_the_oldest_speech_in_the_window() -> None:
    endpointer = Endpointer(RULES)
    assert endpointer.earliest_onset is None
    turns(endpointer, [0.1, 0.9])
    assert endpointer.earliest_onset == FRAME
    turns(endpointer, [0.1] * 4, first=2 * FRAME)
    assert endpointer.earliest_onset is None


def test_pauses_then_ends() -> None:
    endpointer = Endpointer(RULES)
    found = turns(endpointer, [0.9] * 4 + [0.1] * 14)
    assert found == [(2, Turn.START), (10, Turn.PAUSE), (17, Turn.END)]
    assert not endpointer.in_speech
    assert endpointer.voiced_end == 4 * FRAME


def test_speech_after_a_pause_resumes() -> None:
    endpointer = Endpointer(RULES)
    found = turns(endpointer, [0.9] * 4 + [0.1] * 8 + [0.9] + [0.1] * 14)
    assert [turn for _, turn in found] == [Turn.START, Turn.PAUSE, Turn.RESUME, Turn.PAUSE, Turn.END]
    assert endpointer.voiced_end == 13 * FRAME


def test_a_doubtful_frame_goes_on_with_what_was() -> None:
    endpointer = Endpointer(RULES)
    turns(endpointer, [0.9] * 3 + [0.4] * 2)
    assert endpointer.voiced_end == 5 * FRAME  # speech was on
    turns(endpointer, [0.1, 0.4], first=5 * FRAME)
    assert endpointer.voiced_end == 5 * FRAME  # silence had begun


def test_too_long_then_cut() -> None:
    endpointer = Endpointer(RULES)
    found = turns(endpointer, [0.9] * 100)
    assert found[-1] == (99, Turn.TOO_LONG)
    endpointer.cut(90 * FRAME)
    assert endpointer.in_speech
    assert (endpointer.onset, endpointer.voiced_end, endpointer.voiced) == (
        90 * FRAME,
        100 * FRAME,
        10 * FRAME,
    )


def test_close_forgets_the_open_utterance() -> None:
    endpointer = Endpointer(RULES)
    turns(endpointer, [0.9] * 5)
    endpointer.close()
    assert not endpointer.in_speech
    assert endpointer.earliest_onset is None
    assert endpointer.voiced_end == 5 * FRAME
