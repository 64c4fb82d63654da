"""Every message on the bus but the PCM chunk: frozen pydantic models in MessagePack.

Each has `v` (its version) and `kind`. Numbers named `*_sample` are on the session's clock, 16 kHz since
its first sample; `*_ms` are durations; `*_at` are wall-clock milliseconds since 1970.
"""

from typing import Annotated, Any, Literal, Self

import msgpack
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .errors import MessageRejected

MAX_EVENT_BYTES = 16 * 1024
MAX_SDP_BYTES = 64 * 1024
MAX_OPUS_BYTES = 1_275
"""RFC 6716 section 3.2.1: the longest frame, more than our packets of speech (360)."""

SessionId = Annotated[str, Field(pattern=r"^[a-z0-9]{26}$")]
Rung = Literal["L0", "L1", "L2", "L3", "L4", "L5"]
"""Of the ladder, from the top; L5 stands for no connection."""
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,8})?$")]


class Message(BaseModel):
    """A bus message. Unknown fields are refused: a new field means a new version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Literal[1] = 1

    def encode(self) -> bytes:
        """MessagePack of the fields."""
        packed: bytes = msgpack.packb(self.model_dump(mode="python"), use_bin_type=True)
        return packed

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Check and unpack.

        Raises:
            MessageRejected: not MessagePack, another version, or a field that does not fit.
        """
        message: Self = _validate(TypeAdapter(cls), data, cls.__name__)
        return message


def _unpack(data: bytes, name: str) -> Any:
    if len(data) > 4 * MAX_SDP_BYTES:
        raise MessageRejected(name, "too-long")
    try:
        return msgpack.unpackb(data)
    except Exception as error:  # msgpack raises five unrelated classes on bad bytes
        raise MessageRejected(name, "not-msgpack") from error


def _validate(adapter: TypeAdapter[Any], data: bytes, name: str) -> Any:
    fields = _unpack(data, name)
    if isinstance(fields, dict) and fields.get("v") != 1:
        raise MessageRejected(name, "version")
    try:
        return adapter.validate_python(fields)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "message"
        raise MessageRejected(name, f"field {where}") from error


class Problem(BaseModel):
    """What went wrong, for a person and a program (RFC 9457). `field` and `fix` say what to change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = ""
    field: str | None = None
    fix: str | None = None
    retry_after_s: int | None = None


# ── ingest ⇄ asr ─────────────────────────────────────────────────────────────────────────────────────────


class WorkerHeartbeat(Message):
    """asr → ingests, 2-4 Hz. `bye` is the last one: hand over at once."""

    kind: Literal["asr.hb"] = "asr.hb"
    worker: SessionId
    slots: int = Field(ge=0)
    used: int = Field(ge=0)
    real_time_factor: float = Field(ge=0)
    lag_ms: float = Field(ge=0)
    draining: bool = False
    bye: bool = False
    engine: str
    model: str


class ClaimRequest(Message):
    """ingest → one asr worker: take this session from `from_seq` on."""

    kind: Literal["asr.claim"] = "asr.claim"
    session: SessionId
    epoch: int = Field(ge=1)
    from_seq: int = Field(ge=0)
    ingest: SessionId
    languages: tuple[Language, ...] = ("en",)


class ClaimReply(Message):
    """The worker's answer. `reason` when refused: `full`, `draining`, `not-ready`, `bad-request`."""

    kind: Literal["asr.claim.reply"] = "asr.claim.reply"
    accepted: bool
    reason: str | None = None


