"""The last 30 s of one session's chunks, by number, and what became of those that had to go.

What leaves the ring below the worker's ack is done with. What leaves it above was sent at best: it is safe
while that worker lives and acks it, and lost if another one must begin without it. Pure.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from fieldcoach.common.audio import SAMPLE_RATE, Flag

from .timeline import Chunk

RING_SAMPLES: Final = 30 * SAMPLE_RATE
"""Longer than the longest utterance (15 s) and a takeover together."""
RING_CHUNKS: Final = 2_000
"""At 20 ms a chunk more than 30 s; bounds what hardly weighs in samples."""
SLACK_SAMPLES: Final = SAMPLE_RATE
SLACK_CHUNKS: Final = 60
"""Kept beyond that while a worker is asked: its first chunk must not fall out before it answers (0.5 s)."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A stretch that no worker will say."""

    first_sample: int
    n_samples: int


class _Gone(NamedTuple):
    """The place of a chunk that left the ring unacknowledged."""

    seq: int
    first: int
    end: int


class Ring:
    """Chunks `first` to `next`, without the latter."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self._samples = 0
        self._at_risk: deque[_Gone] = deque()
        self._lost: list[Lost] = []
        self.first = 0
        """The oldest chunk that is kept."""
        self.next = 0
        """The number of the chunk that will be made next."""

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, seq: int) -> Chunk:
        return self._chunks[seq - self.first]

    def append(self, chunk: Chunk) -> int:
        """Keep a chunk; gives its number."""
        self._chunks.append(chunk)
        self._samples += len(chunk.pcm) // 2
        self.next += 1
        return self.next - 1

    def acked(self, seq: int) -> None:
        """A worker answers for everything before `seq`."""
        while self.first < min(seq, self.next):
            self._drop()
        while self._at_risk and self._at_risk[0].seq < seq:
            self._at_risk.popleft()

    def make_room(self, sent: int, is_asking: bool) -> None:
        """Drop what is over 30 s. What was not sent (`sent` and above) is lost with that."""
        samples = RING_SAMPLES + (SLACK_SAMPLES if is_asking else 0)
        chunks = RING_CHUNKS + (SLACK_CHUNKS if is_asking else 0)
        while self._samples > samples or len(self._chunks) > chunks:
            if self.first < sent:
                self._at_risk.append(_place(self.first, self._chunks[0]))
            else:
                self._lose(_place(self.first, self._chunks[0]))
            self._drop()

    def missed(self, seq: int) -> None:
        """The present worker has nothing from chunk `seq` on: what of it is gone, is lost."""
        while self._at_risk and self._at_risk[-1].seq >= seq:
            self._lose(self._at_risk.pop())

    def give_up(self, heard: int) -> None:
        """Nothing will be sent any more: what the worker has not got (`heard` and above) is lost."""
        self.missed(heard)
        for seq in range(max(heard, self.first), self.next):
            self._lose(_place(seq, self[seq]))
        self.acked(self.next)

    def take_lost(self) -> list[Lost]:
        """The stretches lost since the last call, in order; neighbours are one."""
        found, self._lost = sorted(self._lost, key=lambda lost: lost.first_sample), []
        joined: list[Lost] = []
        for lost in found:
            before = joined[-1] if joined else None
            if before is not None and before.first_sample + before.n_samples == lost.first_sample:
                joined[-1] = Lost(before.first_sample, before.n_samples + lost.n_samples)
            else:
                joined.append(lost)
        return joined

    def _lose(self, gone: _Gone) -> None:
        if gone.end > gone.first:  # a gap holds nothing that could be lost
            self._lost.append(Lost(gone.first, gone.end - gone.first))

    def _drop(self) -> None:
        self._samples -= len(self._chunks.popleft().pcm) // 2
        self.first += 1


def _place(seq: int, chunk: Chunk) -> _Gone:
    has_sound = not chunk.flags & Flag.GAP
    return _Gone(seq, chunk.sample_index, chunk.sample_index + chunk.n_samples * has_sound)
