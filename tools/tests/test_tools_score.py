"""The scores of bench visit, on lines and events made by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from fieldcoach.tools.bench.gold import GoldLine, GoldOrder, GoldVisit, load_visit, visits_in
from fieldcoach.tools.bench.replay import count_allowed
from fieldcoach.tools.bench.score import final_of, score_lines, score_orders, score_visit, trigger_line
from fieldcoach.tools.bench.services import audio_bus_ms
from fieldcoach.tools.bench.words import NO_ERRORS, WordErrors, word_errors, words_of
from fieldcoach.tools.collector import CollectedSpan
from fieldcoach.tools.errors import BenchError


def line(start: float, end: float, text: str = "ten boxes", **marks: Any) -> GoldLine:
    return GoldLine(start, end, "shop", text, **marks)


def final(start: float, end: float, text: str = "ten boxes", **timing: float) -> dict[str, Any]:
    return {"type": "final", "start": start, "end": end, "text": text, "timing": timing or None}


def gold(*lines: GoldLine) -> GoldVisit:
    return GoldVisit("v", "en", lines, Path("v.flac"), Path("v.json"), lines[-1].end + 1, synthetic=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Okay, done - thank you!", ["okay", "done", "thank", "you"]),
        ("Don't, it’s 5%", ["dont", "its", "5"]),
        ("शैम्पू चलता नहीं है।", ["शैम्पू", "चलता", "नहीं", "है"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("", []),
    ],
)
def test_words_are_folded_composed_and_without_punctuation(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("a b c", "a b c", WordErrors(0, 0, 0, 3)),
        ("a b c", "a x c", WordErrors(1, 0, 0, 3)),
        ("a b c", "a c", WordErrors(0, 1, 0, 3)),
        ("a b c", "a b b c", WordErrors(0, 0, 1, 3)),
        ("a b", "", WordErrors(0, 2, 0, 2)),
        ("", "a b", WordErrors(0, 0, 2, 0)),
        ("a b c d", "x a c d y", WordErrors(0, 1, 2, 4)),
    ],
)
def test_word_errors(said: str, heard: str, errors: WordErrors) -> None:
    assert word_errors(said.split(), heard.split()) == errors


def test_the_rate_is_of_the_words_said() -> None:
    assert WordErrors(1, 1, 0, 8).rate == 0.25
    assert NO_ERRORS.rate is None
    assert WordErrors(1, 2, 3, 4) + WordErrors(1, 1, 1, 1) == WordErrors(2, 3, 4, 5)


def test_a_line_is_covered_by_the_last_final_about_it() -> None:
    first, second = (1.9, final(0.4, 1.2)), (3.1, final(1.3, 2.6))
    following = (5.0, final(2.9, 4.4))  # its pre-roll overlaps the end of the line a little
    assert final_of(line(0.5, 3.0), [first, second, following]) == second
    assert final_of(line(6.0, 7.0), [first, second, following]) is None


def test_a_short_final_within_a_long_line_is_about_it() -> None:
    short = (9.0, final(8.0, 8.4))
    assert final_of(line(1.0, 9.0), [short]) == short


def test_latency_counts_from_the_scripts_end_of_the_line() -> None:
    heard = (2.6, final(0.5, 2.1, heard_at=7_000.0, endpoint_ms=400.0, asr_ms=50.0))
    [score] = score_lines([line(0.5, 2.0)], [heard])
    assert score.eos_to_final_ms == pytest.approx(600)
    assert not score.is_merged


def test_a_merged_line_keeps_its_true_latency_and_is_named() -> None:
    heard = (5.0, final(0.5, 4.4))
    scores = score_lines([line(0.5, 2.0), line(2.5, 4.4)], [heard])
    assert [score.is_merged for score in scores] == [True, False]
    assert scores[0].eos_to_final_ms == pytest.approx(3_000)


def test_a_line_that_nobody_heard_has_no_latency() -> None:
    [score] = score_lines([line(0.5, 2.0)], [])
    assert score.eos_to_final_ms is None
    assert not score.is_merged


def test_orders_compare_sku_quantity_and_unit() -> None:
    agreed = {
        "cola": GoldOrder("cola", 6, "cases"),
        "noodles": GoldOrder("noodles", 2, "cartons"),
        "soap": GoldOrder("soap", 3, "packets"),
        "oil": GoldOrder("oil", 1, "bottles"),
    }
    lines = [
        {"sku": "Cola", "qty": 6, "unit": "Cases"},
        {"sku": "noodles", "qty": 3, "unit": "cartons"},
        {"sku": "soap", "qty": 3, "unit": "boxes"},
        {"sku": "tea", "qty": 1, "unit": "boxes"},
    ]
    score = score_orders(agreed, lines)
    assert (score.right, score.wrong) == (1, 4)


def test_the_last_agreement_on_a_sku_counts() -> None:
    visit = gold(
        line(0, 1, orders=(GoldOrder("cola", 6, "cases"),)),
        line(2, 3, orders=(GoldOrder("cola", 4, "cases"),)),
    )
    assert visit.orders == {"cola": GoldOrder("cola", 4, "cases")}


def test_a_cue_counts_from_the_line_that_raised_its_objection() -> None:
    lines = [line(1, 2, objections=("no_space",)), line(2.2, 3)]
    assert trigger_line(lines, 2.7, "no_space") is lines[0]
    assert trigger_line(lines, 2.7, None) is lines[1]
    assert trigger_line(lines, 9.0, "no_space") is None


def test_a_whole_visit() -> None:
    visit = gold(
        line(0.5, 2.0, "there is no space", objections=("no_space",)),
        line(3.0, 4.0, "send ten boxes", objections=("credit",), orders=(GoldOrder("tea", 10, "boxes"),)),
    )
    events: list[tuple[float, dict[str, Any]]] = [
        (0.1, {"type": "state"}),
        (4.5, final(3.0, 4.1, "send den boxes", heard_at=1.0, endpoint_ms=300.0, asr_ms=50.0)),
        (2.5, final(0.5, 2.0, "there is no space", heard_at=1.0, endpoint_ms=300.0, asr_ms=50.0)),
        (2.6, {"type": "cue", "objection": "no_space", "trigger": {"end": 2.0}}),
        (9.0, {"type": "cue", "trigger": None}),
    ]
    summary = {
        "objections": ["no_space", "competitor"],
        "orders": [{"sku": "tea", "qty": 10, "unit": "boxes"}],
    }
    score = score_visit(visit, events, summary)
    assert score.words == WordErrors(1, 0, 0, 7)
    assert score.objections.found == {"no_space"}
    assert score.objections.missed == {"credit"}
    assert score.objections.invented == {"competitor"}
    assert (score.orders.right, score.orders.wrong) == (1, 0)
    assert list(score.cue_ms) == [pytest.approx(600)]
    assert score.objection_cues == 1
    assert score.eos_to_final_ms == [pytest.approx(500), pytest.approx(500)]


def test_a_visit_can_be_cut_between_two_lines() -> None:
    visit = gold(line(1, 2), line(3, 4), line(5, 6))
    cut = visit.until(4.5)
    assert (len(cut.lines), cut.seconds) == (2, 4.5)
    assert visit.until(6) is visit
    with pytest.raises(BenchError, match="no line ends within"):
        visit.until(1.5)


def test_the_own_visits_can_be_read(request: pytest.FixtureRequest) -> None:
    folder = request.config.rootpath / "visits"
    visits = visits_in(folder, at_most=99)
    assert {visit.id for visit in visits} >= {"biscuits-no-space", "soap-margin", "quick-order"}
    assert all(visit.audio.is_file() and visit.lines for visit in visits)


def test_what_is_no_visit_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such folder"):
        visits_in(tmp_path / "none", 3)
    with pytest.raises(BenchError, match=r"no NAME\.json"):
        visits_in(tmp_path, 3)
    script = tmp_path / "a.json"
    script.write_text("{")
    with pytest.raises(BenchError, match=r"a\.json"):
        load_visit(script)
    script.write_text('{"id": "a", "lines": [{"start": 0}]}')
    with pytest.raises(BenchError, match=r"no recording beside it; put a\.flac there"):
        load_visit(script)
    (tmp_path / "a.wav").touch()
    with pytest.raises(BenchError, match=r"not a visit .*end"):
        load_visit(script)


def test_allowed_cues_are_those_that_the_replay_shows() -> None:
    decisions = [
        {"at": 1, "cue": "a", "objection": "x", "shown": True, "reason": ""},
        {"at": 2, "cue": "a", "objection": "x", "shown": False, "reason": "gap"},
        {"at": 3, "cue": "b", "objection": None, "shown": True, "reason": ""},
    ]
    assert count_allowed("loading\n" + json.dumps({"decisions": decisions})) == 1
    with pytest.raises(BenchError, match="something else"):
        count_allowed("")


def test_the_bus_time_of_a_chunk_comes_from_its_utterances_span() -> None:
    def span(**attributes: Any) -> CollectedSpan:
        return CollectedSpan("ingest.uplink", "ingest", "t", "i", "", 0.0, 1.0, attributes)

    spans = [
        span(),
        span(session="other", end_sample=32_000, chunk_published_at=1.0),
        span(session="s", end_sample=16_000, chunk_published_at=890.0),
        span(session="s", end_sample=32_000, chunk_published_at=996.0),
    ]
    heard = final(0.5, 2.0, heard_at=1_000.0)
    assert audio_bus_ms(spans, "s", heard) == pytest.approx(4.0)
    assert audio_bus_ms(spans, "s", final(0.5, 3.0, heard_at=1_000.0)) is None
    assert audio_bus_ms(spans, "s", final(0.5, 2.0)) is None
