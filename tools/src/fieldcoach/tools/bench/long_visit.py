"""A visit as long as one wants: recordings one after the other, in memory, with their texts."""

from dataclasses import replace
from itertools import cycle

from fieldcoach.common.audio import SAMPLE_RATE

from ..phone.audio_file import read_pcm
from .gold import GoldLine, GoldVisit

PAUSE_S = 3.0
"""Silence between two recordings: longer than any wait for the end of an utterance (0.55 s)."""


def long_visit(golds: list[GoldVisit], seconds: float) -> tuple[GoldVisit, bytes]:
    """The recordings in turn, with pauses, `seconds` long; what does not fit whole is cut between two lines.

    The sound is 16 kHz mono s16. A line that would end behind `seconds` is not in it; silence is instead.

    Raises:
        BenchError: not one line fits.
        AudioUnreadable: a recording can't be read.
    """
    sounds = [read_pcm(gold.audio) for gold in golds]
    pcm = bytearray()
    lines: list[GoldLine] = []
    wanted = 2 * round(seconds * SAMPLE_RATE)
    for gold, sound in cycle(zip(golds, sounds, strict=True)):
        at_s = len(pcm) / 2 / SAMPLE_RATE
        left_s = seconds - at_s
        if lines and not any(line.end <= left_s for line in gold.lines):
            break
        part = gold.until(left_s)
        lines += [replace(line, start=at_s + line.start, end=at_s + line.end) for line in part.lines]
        pcm += sound[: 2 * round(part.seconds * SAMPLE_RATE)]
        pcm += bytes(2 * round(PAUSE_S * SAMPLE_RATE))
        if len(pcm) >= wanted:
            break
    pcm = pcm[:wanted]
    pcm += bytes(wanted - len(pcm))
    return replace(golds[0], lines=tuple(lines), seconds=seconds), bytes(pcm)


def spoken_only(golds: list[GoldVisit], seconds: float) -> bytes:
    """Lines of the recordings without the pauses between them, `seconds` long; begins again if need be.

    Raises:
        AudioUnreadable: a recording can't be read.
    """
    speech = bytearray()
    for gold in golds:
        sound = read_pcm(gold.audio)
        for line in gold.lines:
            first, end = (2 * round(at * SAMPLE_RATE) for at in (line.start, line.end))
            speech += sound[first:end]
    wanted = 2 * round(seconds * SAMPLE_RATE)
    return bytes((speech * (wanted // len(speech) + 1))[:wanted])
