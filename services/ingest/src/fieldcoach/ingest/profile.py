"""What the phone is asked to send, as the rungs of the ladder say it and as SDP says it."""

from dataclasses import dataclass
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.messages import Rung

MAX_PTIME_MS: Final = 120
"""The longest packet that Opus has; lower rungs use it."""


@dataclass(frozen=True, slots=True)
class SendProfile:
    """One rung: payload bitrate, packet time, and the repairs in use."""

    rung: Rung
    max_bitrate: int
    ptime_ms: int
    fec: bool
    dtx: bool
    nack: bool

    def format_parameters(self) -> str:
        """The `a=fmtp` of an answer (RFC 7587 section 6.1): what we, the receiver, wish to be sent.

        `maxplaybackrate` keeps the encoder out of full band, whose bits a 16 kHz recogniser never hears.
        """
        return ";".join(
            (
                f"maxplaybackrate={SAMPLE_RATE}",
                "stereo=0",
                "sprop-stereo=0",
                f"maxaveragebitrate={self.max_bitrate}",
                "cbr=0",
                f"useinbandfec={int(self.fec)}",
                f"usedtx={int(self.dtx)}",
            )
        )


LADDER: Final[tuple[SendProfile, ...]] = (
    SendProfile("L0", max_bitrate=24_000, ptime_ms=20, fec=True, dtx=True, nack=True),
    SendProfile("L1", max_bitrate=16_000, ptime_ms=40, fec=True, dtx=True, nack=True),
    SendProfile("L2", max_bitrate=12_000, ptime_ms=60, fec=True, dtx=True, nack=True),
    SendProfile("L3", max_bitrate=10_000, ptime_ms=120, fec=True, dtx=True, nack=True),
    SendProfile("L4", max_bitrate=6_000, ptime_ms=120, fec=True, dtx=True, nack=True),
    SendProfile("L5", max_bitrate=6_000, ptime_ms=120, fec=True, dtx=True, nack=True),
)
"""The rungs from the top: 47, 28, 20, 14 and 10 kbps on the wire in speech (payload, and 58 B a packet).

FEC and NACK are allowed everywhere: libopus leaves FEC out below about 17 kbps by itself, and a repair is
asked for where it can still come in time. On L5 the phone goes on encoding as on L4, keeps the packets for
back-fill and sends one every 2 s, by which we see whether and how the network carries.
"""
START: Final = LADDER[1]
"""28 kbps on the wire: good on EDGE from the first packet, and wide band."""
