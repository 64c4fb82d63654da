"""Figures of the visit, and that those of speakers are hidden while nobody is sure who spoke."""

import pytest

from fieldcoach.coach.engine import Heard, VisitEngine
from fieldcoach.coach.figures import Figures, Speaker
from fieldcoach.coach.playbook import Playbook
from fieldcoach.coach.reports import metrics_message
from fieldcoach.coach.rules import CompiledPlaybook

SESSION = "s" * 26


def figures(*utterances: tuple[float, float, int, Speaker]) -> Figures:
    found = Figures()
    for start, end, words, speaker in utterances:
        found.add("", ("word",) * words, start, end, speaker)
    return found


def test_talk_share_is_of_speech_and_the_window_of_the_last_two_minutes() -> None:
    found = figures((0, 30, 50, "rep"), (30, 40, 20, "other"), (200, 210, 20, "other"), (215, 245, 60, "rep"))
    assert found.talk_share() == pytest.approx(60 / 80)
    assert found.talk_share(120) == pytest.approx(30 / 40)
    assert found.value("talk_share") == found.talk_share(120)
    assert figures((0, 4, 5, "unknown")).talk_share() is None


def test_a_monologue_goes_on_over_short_pauses_and_back_channels() -> None:
    found = figures((0, 10, 20, "rep"), (10.2, 10.8, 2, "other"), (11, 20, 20, "rep"), (21.4, 30, 20, "rep"))
    assert found.longest_monologue_s() == found.monologue_s() == 30


@pytest.mark.parametrize(
    "between", [(10.2, 10.8, 3, "other"), (10.2, 10.8, 3, "unknown")], ids=["an answer", "who knows"]
)
def test_an_answer_ends_it(between: tuple[float, float, int, Speaker]) -> None:
    found = figures((0, 10, 20, "rep"), between, (11, 17, 20, "rep"))
    assert found.longest_monologue_s() == 10
    assert found.monologue_s() == 6


def test_a_pause_ends_it_and_so_does_somebody_who_speaks_now() -> None:
    assert figures((0, 10, 20, "rep"), (11.5, 14, 9, "rep")).longest_monologue_s() == 10
    assert figures((0, 10, 20, "rep"), (10, 14, 9, "other")).monologue_s() == 0


def test_late_words_count_in_their_place() -> None:
    found = figures((0, 10, 20, "rep"), (20, 30, 20, "rep"), (10, 20, 30, "rep"))
    assert found.longest_monologue_s() == 30


def test_pace_is_held_against_the_persons_own() -> None:
    found = figures((0, 30, 60, "rep"), (30, 60, 300, "other"), (60, 80, 60, "rep"))
    assert found.pace_ratio() == pytest.approx(1.5)
    assert found.pace_wpm() == pytest.approx(120 / 50 * 60)
    assert figures((0, 30, 60, "rep")).pace_ratio() is None


def test_questions_by_mark_or_first_word_in_either_language() -> None:
    found = Figures()
    for text in ("how many are left", "really? why?", "kitna stock hai", "we have two"):
        found.add(text, tuple(text.replace("?", "").split()), 0, 1)
    assert found.questions == 4


@pytest.mark.parametrize(("unknown_s", "is_told"), [(3, True), (4, False)])
def test_speakers_figures_are_hidden_while_unsure(unknown_s: float, is_told: bool) -> None:
    engine = VisitEngine(CompiledPlaybook(Playbook.empty("p")))
    engine.heard(Heard(1, 0, 9, "so many words", 9, speaker="rep"), 9)
    engine.heard(Heard(2, 20, 20 + unknown_s, "and others", 24), 24)
    told = metrics_message(engine, session=SESSION, n=1)
    of_speakers = (told.talk_share, told.talk_share_120s, told.longest_monologue_s, told.pace_wpm)
    assert of_speakers == ((1, 1, 9, 20) if is_told else (None,) * 4)
    assert told.speech_s == 9 + unknown_s
