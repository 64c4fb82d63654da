"""What `bench failover` counts."""

import json

from fieldcoach.common.ids import new_id
from fieldcoach.common.looped import LoopedScript
from fieldcoach.common.messages import FinalTranscript, Gap, SessionState, Timing, TranscriptComplete
from fieldcoach.tools.bench.failover_counts import (
    CHUNK,
    Cost,
    Reading,
    cost_of,
    resumptions_ms,
    takeovers_ms,
)

TIMING = Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0)
SCRIPT = LoopedScript.from_json(
    json.dumps(
        {
            "seconds": 12.05,
            "lines": [
                {"start": 1.0, "end": 3.0, "text": "good morning sir"},
                {"start": 5.0, "end": 9.0, "text": "ten boxes"},
                {"start": 11.0, "end": 12.04, "text": "cut off by the loop"},
            ],
        }
    )
)
A, B = "a" * 26, "b" * 26


def reading() -> Reading:
    """Everything that was spoken in 30 s, a final per word."""
    session = new_id()
    told = Reading(session)
    for word in SCRIPT.words(session, 0, 30 * 16_000):
        told.add(final(session, word.text))
    told.add(SessionState(session=session, n=1, state="live", sample=5))
    told.add(SessionState(session=session, n=2, state="ended", sample=30 * 16_000))
    told.add(TranscriptComplete(session=session, n=3, epoch=1, end_sample=30 * 16_000))
    return told


def final(session: str, text: str) -> FinalTranscript:
    return FinalTranscript(
        session=session, epoch=1, utterance=1, n=1, first_sample=0, end_sample=1, text=text, language="en",
        confidence=1, engine="e", model="m", timing=TIMING,
    )  # fmt: skip


def words_well_inside(told: Reading) -> list[str]:
    return [word.text for word in SCRIPT.words(told.session, 8 * 16_000, 20 * 16_000)]


def test_a_session_plays_the_visit_in_a_loop_from_its_own_place() -> None:
    assert SCRIPT.length == 12 * 16_000
    assert [line[2] for line in SCRIPT.lines] == [3, 2]
    session = new_id()
    words = list(SCRIPT.words(session, 0, 36 * 16_000))
    assert len(words) == 3 * 5
    assert [word.sample for word in words] == sorted(word.sample for word in words)
    assert len({word.text for word in words}) == len(words)
    halves = [*SCRIPT.words(session, 0, 100_000), *SCRIPT.words(session, 100_000, 36 * 16_000)]
    assert halves == words
    assert len({SCRIPT.offset(new_id()) for _ in range(20)}) > 5


def test_what_was_all_told_once_cost_nothing() -> None:
    cost = cost_of(SCRIPT, reading())
    assert cost.lines >= 4
    assert cost == Cost(lines=cost.lines)


def test_a_word_that_is_missing_or_told_twice_costs_its_line() -> None:
    told = reading()
    first, *_, last = words_well_inside(told)
    told.finals = [one for one in told.finals if one.text != first]
    told.finals.append(final(told.session, last))
    cost = cost_of(SCRIPT, told)
    assert (cost.lost_finals, cost.double_finals, cost.lost_chunks) == (1, 1, 0)


def test_what_was_declared_lost_is_no_lost_final() -> None:
    told = reading()
    missing = next(iter(SCRIPT.words(told.session, 8 * 16_000, 20 * 16_000)))
    told.finals = [one for one in told.finals if one.text != missing.text]
    other = Gap(session=told.session, n=9, first_sample=0, n_samples=CHUNK, reason="paused")
    told.add(other)
    assert cost_of(SCRIPT, told).lost_finals == 1
    told.add(other.model_copy(update={"first_sample": missing.sample - 500, "reason": "no-asr"}))
    cost = cost_of(SCRIPT, told)
    assert (cost.lost_finals, cost.declared_lines, cost.lost_chunks) == (0, 1, 1)


def test_a_transcript_without_its_end_is_told() -> None:
    told = reading()
    told.is_complete = False
    assert cost_of(SCRIPT, told).incomplete == 1


def test_costs_add_up() -> None:
    assert Cost(1, 2, 3, 4, 5, 6) + Cost(10, 20, 30, 40, 50, 60) == Cost(11, 22, 33, 44, 55, 66)


def test_a_takeover_ends_with_the_first_chunk_to_another_worker() -> None:
    moved = [(1.0, A, 1), (10.4, A, 1), (10.9, B, 2)]
    elsewhere = [(1.0, B, 1), (11.0, A, 2)]
    not_yet = [(1.0, A, 1)]
    before = [(1.0, A, 1), (5.0, B, 2)]
    assert [round(ms) for ms in takeovers_ms([moved, elsewhere, not_yet, before], A, 10.0)] == [900]
    assert [round(ms) for ms in resumptions_ms([moved, not_yet], 10.0)] == [400]
