"""How much of the voice that was sent arrives, and how late. Pure: packets and stretches in, figures out.

sent        samples of the packets that the phone really sends, but for those that announce silence (DTX)
delivered   ours: samples of the timeline that are `ok`, `fec`, `red` or `nack`; concealment and gaps are not,
            and what back-fill brings later is not either. stock: samples sent that its decoder gave out, by
            their timestamps. Both from the moment on when the link begins to lose
delay       from a stretch's last sample at the microphone to its publication by the ingest, less the link's
            own delay
wire        payload, 12 B of RTP (RFC 3550 section 5.1), and 38 B: IP 20, UDP 8, the authentication tag 10
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcoach.common.audio import SAMPLE_RATE, Flag
from fieldcoach.common.opus import is_dtx

from ..phone.packetiser import RTP_CLOCK, Packetiser
from ..phone.profile import SendProfile
from .gold import GoldLine

WIRE_OVERHEAD_BYTES = 12 + 38
_NOT_DELIVERED = Flag.PLC | Flag.DTX | Flag.GAP | Flag.BACKFILL | Flag.END
_FLAG_NAMES = {flag: str(flag.name).lower() for flag in Flag if flag not in (Flag.OK, Flag.END)}

Samples = NDArray[np.bool_]
"""One truth for each sample of a recording."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples of a timeline that came to be in one way. `arrival` in seconds, monotonic."""

    start: int
    n_samples: int
    flags: Flag
    arrival: float

    @property
    def is_delivered(self) -> bool:
        """Real or repaired audio, in time."""
        return not self.flags & _NOT_DELIVERED


@dataclass(frozen=True, slots=True)
class SentAudio:
    """What a phone sends of a recording at one profile."""

    voiced: Samples
    """Which samples travel in packets that do not announce silence."""
    packets: tuple[tuple[float, int], ...]
    """Start in seconds of the recording, payload bytes."""

    def samples_from(self, second: float) -> int:
        """How many voiced ones there are from there on."""
        return int(self.voiced[round(second * SAMPLE_RATE) :].sum())


def sent_audio(pcm: bytes, profile: SendProfile) -> SentAudio:
    """Packetise as the phone does; libopus is deterministic, so these are the phone's packets."""
    packetiser = Packetiser(pcm, profile)
    ticks = RTP_CLOCK // SAMPLE_RATE
    length = SAMPLE_RATE * profile.ptime_ms // 1_000
    voiced = np.zeros(len(pcm) // 2 + length, dtype=np.bool_)
    packets = []
    while (packet := packetiser.next()) is not None:
        start = packet.timestamp // ticks
        packets.append((start / SAMPLE_RATE, len(packet.payload)))
        if not is_dtx(packet.payload):
            voiced[start : start + length] = True
    return SentAudio(voiced, tuple(packets))


def voiced_on_all(pcm: bytes, profiles: Iterable[SendProfile]) -> Samples:
    """What is speech by each of these profiles: silence begins at another sample in longer packets."""
    voiced = [sent_audio(pcm, profile).voiced[: len(pcm) // 2] for profile in profiles]
    on_all: Samples = np.logical_and.reduce(voiced)
    return on_all


def wire_kbps(sent: SentAudio, seconds: float) -> float:
    """Mean over the whole recording, silence and its DTX included."""
    return _kbps((size for _, size in sent.packets), seconds)


def speaking_kbps(sent: SentAudio, lines: Sequence[GoldLine], profile: SendProfile) -> float:
    """Mean while a line of the script is spoken; silence within a line counts as speech."""
    spoken = [size for start, size in sent.packets if any(line.start <= start < line.end for line in lines)]
    return _kbps(spoken, len(spoken) * profile.ptime_ms / 1e3)


def _kbps(sizes: Iterable[int], seconds: float) -> float:
    return sum(size + WIRE_OVERHEAD_BYTES for size in sizes) * 8 / 1e3 / seconds if seconds else 0.0


def ours_delivered(stretches: Iterable[Stretch], from_second: float) -> int:
    """Samples of the timeline that are real or repaired. Each counts once, also if it was sent again."""
    stretches = list(stretches)
    if not stretches:
        return 0
    begin = round(from_second * SAMPLE_RATE)
    timeline = np.zeros(max(s.start + s.n_samples for s in stretches), dtype=np.bool_)
    for stretch in stretches:
        if stretch.is_delivered:
            timeline[stretch.start : stretch.start + stretch.n_samples] = True
    return int(timeline[begin:].sum())


def stock_delivered(sent: SentAudio, given_out: Iterable[tuple[int, int]], from_second: float) -> int:
    """Voiced samples that lie in one of the (start, length) that the decoder gave out."""
    heard = np.zeros_like(sent.voiced)
    for start, length in given_out:
        heard[start : start + length] = True
    return int((heard & sent.voiced)[round(from_second * SAMPLE_RATE) :].sum())


def flags_ms(stretches: Iterable[Stretch]) -> dict[str, int]:
    """Milliseconds by flag, each stretch once; one with several flags counts under the worst."""
    found: dict[str, int] = {}
    for stretch in {stretch.start: stretch for stretch in stretches}.values():
        name = "ok"
        for flag, told in _FLAG_NAMES.items():
            if stretch.flags & flag:
                name = told
        found[name] = found.get(name, 0) + stretch.n_samples
    return {name: round(n * 1e3 / SAMPLE_RATE) for name, n in sorted(found.items())}


def delays_ms(
    stretches: Iterable[Stretch], started_at: float, link_delay_s: float, from_second: float
) -> list[float]:
    """Of each delivered stretch, when it first came. `started_at` is the first sample on the same clock."""
    first: dict[int, Stretch] = {}
    for stretch in stretches:
        known = first.setdefault(stretch.start, stretch)
        if stretch.arrival < known.arrival:
            first[stretch.start] = stretch
    return [
        (s.arrival - started_at - (s.start + s.n_samples) / SAMPLE_RATE - link_delay_s) * 1e3
        for s in first.values()
        if s.is_delivered and s.start >= from_second * SAMPLE_RATE
    ]