class Ack(BaseModel):
    """What the worker can rebuild no more: everything before `seq` may be forgotten."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: SessionId
    epoch: int
    seq: int


class AckBatch(Message):
    """asr → one ingest, 4 Hz: cumulative acks of all its sessions."""

    kind: Literal["ack"] = "ack"
    worker: SessionId
    acks: tuple[Ack, ...]


class BackfillAudio(Message):
    """ingest → the session's worker: sound of a missing range that came afterwards, a request per piece.

    The range's PCM (16 kHz mono s16) begins at `first_sample`. It reaches over the hole's edges, so that no
    word is heard in halves; only words in `hole_first_sample` … `hole_end_sample` are new.
    """

    kind: Literal["asr.backfill"] = "asr.backfill"
    session: SessionId
    range: int = Field(ge=1)
    first_sample: int = Field(ge=0)
    hole_first_sample: int = Field(ge=0)
    hole_end_sample: int = Field(ge=0)
    late_ms: float = Field(ge=0)
    piece: int = Field(default=0, ge=0)
    pieces: int = Field(default=1, ge=1, le=64)
    pcm: bytes = Field(max_length=64 * 1024)


class BackfillReply(Message):
    """The worker's answer: at once to a piece, to the last one when the finals of the range are out.

    `reason` when refused: `unclaimed`, `draining`, `ending`, `bad-request`.
    """

    kind: Literal["asr.backfill.reply"] = "asr.backfill.reply"
    accepted: bool
    reason: str | None = None


# ── gateway ⇄ ingest ─────────────────────────────────────────────────────────────────────────────────────


class IngestHeartbeat(Message):
    """ingest → gateways, 2 Hz."""

    kind: Literal["ingest.hb"] = "ingest.hb"
    ingest: SessionId
    sessions: int = Field(ge=0)
    capacity: int = Field(ge=0)
    asr_slots_free: int = Field(ge=0)
    draining: bool = False


class SignalRequest(Message):
    """gateway → the ingest of a session. `sdp` is the offer, or the ICE fragment of `restart` and `trickle`.

    `resource` is the WHIP session that is meant, empty for the present one. `etag` holds the ICE sessions
    that the client knows (`If-Match`), comma-separated. `audio` announces sound by `OpusFrames`; its
    `resource` is their `source`. `resumes` says that another ingest had the session and is gone: the event
    stream tells where its timeline stands.
    """

    kind: Literal["sig"] = "sig"
    action: Literal["offer", "audio", "restart", "trickle", "pause", "resume", "close", "end"]
    session: SessionId
    languages: tuple[Language, ...] = ("en",)
    sdp: str = Field(default="", max_length=MAX_SDP_BYTES)
    resource: str = Field(default="", max_length=64)
    etag: str = Field(default="", max_length=512)
    resumes: bool = False


class SignalReply(Message):
    """The ingest's answer: an SDP answer or fragment with the ICE session's `etag`, or the problem to show.

    The first `etag` of a peer connection is also the name of its WHIP resource.
    """

    kind: Literal["sig.reply"] = "sig.reply"
    sdp: str = Field(default="", max_length=MAX_SDP_BYTES)
    etag: str = ""
    problem: Problem | None = None


class OpusPacket(BaseModel):
    """One Opus packet with its RTP sequence number and its timestamp at 48 kHz; both wrap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence: int = Field(ge=0, le=0xFFFF)
    timestamp: int = Field(ge=0, le=0xFFFF_FFFF)
    payload: bytes = Field(min_length=1, max_length=MAX_OPUS_BYTES, repr=False)


class OpusFrames(Message):
    """gateway → the ingest of a session: Opus that did not come by RTP.

    `live` is sound as it is captured, by a phone whose UDP is blocked; `source` names its connection, as an
    SSRC names a stream. `backfill` is sound that was lost; `source` names the upload, `last` is its end.
    """

    kind: Literal["opus"] = "opus"
    session: SessionId
    source: SessionId
    purpose: Literal["live", "backfill"] = "live"
    packets: tuple[OpusPacket, ...] = ()
    last: bool = False


class BackfillPackets(Message):
    """gateway → the ingest of a session: a piece of an upload, at most 48 KiB of whole records.

    `records` is as in `fieldcoach.common.backfill`.
    """

    kind: Literal["backfill"] = "backfill"
    session: SessionId
    records: bytes = Field(max_length=48 * 1024)


# ── transcripts: asr → coach, gateway ────────────────────────────────────────────────────────────────────


