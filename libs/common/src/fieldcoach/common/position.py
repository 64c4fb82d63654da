"""A reader's place in a session's events: for each writer, the highest number seen."""

from .errors import MessageRejected
from .messages import WRITERS, EventMessage


class Position:
    """A vector of event numbers, written as an opaque text (`a1k2.c9f`) for clients to give back.

    One number for the whole stream would not do: two gateways may see the events of two writers in
    another order, and a phone that moves between them must neither lose one nor see one twice.
    """

    def __init__(self, seen: dict[str, int] | None = None) -> None:
        self._seen = dict(seen or {})

    def is_new(self, event: EventMessage) -> bool:
        """Whether the event lies after this position."""
        return event.n > self._seen.get(WRITERS[event.kind], -1)

    def advance(self, event: EventMessage) -> bool:
        """Move past the event; False if it had been seen."""
        if not self.is_new(event):
            return False
        self._seen[WRITERS[event.kind]] = event.n
        return True

    def copy(self) -> "Position":
        """An independent copy."""
        return Position(self._seen)

    def __str__(self) -> str:
        return ".".join(f"{writer}{number:x}" for writer, number in sorted(self._seen.items()))

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The reverse of `str`.

        Raises:
            MessageRejected: not a text that we made.
        """
        seen: dict[str, int] = {}
        for part in filter(None, text.split(".")):
            if part[0] not in WRITERS.values() or part[0] in seen or len(part) > 17:
                raise MessageRejected("position", "writer")
            try:
                seen[part[0]] = int(part[1:], 16)
            except ValueError as error:
                raise MessageRejected("position", "number") from error
        return cls(seen)
