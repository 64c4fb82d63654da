"""The coach's errors.

CoachError
├── PlaybookInvalid      a playbook file that can't be used; names file, line, field and fix
├── TranscriptInvalid    a transcript file for `replay` that can't be read; names the field
└── LlmFailed            no usable answer from the language model in time; retryable
"""

from dataclasses import dataclass
from typing import Literal

from fieldcoach.common.errors import FieldCoachError


class CoachError(FieldCoachError):
    """Root of the coach's errors."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong in a playbook file. `line` counts from 1; 0 when the file has no such place."""

    line: int
    field: str
    what: str
    fix: str
    is_error: bool = True

    def at(self, file: str) -> str:
        """One line for a person, with the file, the line, the field and the fix."""
        kind = "" if self.is_error else "warning: "
        return f"{file}:{self.line}: {kind}{self.field}: {self.what}. Fix: {self.fix}."


class PlaybookInvalid(CoachError):
    """A playbook file with errors; `flaws` lists all of them, the message too."""

    def __init__(self, file: str, flaws: tuple[Flaw, ...]) -> None:
        super().__init__("\n".join(flaw.at(file) for flaw in flaws))
        self.file = file
        self.flaws = flaws

    @classmethod
    def of_id(cls, file: str, id_: str) -> "PlaybookInvalid":
        """Another file has that playbook already."""
        return cls(file, (Flaw(1, "id", f"another file has the playbook {id_!r}", "give each its own id"),))


class TranscriptInvalid(CoachError):
    """A transcript that `replay` can't read; the message names the file, the field and the fix."""


LlmFault = Literal["breaker", "cancelled", "connection", "refused", "status", "timeout", "wrong"]


class LlmFailed(CoachError):
    """The model gave nothing usable. `fault` is a metrics label; the rule's own text stands in."""

    retryable = True

    def __init__(self, fault: LlmFault) -> None:
        super().__init__(fault)
        self.fault: LlmFault = fault
