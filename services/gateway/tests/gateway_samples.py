"""Bus messages to test with."""

from typing import Any

from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    Cue,
    FinalTranscript,
    PartialTranscript,
    SessionState,
    StageStatus,
    Summary,
    Timing,
    Word,
)

SESSION = "s" * 26
TIMING = Timing(heard_at=1_000.0, endpoint_ms=500, asr_ms=50, decode_ms=80, published_at=1_600.0)


def state(n: int, what: str = "live", session: str = SESSION, **changes: Any) -> SessionState:
    return SessionState.model_validate({"session": session, "n": n, "state": what} | changes)


def final(n: int, session: str = SESSION, **changes: Any) -> FinalTranscript:
    values: dict[str, Any] = {
        "session": session,
        "epoch": 1,
        "utterance": n,
        "n": n,
        "first_sample": 16_000,
        "end_sample": 32_000,
        "text": "the shelf has no space",
        "words": (Word(text="the", start_sample=16_000, end_sample=17_600, confidence=0.9),),
        "language": "en",
        "confidence": 0.9,
        "engine": "replay",
        "model": "none",
        "timing": TIMING,
    }
    return FinalTranscript(**(values | changes))


def partial(n: int, session: str = SESSION, **changes: Any) -> PartialTranscript:
    values: dict[str, Any] = {
        "session": session,
        "epoch": 1,
        "utterance": 1,
        "n": n,
        "first_sample": 0,
        "end_sample": 8_000,
        "committed": "the",
        "tentative": "shelf",
        "language": "en",
    }
    return PartialTranscript(**(values | changes))


def cue(n: int, session: str = SESSION, **changes: Any) -> Cue:
    values: dict[str, Any] = {
        "session": session,
        "n": n,
        "id": new_id(),
        "cue": "objection.no_space",
        "objection": "no_space",
        "title": "No space?",
        "text": "Offer the hanger.",
        "ttl_ms": 8_000,
        "expires_at": 20_000.0,
        "trigger_n": 1,
        "trigger_end_sample": 32_000,
        "trigger_timing": TIMING,
        "coach_ms": 1.5,
    }
    return Cue(**(values | changes))


def summary(n: int, session: str = SESSION, **changes: Any) -> Summary:
    values: dict[str, Any] = {
        "session": session,
        "n": n,
        "score": 80,
        "stages": (
            StageStatus(id="greet", title="Greet", weight=1, done=True, at_sample=16_000),
            StageStatus(id="collect", title="Collect", weight=1, done=False),
        ),
        "objections": ({"id": "credit", "at_sample": 320_000}, {"id": "no_space", "at_sample": 160_000}),
        "orders": ({"sku": "soap-75", "qty": 2, "unit": "case"},),
        "tips": ("Ask first.",),
        "text": "A good visit.",
        "duration_s": 60.0,
        "playbook": "outlet-en",
        "playbook_version": 1,
    }
    return Summary.model_validate(values | changes)
