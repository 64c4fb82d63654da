"""Bus messages as the JSON events of `docs/protocol.md`. Pure.

Samples become seconds on the session's clock; what only the inside needs (numbers, epochs) stays inside.
"""

from typing import Any

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.messages import (
    Checklist,
    Cue,
    EventMessage,
    FinalTranscript,
    Gap,
    MediaProfile,
    MissingAudio,
    PartialTranscript,
    SessionCreated,
    SessionState,
    StageStatus,
    Summary,
    Timing,
    VisitMetrics,
    VisitNote,
)

Json = dict[str, Any]

_INTERNAL = frozenset(
    {"cue.ack", "ending", "moved", "profile.applied", "stage.ticked", "transcript.complete"}
)


def seconds(sample: int) -> float:
    """A place on the session's clock, to the millisecond."""
    return round(sample / SAMPLE_RATE, 3)


def is_public(event: EventMessage) -> bool:
    """Whether clients see events of this kind."""
    return event.kind not in _INTERNAL


def public_event(event: EventMessage, sent_at: float) -> Json:
    """The event for the client; `sent_at` is the moment of sending, in ms since 1970.

    Raises:
        ValueError: the kind is not public.
    """
    match event:
        case FinalTranscript():
            fields = _final(event, sent_at)
        case Cue():
            fields = _cue(event, sent_at)
        case Checklist():
            fields = {"stages": _stages(event.stages)}
        case VisitMetrics():
            fields = event.model_dump(exclude={"v", "kind", "session", "n"})
        case Summary():
            fields = public_summary(event)
        case SessionCreated():
            fields = {"state": "created", "reason": "", "degraded": None, "at": 0.0}
        case SessionState():
            fields = {
                "state": event.state,
                "reason": event.reason,
                "degraded": event.degraded,
                "at": seconds(event.sample),
            }
        case MediaProfile():
            fields = event.model_dump(exclude={"v", "kind", "session", "n"})
        case Gap():
            fields = {
                "start": seconds(event.first_sample),
                "duration": seconds(event.n_samples),
                "reason": event.reason,
            }
        case MissingAudio():
            fields = {
                "ranges": [
                    {
                        "range": missing.range,
                        "start": seconds(missing.first_sample),
                        "end": seconds(missing.end_sample),
                        "ssrc": missing.ssrc,
                        "first_timestamp": missing.first_timestamp,
                        "last_timestamp": missing.last_timestamp,
                    }
                    for missing in event.ranges
                ]
            }
        case _:
            raise ValueError(f"{event.kind} is not public")
    kind = "state" if event.kind == "created" else event.kind
    return {"type": kind, "session": event.session} | fields


def public_partial(partial: PartialTranscript) -> Json:
    """The open utterance so far."""
    return {
        "type": "partial",
        "session": partial.session,
        "utterance": partial.utterance,
        "start": seconds(partial.first_sample),
        "end": seconds(partial.end_sample),
        "committed": partial.committed,
        "tentative": partial.tentative,
        "language": partial.language,
    }


def public_summary(summary: Summary) -> Json:
    """What the visit gave."""
    return {
        "score": summary.score,
        "stages": [stage.id for stage in summary.stages if stage.done],
        "objections": [
            raised.id for raised in sorted(summary.objections, key=lambda raised: raised.at_sample)
        ],
        "orders": [line.model_dump() for line in summary.orders],
        "checklist": _stages(summary.stages),
        "tips": list(summary.tips),
        "text": summary.text,
        "source": summary.source,
        "duration_s": summary.duration_s,
        "playbook": summary.playbook,
        "playbook_version": summary.playbook_version,
        "promises": [_note(note) for note in summary.promises],
        "claims": [_note(note) for note in summary.claims],
    }


def _note(note: VisitNote) -> Json:
    return {"id": note.id, "title": note.title, "at": seconds(note.at_sample), "text": note.text}


def _final(final: FinalTranscript, sent_at: float) -> Json:
    return {
        "utterance": final.utterance,
        "start": seconds(final.first_sample),
        "end": seconds(final.end_sample),
        "text": final.text,
        "words": [
            {
                "text": word.text,
                "start": seconds(word.start_sample),
                "end": seconds(word.end_sample),
                "confidence": word.confidence,
            }
            for word in final.words
        ],
        "language": final.language,
        "speaker": final.speaker,
        "confidence": final.confidence,
        "low_confidence": final.low_confidence,
        "doubts": [
            {
                "start": seconds(doubt.first_sample),
                "end": seconds(doubt.end_sample),
                "reason": doubt.reason,
            }
            for doubt in final.doubts
        ],
        "concealed_ms": final.concealed_ms,
        "late_ms": final.late_ms,
        "backfill": final.backfill,
        "engine": final.engine,
        "model": final.model,
        "timing": _timing(final.timing) | {"sent_at": sent_at},
    }


def _cue(cue: Cue, sent_at: float) -> Json:
    trigger: Json | None = None
    if cue.trigger_end_sample is not None:
        trigger = {
            "end": seconds(cue.trigger_end_sample),
            "timing": _timing(cue.trigger_timing) if cue.trigger_timing else None,
        }
    return {
        "cue_id": cue.id,
        "cue": cue.cue,
        "objection": cue.objection,
        "title": cue.title,
        "text": cue.text,
        "severity": cue.severity,
        "haptic": cue.haptic,
        "ttl_ms": cue.ttl_ms,
        "expires_at": cue.expires_at,
        "source": cue.source,
        "trigger": trigger,
        "coach_ms": cue.coach_ms,
        "sent_at": sent_at,
    }


def _timing(timing: Timing) -> Json:
    return timing.model_dump()


def _stages(stages: tuple[StageStatus, ...]) -> list[Json]:
    return [
        {
            "id": stage.id,
            "title": stage.title,
            "weight": stage.weight,
            "done": stage.done,
            "at": None if stage.at_sample is None else seconds(stage.at_sample),
        }
        for stage in stages
    ]
