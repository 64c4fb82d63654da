"""What every message has: version, kind, checks on both sides, and the types that several share."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, TypeVar

import msgpack
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import MessageRejected

MAX_SDP_BYTES = 64 * 1024

T = TypeVar("T")

SessionId = Annotated[str, Field(pattern=r"^[a-z0-9]{26}$")]
Rung = Literal["L0", "L1", "L2", "L3", "L4", "L5"]
"""Of the ladder, from the top; on L5 the phone keeps its sound, or nothing comes."""
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
        return check(cls.model_validate, data, cls.__name__)


def _unpack(data: bytes, name: str) -> Any:
    if len(data) > 4 * MAX_SDP_BYTES:
        raise MessageRejected(name, "too-long")
    try:
        return msgpack.unpackb(data)
    except Exception as error:  # msgpack raises five unrelated classes on bad bytes
        raise MessageRejected(name, "not-msgpack") from error


def check(validate: Callable[[object], T], data: bytes, name: str) -> T:
    """Unpack, and check by pydantic's `validate`; `name` is what errors call it.

    Raises:
        MessageRejected: as `Message.decode`.
    """
    fields = _unpack(data, name)
    if isinstance(fields, dict) and fields.get("v") != 1:
        raise MessageRejected(name, "version")
    try:
        return validate(fields)
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
