"""PCM in, Opus packets with their moments out: what a browser's sender does, without its clock."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.opus import FrameMs, OpusEncoder, is_dtx

from .profile import SendProfile
from .ring import OpusRing

KEEP_ALIVE_S = 2.0
"""On L5 a packet goes out so often: the server sees whether and how the network carries, for 0.6 kbit/s."""
RTP_CLOCK = 48_000
"""RFC 7587 section 4.1: the RTP clock of Opus is 48 kHz whatever the codec's bandwidth."""
_TICKS = RTP_CLOCK // SAMPLE_RATE


class Encoder(Protocol):
    """What the packetiser needs of an Opus encoder."""

    def encode(self, pcm: bytes) -> bytes:
        """One packet from one frame."""

    def set_bitrate(self, bits_per_second: int) -> None:
        """Bitrate from the next frame on."""

    def set_frame_ms(self, frame_ms: FrameMs) -> None:
        """Packet time from the next frame on."""


EncoderFactory = Callable[[SendProfile], Encoder]


def opus_encoder(profile: SendProfile) -> Encoder:
    """Libopus as a phone sets it."""
    return OpusEncoder(
        sample_rate=SAMPLE_RATE,
        bitrate=profile.max_bitrate,
        frame_ms=profile.ptime_ms,
        dtx=profile.dtx,
        fec=profile.fec,
    )


@dataclass(frozen=True, slots=True)
class OutgoingPacket:
    """One RTP payload. `due` is in seconds after the first sample was captured."""

    due: float
    timestamp: int
    payload: bytes
    is_held: bool = False
    """Not to be sent: the server has paused us, and will ask for it."""


class Packetiser:
    """Cuts 16 kHz mono s16 PCM into packets of the profile's packet time.

    A packet is due when its last sample has been captured, as from a microphone. In DTX libopus answers
    with packets of at most two bytes, and every 400 ms with a real one; like libwebrtc's sender we send the
    first of such a run, so that the far side knows, and leave out the rest. The timestamp goes on counting,
    so the far side sees a jump of the timestamp without a hole in the sequence numbers.

    On a paused profile (L5) all goes on but the sending: a packet every 2 s is sent, the others are given out
    as held at their moment, so that another profile takes effect at once.
    """

    def __init__(
        self,
        pcm: bytes,
        profile: SendProfile,
        encoder_factory: EncoderFactory = opus_encoder,
        ring: OpusRing | None = None,
    ) -> None:
        self._pcm = pcm
        self._profile = profile
        self._factory = encoder_factory
        self._encoder = encoder_factory(profile)
        self._ring = ring
        self._position = 0  # in samples
        self._in_dtx = False
        self._sent_until = 0  # in samples: the end of the last packet that was sent
        self.sent = 0
        self.silent = 0
        self.held = 0
        self.payload_bytes = 0
        self.skipped_s = 0.0

    @property
    def profile(self) -> SendProfile:
        """What is sent now."""
        return self._profile

    @property
    def position_s(self) -> float:
        """How much audio has been taken, in seconds."""
        return self._position / SAMPLE_RATE

    @property
    def duration_s(self) -> float:
        """The whole recording, in seconds."""
        return len(self._pcm) / 2 / SAMPLE_RATE

    def skip_to(self, seconds: float, at_most_s: float = math.inf) -> bool:
        """Leave out what was to be captured before this moment: nobody was there to take it.

        With a ring it is encoded all the same, and kept for the server to ask for; `at_most_s` of it, since
        a minute of sound takes most of a second to encode. Says whether there is more to leave out.
        """
        wanted = min(int(seconds * SAMPLE_RATE), len(self._pcm) // 2)
        if wanted <= self._position:
            return False
        begin = self._position
        if self._ring is None:
            self._position = wanted
        while self._position < wanted and (self._position - begin) / SAMPLE_RATE < at_most_s:
            self._encode()
        self.skipped_s += (self._position - begin) / SAMPLE_RATE
        self._in_dtx = False  # the far side has not heard that it is silent now
        return self._position < wanted

    def set_profile(self, profile: SendProfile) -> None:
        """Change over from the next packet on."""
        if (profile.fec, profile.dtx) != (self._profile.fec, self._profile.dtx):
            self._encoder = self._factory(profile)
        else:
            self._encoder.set_bitrate(profile.max_bitrate)
            self._encoder.set_frame_ms(profile.ptime_ms)
        self._profile = profile

    def next(self) -> OutgoingPacket | None:
        """The next packet; None when the audio has ended."""
        while 2 * self._position < len(self._pcm):
            begin = self._position
            payload = self._encode()
            if self._profile.is_paused and not self._is_keep_alive_due():
                self.held += 1
                return OutgoingPacket(self._position / SAMPLE_RATE, begin * _TICKS, payload, is_held=True)
            if is_dtx(payload) and self._in_dtx:
                self.silent += 1
                continue
            self._in_dtx = is_dtx(payload)
            self.sent += 1
            self._sent_until = self._position
            self.payload_bytes += len(payload)
            return OutgoingPacket(self._position / SAMPLE_RATE, begin * _TICKS, payload)
        return None

    def _is_keep_alive_due(self) -> bool:
        """The last packet of the recording is one, too: it shows the server where the sound ends."""
        is_last = 2 * self._position >= len(self._pcm)
        if self._position - self._sent_until < KEEP_ALIVE_S * SAMPLE_RATE and not is_last:
            return False
        self._in_dtx = False  # sent whatever it is
        return True

    def _encode(self) -> bytes:
        """The next packet time, as a packet; what is no silence is remembered."""
        samples = SAMPLE_RATE * self._profile.ptime_ms // 1_000
        begin = self._position
        frame = self._pcm[2 * begin : 2 * (begin + samples)].ljust(2 * samples, b"\0")
        payload = self._encoder.encode(frame)
        self._position = begin + samples
        if self._ring is not None and not is_dtx(payload):
            self._ring.add(begin * _TICKS, payload)
        return payload
