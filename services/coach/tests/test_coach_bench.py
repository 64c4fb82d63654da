"""The coach's bench: what counts as right, and that noise is noise."""

from pathlib import Path

import pytest

from fieldcoach.coach.bench.__main__ import measure
from fieldcoach.coach.bench.gold import MarkedVisit, gold_of, visits_in
from fieldcoach.coach.bench.noise import WordNoise, without_halves
from fieldcoach.coach.bench.score import Counts, score_visit
from fieldcoach.coach.errors import TranscriptInvalid
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.rules import CompiledPlaybook

ROOT = Path(__file__).parents[3]


def visit_of(*lines: tuple[str, tuple[str, ...]]) -> MarkedVisit:
    return MarkedVisit.model_validate(
        {
            "id": "made",
            "lines": [
                {"start": 3.0 * n, "end": 3.0 * n + 2, "text": text, "objections": objections}
                for n, (text, objections) in enumerate(lines)
            ],
        }
    )


@pytest.fixture(scope="module")
def rules() -> CompiledPlaybook:
    return CompiledPlaybook(load_playbook(ROOT / "playbooks" / "outlet-en.yaml").playbook)


def test_right_invented_and_missed(rules: CompiledPlaybook) -> None:
    visit = visit_of(
        ("there is no space on the shelf", ("no_space",)),
        ("nice weather today", ("credit",)),
        ("there is no space on the shelf", ()),
    )
    found = score_visit(rules, visit, gold_of(visit)).objections
    assert (found.right, found.invented, found.missed) == (1, 1, 1)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)


def test_nothing_said_and_nothing_there_is_no_rate() -> None:
    assert (Counts().precision, Counts().recall, Counts().f1) == (None, None, None)


def test_noise_changes_so_many_words_and_the_same_ones_again() -> None:
    visit = visit_of(("one two three four five six seven eight nine ten " * 50, ()))
    noise = WordNoise(0.2, 1, ["alpha", "beta"])
    heard = noise.applied(visit)
    assert heard == noise.applied(visit) != WordNoise(0.2, 2, ["alpha"]).applied(visit)
    kept = sum(
        word in "one two three four five six seven eight nine ten" for word in heard.lines[0].text.split()
    )
    assert 0.7 < kept / 500 < 0.95
    assert WordNoise(0, 1, ["alpha"]).applied(visit).lines[0].text == visit.lines[0].text.strip()


def test_lost_halves_lose_so_many_words() -> None:
    visit = visit_of(*(("one two three four", ()) for _ in range(500)))
    left = sum(len(line.text.split()) for line in without_halves(visit, 0.2, 1).lines)
    assert left / 2_000 == pytest.approx(0.8, abs=0.05)


def test_the_visits_of_the_checkout_meet_the_bar_on_perfect_words() -> None:
    figures = measure(visits_in(ROOT / "visits"), ROOT / "playbooks", seeds=1)
    assert figures["small_talk_cues"] == 0
    for name in ("precision", "recall", "order_f1", "stage_f1"):
        assert figures[name] >= 0.95
    assert {figures["by_language"][language]["playbook"] for language in ("hi", "hi-Latn")} == {"outlet-hi"}
    assert set(figures["noise"]) == {"10", "20", "30"}


def test_a_folder_without_visits_and_a_broken_one_say_so(tmp_path: Path) -> None:
    with pytest.raises(TranscriptInvalid, match="no visit in it"):
        visits_in(tmp_path)
    (tmp_path / "a.json").write_text('{"id": "a", "lines": [{"start": -1, "end": 2, "text": "x"}]}')
    with pytest.raises(TranscriptInvalid, match=r"a\.json: lines\.0\.start"):
        visits_in(tmp_path)
