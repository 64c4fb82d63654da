"""A visit with gold marks: what each line does, raises and agrees."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import TranscriptInvalid
from ..orders import Line


class MarkedLine(BaseModel):
    """One line of a script; times are seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: float = Field(ge=0)
    end: float = Field(ge=0)
    text: str
    speaker: str = ""
    heard_from: Literal["rep", "other", "unknown"] = "unknown"
    """Who the recogniser says it was; it leaves that open unless a run says otherwise."""
    stages: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()
    orders: tuple[Line, ...] = ()


class MarkedVisit(BaseModel):
    """A script; marks are what a person who heard the visit would say."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    language: str = "en"
    lines: tuple[MarkedLine, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Gold:
    """All marks of a visit."""

    objections: frozenset[tuple[int, str]]
    """(line, objection)."""
    stages: frozenset[str]
    orders: frozenset[Line]
    """As last agreed, one for each product."""


def gold_of(visit: MarkedVisit) -> Gold:
    """The marks of all lines together."""
    agreed: dict[str, Line] = {}
    for line in visit.lines:
        agreed |= {order.sku: order for order in line.orders}
    return Gold(
        objections=frozenset((n, o) for n, line in enumerate(visit.lines) for o in line.objections),
        stages=frozenset(stage for line in visit.lines for stage in line.stages),
        orders=frozenset(agreed.values()),
    )


def visits_in(folder: Path) -> list[MarkedVisit]:
    """Every script in a folder, by name.

    Raises:
        TranscriptInvalid: there is none, or one does not fit; names file and field.
    """
    visits = []
    for path in sorted(folder.glob("*.json")):
        try:
            visits.append(MarkedVisit.model_validate(json.loads(path.read_bytes())))
        except ValidationError as error:
            item = error.errors()[0]
            where = ".".join(str(part) for part in item["loc"])
            raise TranscriptInvalid(f"{path}: {where}: {item['msg']}. Fix: see visits/README.md.") from error
        except (OSError, ValueError) as error:
            raise TranscriptInvalid(f"{path}: not JSON. Fix: give a visit's JSON file.") from error
    if not visits:
        raise TranscriptInvalid(f"{folder}: no visit in it. Fix: name a folder of NAME.json files.")
    return visits
