"""The course of a session, from any service to any."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .base import Language, Message, Rung, SessionId


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


class SenderStats(BaseModel):
    """What the phone says of its media, None where it does not know: counters since the connection began.

    `bytes_sent` is payload, `header_bytes_sent` RTP headers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rtt_ms: float | None = None
    packets_sent: int | None = None
    bytes_sent: int | None = None
    header_bytes_sent: int | None = None
    retransmitted: int | None = None


class ProfileApplied(Message):
    """gateway: the phone sends by this command of a `MediaProfile` from now on.

    `stats` is the sender's view at that moment, if it gave one.
    """

    kind: Literal["profile.applied"] = "profile.applied"
    session: SessionId
    n: int
    command: int
    rung: Rung
    stats: SenderStats | None = None


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


class StageTicked(Message):
    """gateway: the salesperson ticked a stage of the checklist off by hand, or took the tick back."""

    kind: Literal["stage.ticked"] = "stage.ticked"
    session: SessionId
    n: int
    stage: str = Field(max_length=48)
    done: bool = True


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
