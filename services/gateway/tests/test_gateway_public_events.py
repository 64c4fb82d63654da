"""Bus messages as clients see them."""

import pytest

from fieldcoach.common.messages import (
    Checklist,
    Gap,
    MediaProfile,
    ProfileApplied,
    SessionCreated,
    StageStatus,
    TranscriptComplete,
    VisitMetrics,
)
from fieldcoach.gateway.public_events import is_public, public_event, public_partial

from .gateway_samples import SESSION, cue, final, partial, state, summary

COMMON = {"session": SESSION}


def test_a_final() -> None:
    shown = public_event(final(1), sent_at=5.0)
    assert shown == COMMON | {
        "type": "final",
        "utterance": 1,
        "start": 1.0,
        "end": 2.0,
        "text": "the shelf has no space",
        "words": [{"text": "the", "start": 1.0, "end": 1.1, "confidence": 0.9}],
        "language": "en",
        "speaker": "unknown",
        "confidence": 0.9,
        "low_confidence": False,
        "doubts": [],
        "backfill": False,
        "concealed_ms": 0,
        "late_ms": 0,
        "engine": "replay",
        "model": "none",
        "timing": {
            "heard_at": 1_000.0,
            "endpoint_ms": 500,
            "asr_ms": 50,
            "decode_ms": 80,
            "published_at": 1_600.0,
            "sent_at": 5.0,
        },
    }


def test_a_partial() -> None:
    assert public_partial(partial(1)) == COMMON | {
        "type": "partial",
        "utterance": 1,
        "start": 0.0,
        "end": 0.5,
        "committed": "the",
        "tentative": "shelf",
        "language": "en",
    }


def test_a_cue() -> None:
    sample = cue(1)
    shown = public_event(sample, sent_at=5.0)
    assert shown["cue_id"] == sample.id
    assert shown["trigger"]["end"] == 2.0
    assert shown["trigger"]["timing"]["heard_at"] == 1_000.0
    assert shown["sent_at"] == 5.0
    assert shown["coach_ms"] == 1.5
    assert not {"n", "v", "kind", "id", "trigger_n"} & set(shown)
    assert public_event(cue(2, trigger_timing=None), 0)["trigger"] == {"end": 2.0, "timing": None}
    assert public_event(cue(2, trigger_end_sample=None), 0)["trigger"] is None


def test_state_and_creation() -> None:
    assert public_event(state(1, "live", degraded="no asr", sample=8_000), 0) == COMMON | {
        "type": "state",
        "state": "live",
        "reason": "",
        "degraded": "no asr",
        "at": 0.5,
    }
    created = SessionCreated(session=SESSION, n=1, ingest=SESSION, playbook="p", created_at=1)
    assert public_event(created, 0)["state"] == "created"
    assert public_event(created, 0)["type"] == "state"


def test_profile_gap_checklist_metrics() -> None:
    profile = MediaProfile(
        session=SESSION,
        n=1,
        command=3,
        rung="L1",
        max_bitrate=16_000,
        ptime_ms=40,
        fec=True,
        dtx=True,
        nack=False,
    )
    assert public_event(profile, 0) == COMMON | {
        "type": "profile",
        "command": 3,
        "rung": "L1",
        "max_bitrate": 16_000,
        "ptime_ms": 40,
        "fec": True,
        "dtx": True,
        "nack": False,
    }
    gap = Gap(session=SESSION, n=1, first_sample=16_000, n_samples=8_000)
    assert public_event(gap, 0) == COMMON | {"type": "gap", "start": 1.0, "duration": 0.5, "reason": "lost"}
    stage = StageStatus(id="greet", title="Greet", weight=2, done=True, at_sample=16_000)
    assert public_event(Checklist(session=SESSION, n=1, stages=(stage,)), 0)["stages"] == [
        {"id": "greet", "title": "Greet", "weight": 2, "done": True, "at": 1.0}
    ]
    metrics = VisitMetrics(
        session=SESSION,
        n=1,
        speech_s=1.0,
        words=2,
        questions=0,
        stage_coverage=0.5,
        cues_shown=1,
        order_lines=0,
    )
    shown = public_event(metrics, 0)
    assert shown["talk_share"] is None
    assert "n" not in shown


def test_a_summary_orders_objections_by_time() -> None:
    shown = public_event(summary(1), 0)
    assert shown["stages"] == ["greet"]
    assert shown["objections"] == ["no_space", "credit"]
    assert shown["orders"] == [{"sku": "soap-75", "qty": 2, "unit": "case"}]
    assert [stage["at"] for stage in shown["checklist"]] == [1.0, None]


def test_what_is_not_public_stays_inside() -> None:
    complete = TranscriptComplete(session=SESSION, n=1, epoch=1, end_sample=0)
    assert not is_public(complete)
    assert not is_public(ProfileApplied(session=SESSION, n=1, command=1, rung="L1"))
    with pytest.raises(ValueError, match="not public"):
        public_event(complete, 0)
