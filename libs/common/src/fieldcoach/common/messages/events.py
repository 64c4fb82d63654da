"""Durable events: whatever the event stream keeps, in one union."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from .base import check
from .coaching import Checklist, Cue, Summary, VisitMetrics
from .control import (
    CueAcknowledged,
    Gap,
    MediaProfile,
    MissingAudio,
    ProfileApplied,
    SessionCreated,
    SessionEnding,
    SessionMoved,
    SessionState,
    StageTicked,
    TranscriptComplete,
)
from .transcripts import FinalTranscript

MAX_EVENT_BYTES = 16 * 1024

EventMessage = Annotated[
    FinalTranscript
    | Cue
    | Checklist
    | VisitMetrics
    | Summary
    | SessionCreated
    | SessionMoved
    | SessionState
    | MediaProfile
    | ProfileApplied
    | Gap
    | MissingAudio
    | CueAcknowledged
    | StageTicked
    | SessionEnding
    | TranscriptComplete,
    Field(discriminator="kind"),
]
"""Anything that the event stream keeps."""

_EVENT: TypeAdapter[EventMessage] = TypeAdapter(EventMessage)

WRITERS: dict[str, str] = {
    "final": "a",
    "transcript.complete": "a",
    "cue": "c",
    "checklist": "c",
    "metrics": "c",
    "summary": "c",
    "state": "i",
    "profile": "i",
    "gap": "i",
    "missing": "i",
    "created": "g",
    "moved": "g",
    "cue.ack": "g",
    "stage.ticked": "g",
    "ending": "g",
    "profile.applied": "g",
}
"""Who numbers an event: numbers rise per session and writer, so a reader's position is one number each.

All events of a writer go out on one subject: over two a reader would see them in any order, and take what is
first for the newest.
"""


def decode_event(data: bytes) -> EventMessage:
    """Check and unpack any durable event.

    Raises:
        MessageRejected: as `Message.decode`.
    """
    return check(_EVENT.validate_python, data, "event")


def message_id(event: EventMessage) -> str:
    """`Nats-Msg-Id`, by which JetStream drops a second copy within two minutes."""
    epoch = getattr(event, "epoch", 0)
    return f"{event.session}:{epoch}:{WRITERS[event.kind]}{event.n}"