class Word(BaseModel):
    """One recognised word with its place on the session's clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    start_sample: int
    end_sample: int
    confidence: float = Field(ge=0, le=1)


class Timing(BaseModel):
    """Where the time of a final went, measured inside the worker.

    `heard_at`: arrival of the chunk that holds the last speech sample. Then `endpoint_ms` of waiting for
    silence, then `asr_ms` of decoding that the wait did not hide, then it was published at `published_at`.
    `decode_ms` is the whole cost of the decode, hidden or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    heard_at: float
    endpoint_ms: float = Field(ge=0)
    asr_ms: float = Field(ge=0)
    decode_ms: float = Field(ge=0)
    published_at: float


class PartialTranscript(Message):
    """The open utterance so far. `committed` only grows; `tentative` may change. Latest `n` wins."""

    kind: Literal["partial"] = "partial"
    session: SessionId
    epoch: int
    utterance: int
    n: int
    first_sample: int
    end_sample: int
    committed: str
    tentative: str
    language: Language


class FinalTranscript(Message):
    """One utterance, once. Readers drop lower epochs and trim what lies before `committed_until`.

    With `backfill` it was heard afterwards, in sound that came late: it belongs before what is out already,
    its `utterance` is negative, and it fires nothing.
    """

    kind: Literal["final"] = "final"
    session: SessionId
    epoch: int
    utterance: int
    n: int
    first_sample: int
    end_sample: int
    text: str = Field(max_length=4_000)
    words: tuple[Word, ...] = ()
    language: Language
    speaker: Literal["rep", "other", "unknown"] = "unknown"
    confidence: float = Field(ge=0, le=1)
    low_confidence: bool = False
    concealed_ms: float = Field(default=0, ge=0)
    late_ms: float = Field(default=0, ge=0)
    backfill: bool = False
    engine: str
    model: str
    timing: Timing


# ── coach → gateway ──────────────────────────────────────────────────────────────────────────────────────


class Cue(Message):
    """One line of advice. `id` is unique; `cue` names the playbook's rule; late after `expires_at`.

    `trigger_n` is the final that fired it, `trigger_published_at` and `coach_ms` say where its time went.
    """

    kind: Literal["cue"] = "cue"
    session: SessionId
    n: int
    id: SessionId
    cue: str
    objection: str | None = None
    title: str = ""
    text: str
    severity: Literal["info", "suggest", "warn"] = "suggest"
    haptic: Literal["none", "short", "long"] = "short"
    ttl_ms: int = Field(ge=0)
    expires_at: float
    source: Literal["rule", "llm"] = "rule"
    trigger_n: int | None = None
    trigger_end_sample: int | None = None
    trigger_timing: Timing | None = None
    coach_ms: float = 0


class StageStatus(BaseModel):
    """One stage of the outlet call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    weight: int
    done: bool
    at_sample: int | None = None


class Checklist(Message):
    """The whole checklist, sent when a stage changes."""

    kind: Literal["checklist"] = "checklist"
    session: SessionId
    n: int
    stages: tuple[StageStatus, ...]


class VisitMetrics(Message):
    """Figures of the visit so far. What needs to know who spoke is None while that is unsure."""

    kind: Literal["metrics"] = "metrics"
    session: SessionId
    n: int
    speech_s: float
    words: int
    questions: int
    stage_coverage: float
    cues_shown: int
    order_lines: int
    talk_share: float | None = None


class OrderLine(BaseModel):
    """One line of the order as agreed in the conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: str
    qty: int
    unit: str


class ObjectionRaised(BaseModel):
    """An objection the coach heard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    at_sample: int


class Summary(Message):
    """The end of the visit: score 0-100 by weighted stages, the order, the objections, at most two tips."""

    kind: Literal["summary"] = "summary"
    session: SessionId
    n: int
    score: int = Field(ge=0, le=100)
    stages: tuple[StageStatus, ...]
    objections: tuple[ObjectionRaised, ...]
    orders: tuple[OrderLine, ...]
    tips: tuple[str, ...] = ()
    text: str = ""
    source: Literal["rules", "llm"] = "rules"
    duration_s: float
    playbook: str
    playbook_version: int


CoachMessage = Annotated[Cue | Checklist | VisitMetrics | Summary, Field(discriminator="kind")]


# ── control: any → coach, gateway, ingest ────────────────────────────────────────────────────────────────


class SessionCreated(Message):
    """gateway: a visit begins. No name of a person, only ids."""

    kind: Literal["created"] = "created"
    session: SessionId
    n: int
    ingest: SessionId
    playbook: str
    level: Literal["novice", "standard", "minimal"] = "standard"
    languages: tuple[Language, ...] = ("en",)
    created_at: float


class SessionMoved(Message):
    """gateway: the session's ingest was gone, this one has it from now on."""

    kind: Literal["moved"] = "moved"
    session: SessionId
    n: int
    ingest: SessionId


class SessionState(Message):
    """ingest: the state of the media. `degraded` says why the transcript may lag, None when all is well."""

    kind: Literal["state"] = "state"
    session: SessionId
    n: int
    state: Literal["created", "connecting", "live", "paused", "suspended", "ended"]
    reason: str = ""
    degraded: str | None = None
    sample: int = 0


class MediaProfile(Message):
    """ingest: what the phone is asked to send.

    `command` rises with each change; one that was not acknowledged is told again with the same number.
    """

    kind: Literal["profile"] = "profile"
    session: SessionId
    n: int
    command: int = Field(ge=1)
    rung: Rung
    max_bitrate: int
    ptime_ms: int
    fec: bool
    dtx: bool
    nack: bool


class ProfileApplied(Message):
    """gateway: the phone sends by this command of a `MediaProfile` from now on."""

    kind: Literal["profile.applied"] = "profile.applied"
    session: SessionId
    n: int
    command: int
    rung: Rung


class Gap(Message):
    """ingest: audio that never came."""

    kind: Literal["gap"] = "gap"
    session: SessionId
    n: int
    first_sample: int
    n_samples: int
    reason: str = "lost"


class MissingRange(BaseModel):
    """A hole that the phone is asked to fill from its memory.

    `first_timestamp` is the RTP timestamp of `first_sample` on the clock of the stream `ssrc`, also where
    that stream had not begun yet: the phone knows its own streams' clocks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    range: int = Field(ge=1)
    first_sample: int
    end_sample: int
    ssrc: int
    first_timestamp: int
    last_timestamp: int


class MissingAudio(Message):
    """ingest: all that is missing and may still come; replaces the list before. Empty when nothing is."""

    kind: Literal["missing"] = "missing"
    session: SessionId
    n: int
    ranges: tuple[MissingRange, ...]


class CueAcknowledged(Message):
    """gateway: what the phone did with a cue."""

    kind: Literal["cue.ack"] = "cue.ack"
    session: SessionId
    n: int
    id: SessionId
    action: Literal["shown", "dismissed", "acted", "expired"]
    at: float


class SessionEnding(Message):
    """gateway or ingest: the visit is over; the coach sums up once the transcript is complete."""

    kind: Literal["ending"] = "ending"
    session: SessionId
    n: int
    reason: str


class TranscriptComplete(Message):
    """asr: after the last final of an ended session; nothing more will be said."""

    kind: Literal["transcript.complete"] = "transcript.complete"
    session: SessionId
    n: int
    epoch: int
    end_sample: int


ControlMessage = Annotated[
    SessionCreated
    | SessionMoved
    | SessionState
    | MediaProfile
    | ProfileApplied
    | Gap
    | MissingAudio
    | CueAcknowledged
    | SessionEnding
    | TranscriptComplete,
    Field(discriminator="kind"),
]

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
    "ending": "g",
    "profile.applied": "g",
}
"""Who numbers an event: numbers rise per session and writer, so a reader's position is one number each."""


def decode_event(data: bytes) -> EventMessage:
    """Check and unpack any durable event.

    Raises:
        MessageRejected: as `Message.decode`.
    """
    event: EventMessage = _validate(_EVENT, data, "event")
    return event


def message_id(event: EventMessage) -> str:
    """`Nats-Msg-Id`, by which JetStream drops a second copy within two minutes."""
    epoch = getattr(event, "epoch", 0)
    return f"{event.session}:{epoch}:{WRITERS[event.kind]}{event.n}"
