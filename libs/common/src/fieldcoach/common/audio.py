"""The PCM chunk: the one message on the hot path, packed and checked by hand.

A fixed MessagePack array `[version, session, epoch, seq, sample_index, n_samples, flags, pcm_s16le]`.
Audio is 16 kHz mono s16 little endian; `sample_index` counts since the session's first sample.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

import msgpack

from .errors import MessageRejected
from .ids import require_id

VERSION: Final = 1
SAMPLE_RATE: Final = 16_000
CHUNK_SAMPLES: Final = 960
"""60 ms: one NATS message for three 20 ms packets, or one 60 ms packet."""
MAX_CHUNK_SAMPLES: Final = 1_920
"""120 ms, the longest Opus packet that the ladder uses."""
_MAX_BYTES: Final = 2 * MAX_CHUNK_SAMPLES + 256


class Flag(IntFlag):
    """How the samples of a chunk came to be. A chunk is cut where its flags change."""

    OK = 0
    FEC = 1
    RED = 2
    NACK = 4
    PLC = 8
    DTX = 16
    GAP = 32
    BACKFILL = 64
    END = 128
    """The last message of the session: no samples follow."""


CONCEALED: Final = Flag.PLC | Flag.GAP
"""Samples that nobody spoke: words on them are not to be trusted."""


@dataclass(frozen=True, slots=True)
class PcmChunk:
    """One stretch of a session's timeline. A gap has `n_samples` but an empty `pcm`."""

    session: str
    epoch: int
    seq: int
    sample_index: int
    n_samples: int
    flags: Flag
    pcm: bytes

    @property
    def end_sample(self) -> int:
        """The index after the last sample."""
        return self.sample_index + self.n_samples

    def encode(self) -> bytes:
        """The MessagePack array."""
        return pack_chunk(
            self.session, self.epoch, self.seq, self.sample_index, self.n_samples, int(self.flags), self.pcm
        )


def pack_chunk(
    session: str, epoch: int, seq: int, sample_index: int, n_samples: int, flags: int, pcm: bytes
) -> bytes:
    """Pack without building a `PcmChunk` (0.5 µs for 1,920 B of PCM)."""
    packed: bytes = msgpack.packb(
        (VERSION, session, epoch, seq, sample_index, n_samples, flags, pcm), use_bin_type=True
    )
    return packed


def unpack_chunk(data: bytes) -> PcmChunk:
    """Check and unpack one chunk.

    Raises:
        MessageRejected: another version, type, length or range; `reason` says which.
    """
    if len(data) > _MAX_BYTES:
        raise MessageRejected("chunk", "too-long")
    try:
        fields = msgpack.unpackb(data, use_list=False)
    except Exception as error:  # msgpack raises five unrelated classes on bad bytes
        raise MessageRejected("chunk", "not-msgpack") from error
    if not isinstance(fields, tuple) or len(fields) != 8:
        raise MessageRejected("chunk", "shape")
    version, session, epoch, seq, sample_index, n_samples, flags, pcm = fields
    if version != VERSION:
        raise MessageRejected("chunk", "version")
    for number in (epoch, seq, sample_index, n_samples, flags):
        if type(number) is not int or not 0 <= number < 1 << 62:
            raise MessageRejected("chunk", "number")
    if not isinstance(pcm, bytes) or flags > 255:
        raise MessageRejected("chunk", "type")
    has_no_pcm = flags & (Flag.GAP | Flag.END)
    if len(pcm) != (0 if has_no_pcm else 2 * n_samples) or (not has_no_pcm and n_samples > MAX_CHUNK_SAMPLES):
        raise MessageRejected("chunk", "length")
    try:
        require_id(session, "session")
    except Exception as error:
        raise MessageRejected("chunk", "session") from error
    return PcmChunk(session, epoch, seq, sample_index, n_samples, Flag(flags), pcm)
