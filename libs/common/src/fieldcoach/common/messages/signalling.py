"""Between gateway and ingest: signalling, and Opus that did not come by RTP."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .base import MAX_SDP_BYTES, Language, Message, Problem, SessionId

MAX_OPUS_BYTES = 1_275
"""RFC 6716 section 3.2.1: the longest frame, more than our packets of speech (360)."""


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
    playbook: str | None = Field(default=None, max_length=64)
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
