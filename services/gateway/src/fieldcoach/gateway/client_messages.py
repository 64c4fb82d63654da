"""What a client may say on its events connection, checked. Pure."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from fieldcoach.common.messages import Problem, Rung, SessionId

from .errors import BadMessage
from .problems import problem

MAX_BAD: Final = 20
"""A client with a mistake shows it sooner; one that goes on costs without use."""
COUNTER_MAX: Final = 1 << 53
"""The largest integer that a browser counts to."""


class _ClientMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Acknowledge(_ClientMessage):
    """What became of a cue on the screen. `at` is the phone's wall clock in ms, if it knows."""

    type: Literal["ack"]
    cue_id: SessionId
    action: Literal["shown", "dismissed", "acted", "expired"]
    at: float | None = None


class Tick(_ClientMessage):
    """A stage of the checklist is done, or is not after all, says the salesperson."""

    type: Literal["tick"]
    stage: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,47}$")
    done: bool = True


class Pause(_ClientMessage):
    """Audio stops."""

    type: Literal["pause"]


class Resume(_ClientMessage):
    """Audio goes on."""

    type: Literal["resume"]


class End(_ClientMessage):
    """The visit is over."""

    type: Literal["end"]


class SenderFigures(_ClientMessage):
    """The sender's own view of its media; counters since the start of the connection."""

    rtt_ms: float | None = Field(default=None, ge=0, le=60_000)
    packets_sent: int | None = Field(default=None, ge=0, le=COUNTER_MAX)
    bytes_sent: int | None = Field(default=None, ge=0, le=COUNTER_MAX)
    header_bytes_sent: int | None = Field(default=None, ge=0, le=COUNTER_MAX)
    retransmitted: int | None = Field(default=None, ge=0, le=COUNTER_MAX)


class Applied(_ClientMessage):
    """Sound is sent by this command of a `profile` event from now on."""

    type: Literal["applied"]
    command: int = Field(ge=1, le=COUNTER_MAX)
    rung: Rung
    stats: SenderFigures | None = None


class Stats(SenderFigures):
    """The sender's own view of its media, told every few seconds."""

    type: Literal["stats"]


class Ping(_ClientMessage):
    """Answered by a pong with the same `t`."""

    type: Literal["ping"]
    t: int | float | Annotated[str, Field(max_length=64)] | None = None


ClientMessage = Acknowledge | Tick | Applied | Pause | Resume | End | Stats | Ping

_ADAPTER: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])
_TYPES: Final = "ack, tick, applied, pause, resume, end, stats, ping"


def parse_client_message(text: str | None) -> ClientMessage:
    """Check one WebSocket message; None stands for a binary one.

    Raises:
        BadMessage: carries the problem to show, which names the field but never repeats its content.
    """
    if text is None:
        raise BadMessage(
            problem(
                "bad-request", "the message is binary", field="message", fix="send JSON in a text message"
            )
        )
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise BadMessage(_explain(error.errors(include_input=False, include_url=False)[0])) from None


def _explain(error: ErrorDetails) -> Problem:
    kind: str = error["type"]
    if kind == "json_invalid":
        return problem(
            "bad-request", "the message is not JSON", field="message", fix="send one JSON object a message"
        )
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return problem("invalid", "no known type of message", field="type", fix=f"one of {_TYPES}")
    path: tuple[Any, ...] = error["loc"][1:]  # the first is the type of the message
    if not path:
        return problem("bad-request", "the message is no object", field="message", fix="send one JSON object")
    return problem(
        "invalid",
        error["msg"],
        field=str(path[0]),
        fix="leave it out" if kind == "extra_forbidden" else "see the protocol page",
    )
