"""Between ingest and asr: who recognises what and how far it is. For live PCM: `fieldcoach.common.audio`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .base import Language, Message, SessionId


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
    languages: tuple[Language, ...] = ()
    """What a session may be spoken in; empty while the model is not there."""


class ClaimRequest(Message):
    """ingest → one asr worker: take this session from `from_seq` on."""

    kind: Literal["asr.claim"] = "asr.claim"
    session: SessionId
    epoch: int = Field(ge=1)
    from_seq: int = Field(ge=0)
    ingest: SessionId
    languages: tuple[Language, ...] = ("en",)
    playbook: str | None = Field(default=None, max_length=64)
    """Whose vocabulary is likely to be heard."""


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
    word is heard in halves; only words at `hole_first_sample` … `hole_end_sample` can be new.
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
