"""Every message on the bus but the PCM chunk: frozen pydantic models in MessagePack.

Each has `v` (its version) and `kind`. Numbers named `*_sample` are on the session's clock, 16 kHz since
its first sample; `*_ms` are durations; `*_at` are wall-clock milliseconds since 1970.
"""

from .base import MAX_SDP_BYTES, Language, Message, Problem, Rung, SessionId
from .coaching import (
    Checklist,
    Cue,
    ObjectionRaised,
    OrderLine,
    StageStatus,
    Summary,
    VisitMetrics,
)
from .control import (
    CueAcknowledged,
    Gap,
    MediaProfile,
    MissingAudio,
    MissingRange,
    ProfileApplied,
    SenderStats,
    SessionCreated,
    SessionEnding,
    SessionMoved,
    SessionState,
    TranscriptComplete,
)
from .events import MAX_EVENT_BYTES, WRITERS, EventMessage, decode_event, message_id
from .recognition import (
    Ack,
    AckBatch,
    BackfillAudio,
    BackfillReply,
    ClaimReply,
    ClaimRequest,
    WorkerHeartbeat,
)
from .signalling import (
    MAX_OPUS_BYTES,
    BackfillPackets,
    IngestHeartbeat,
    OpusFrames,
    OpusPacket,
    SignalReply,
    SignalRequest,
)
from .transcripts import MAX_DOUBTS, DoubtfulSpan, FinalTranscript, PartialTranscript, Timing, Word

__all__ = [
    "MAX_DOUBTS",
    "MAX_EVENT_BYTES",
    "MAX_OPUS_BYTES",
    "MAX_SDP_BYTES",
    "WRITERS",
    "Ack",
    "AckBatch",
    "BackfillAudio",
    "BackfillPackets",
    "BackfillReply",
    "Checklist",
    "ClaimReply",
    "ClaimRequest",
    "Cue",
    "CueAcknowledged",
    "DoubtfulSpan",
    "EventMessage",
    "FinalTranscript",
    "Gap",
    "IngestHeartbeat",
    "Language",
    "MediaProfile",
    "Message",
    "MissingAudio",
    "MissingRange",
    "ObjectionRaised",
    "OpusFrames",
    "OpusPacket",
    "OrderLine",
    "PartialTranscript",
    "Problem",
    "ProfileApplied",
    "Rung",
    "SenderStats",
    "SessionCreated",
    "SessionEnding",
    "SessionId",
    "SessionMoved",
    "SessionState",
    "SignalReply",
    "SignalRequest",
    "StageStatus",
    "Summary",
    "Timing",
    "TranscriptComplete",
    "VisitMetrics",
    "Word",
    "WorkerHeartbeat",
    "decode_event",
    "message_id",
]
