"""What the phone is asked to send, as the rungs of the ladder say it and as SDP says it."""

from dataclasses import dataclass
from typing import Final, Literal

from fieldcoach.common.audio import SAMPLE_RATE

Rung = Literal["L0", "L1", "L2", "L3", "L4", "L5"]

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


START: Final = SendProfile("L1", max_bitrate=16_000, ptime_ms=40, fec=True, dtx=True, nack=False)
"""28 kbps on the wire: good on EDGE from the first packet, and wide band."""
