"""Bodies of requests and answers, as the OpenAPI document shows them."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from fieldcoach.common.messages import Language, SessionId

PlaybookId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class Consent(BaseModel):
    """What the person on the spot was told and said."""

    model_config = ConfigDict(extra="forbid")

    given: bool = Field(description="No audio is taken without it")
    language: Language = Field("en", description="Of the text that was shown or spoken")
    version: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,32}$", description="Of that text")


class CreateSession(BaseModel):
    """A visit begins."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "playbook": "outlet-en",
                "languages": ["en"],
                "level": "standard",
                "consent": {"given": True, "language": "en", "version": "2026-11"},
            }
        },
    )

    playbook: PlaybookId | None = Field(None, description="Left out: the gateway's default")
    languages: tuple[Language, ...] = Field(("en",), min_length=1, max_length=4)
    level: Literal["novice", "standard", "minimal"] = "standard"
    consent: Consent


class IceServer(BaseModel):
    """As in `RTCConfiguration.iceServers`."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class StartProfile(BaseModel):
    """What the client should send to begin with; changes come as `profile` events."""

    rung: str = "L1"
    max_bitrate: int = 16_000
    ptime_ms: int = 40
    fec: bool = True
    dtx: bool = True
    nack: bool = False


class AsrInfo(BaseModel):
    """What turns speech into text."""

    engine: str
    model: str


class SessionAnswer(BaseModel):
    """A new session. The URLs are relative to the gateway."""

    session_id: SessionId
    session_token: str
    expires_in: int
    whip_url: str
    audio_url: str
    events_url: str
    end_url: str
    summary_url: str
    ice_servers: list[IceServer]
    profile: StartProfile
    asr: AsrInfo
    consent_text: str


class EndAnswer(BaseModel):
    """The visit is being summed up."""

    state: Literal["ending"] = "ending"


class OrderLineAnswer(BaseModel):
    """One line of the order."""

    sku: str
    qty: int
    unit: str


class StageAnswer(BaseModel):
    """One stage of the visit; `at` is in seconds on the session's clock."""

    id: str
    title: str
    weight: int
    done: bool
    at: float | None


class NoteAnswer(BaseModel):
    """A promise or a claim; `at` is in seconds on the session's clock, `text` what was said."""

    id: str
    title: str
    at: float
    text: str


class SummaryAnswer(BaseModel):
    """What the visit gave."""

    type: Literal["summary"] = "summary"
    session: SessionId
    score: int = Field(ge=0, le=100)
    stages: list[str]
    objections: list[str]
    orders: list[OrderLineAnswer]
    checklist: list[StageAnswer]
    tips: list[str]
    text: str
    source: Literal["rules", "llm"]
    duration_s: float
    playbook: str
    playbook_version: int
    promises: list[NoteAnswer]
    claims: list[NoteAnswer]


class PendingAnswer(BaseModel):
    """Not yet."""

    state: Literal["pending"] = "pending"


class DevTokenAnswer(BaseModel):
    """A user token for trying things out."""

    token: str
    expires_in: int


class ProblemDetails(BaseModel):
    """RFC 9457. `field` says what is wrong, `fix` what to do."""

    type: str = Field(examples=["urn:fieldcoach:problem:invalid"])
    title: str
    status: int
    detail: str
    field: str | None = None
    fix: str | None = None
    retry_after_s: int | None = None


_EXPLANATIONS: Final[dict[int, str]] = {
    400: "The body can't be used: `bad-request`, `bad-sdp`, `no-audio`, `unsupported-codec`",
    401: "No or no valid token: `token-missing`, `token-invalid`, `token-expired`",
    403: "`not-yours` (also for a session that does not exist), `consent-missing`, `origin`",
    404: "`not-found`",
    406: "`not-acceptable`: the `Accept` header leaves nothing to send",
    409: "`replaced`: a newer peer connection of the session is in use",
    412: "`etag-mismatch`: the ICE session is another one by now",
    413: "`too-large`: more than 64 KiB",
    415: "`unsupported-media-type`",
    422: "`invalid`: `field` names what is wrong; `not-supported` of an ICE fragment",
    428: "`if-match-missing`",
    429: "`too-many`; see `Retry-After`",
    503: "`no-capacity` or `not-ready`; see `Retry-After`",
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of an operation, for its OpenAPI entry."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        status: {
            "description": _EXPLANATIONS[status],
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }
