"""Opus packets of a missing range, in whatever order they came, as one stretch of sound. Pure."""

from collections.abc import Callable
from typing import NamedTuple

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.opus import OpusDecoder, OpusError

from .missing import MARGIN, Range


class Stretch(NamedTuple):
    """Sound from `first_sample` on, 16 kHz mono s16; silence where no packet was."""

    first_sample: int
    pcm: bytes


def decode_range(missing: Range, count: Callable[[str], None]) -> Stretch:
    """Decode by a decoder of its own, which needs the margin's first packets to come into step."""
    first, end = max(0, missing.first - MARGIN), missing.end + MARGIN
    sound = bytearray(2 * (end - first))
    reached = first
    packets = missing.packets
    decoder = OpusDecoder(SAMPLE_RATE)
    try:
        for timestamp in sorted(packets, key=missing.sample_of):
            try:
                pcm = decoder.decode(packets[timestamp])
            except OpusError:
                count("undecodable")
                continue
            begin = missing.sample_of(timestamp)
            skip = max(0, first - begin)
            at = begin + skip
            piece = pcm[2 * skip : 2 * max(0, end - begin)]
            sound[2 * (at - first) : 2 * (at - first) + len(piece)] = piece
            if piece:
                reached = max(reached, at + len(piece) // 2)
    finally:
        decoder.close()
    return Stretch(first, bytes(sound[: 2 * (reached - first)]))
