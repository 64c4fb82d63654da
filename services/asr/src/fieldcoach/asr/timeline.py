"""One session's recent audio on its own clock: samples in order in, any stretch of them out.

Positions are samples since the session's first. Only what may still be needed is kept.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from .engines.base import Pcm


@dataclass(frozen=True, slots=True)
class _Piece:
    """One chunk's place, or that of a hole before it."""

    seq: int
    first: int
    end: int
    is_concealed: bool
    arrived_at: float


class Timeline:
    """A stretch of audio that grows at its head and is forgotten at its base."""

    def __init__(self, at: int) -> None:
        self._pcm = bytearray()
        self._pieces: deque[_Piece] = deque()
        self.base = at
        """The oldest sample that is kept."""
        self.head = at
        """The sample after the newest."""

    def append(self, pcm: bytes, seq: int, arrived_at: float, *, is_concealed: bool) -> None:
        """Add s16le samples that chunk `seq` brought."""
        first = self.head
        self.head += len(pcm) // 2
        self._pcm += pcm
        self._pieces.append(_Piece(seq, first, self.head, is_concealed, arrived_at))

    def read(self, first: int, end: int) -> Pcm:
        """Samples `first` to `end`, clipped to what is kept, as floats."""
        first, end = max(first, self.base), min(end, self.head)
        raw = bytes(self._pcm[2 * (first - self.base) : 2 * (max(first, end) - self.base)])
        samples: Pcm = np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32_768)
        return samples

    def forget(self, before: int) -> None:
        """Nothing before this sample will be read again."""
        before = min(before, self.head)
        if before <= self.base:
            return
        del self._pcm[: 2 * (before - self.base)]
        self.base = before
        while self._pieces and self._pieces[0].end <= before:
            self._pieces.popleft()

    def seq_at(self, sample: int) -> int | None:
        """The chunk that brought this sample; None if it has not come yet."""
        return next((piece.seq for piece in self._pieces if sample < piece.end), None)

    def arrival_of(self, sample: int) -> float | None:
        """When the chunk came that brought this sample; None if it has not come yet."""
        return next((piece.arrived_at for piece in self._pieces if sample < piece.end), None)

    def concealed(self, first: int, end: int) -> int:
        """How many samples of this stretch nobody spoke."""
        return sum(
            max(0, min(piece.end, end) - max(piece.first, first))
            for piece in self._pieces
            if piece.is_concealed
        )

    def concealed_spans(self, first: int, end: int) -> tuple[tuple[int, int], ...]:
        """The stretches between `first` and `end` that nobody spoke; neighbours are joined."""
        spans: list[tuple[int, int]] = []
        for piece in self._pieces:
            begin, until = max(piece.first, first), min(piece.end, end)
            if not piece.is_concealed or begin >= until:
                continue
            if spans and spans[-1][1] == begin:
                begin = spans.pop()[0]
            spans.append((begin, until))
        return tuple(spans)

    def quietest(self, first: int, end: int, width: int) -> int:
        """The middle of the quietest `width` samples between `first` and `end`."""
        first = max(first, self.base)
        samples = self.read(first, end).astype(np.float64)
        if len(samples) <= width:
            return first + len(samples) // 2
        energy = np.concatenate([[0.0], np.cumsum(samples**2)])
        return first + int(np.argmin(energy[width:] - energy[:-width])) + width // 2
