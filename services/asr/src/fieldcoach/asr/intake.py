"""Which chunks of a session may be consumed: those of our epoch, in sequence, each once."""

from enum import StrEnum

from fieldcoach.common.audio import PcmChunk


class Admitted(StrEnum):
    """What became of a chunk. The values are metric labels."""

    YES = "consumed"
    DUPLICATE = "duplicate"
    HOLE = "hole"
    """A chunk before it is missing: we wait, and the repeated ack makes the ingest go back."""
    STALE_EPOCH = "stale-epoch"
    """From an ingest that has handed the session over since."""
    FUTURE_EPOCH = "future-epoch"
    """Of an ownership that nobody has claimed here."""


class Intake:
    """The receiving side of go-back-N for one session."""

    def __init__(self, epoch: int, from_seq: int) -> None:
        self.epoch = epoch
        self.next_seq = from_seq

    def admit(self, chunk: PcmChunk) -> Admitted:
        """Judge one chunk; `YES` moves on to the next sequence number."""
        if chunk.epoch != self.epoch:
            return Admitted.STALE_EPOCH if chunk.epoch < self.epoch else Admitted.FUTURE_EPOCH
        if chunk.seq != self.next_seq:
            return Admitted.DUPLICATE if chunk.seq < self.next_seq else Admitted.HOLE
        self.next_seq += 1
        return Admitted.YES
