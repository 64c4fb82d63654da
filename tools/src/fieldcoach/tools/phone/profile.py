"""What the phone is asked to send: one rung of the ladder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, cast

from fieldcoach.common.opus import FrameMs

from ..errors import VisitError

PAUSED = "L5"
PACKET_TIMES = (20, 40, 60, 80, 100, 120)
"""What libopus can put into one packet (RFC 6716 section 3.2.5), from 20 ms up."""


@dataclass(frozen=True, slots=True)
class SendProfile:
    """Payload bitrate in bit/s and packet time in ms, with the encoder's FEC and DTX."""

    rung: str
    max_bitrate: int
    ptime_ms: FrameMs
    fec: bool = True
    dtx: bool = True

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """From a session's answer or a `profile` event; values that Opus has not are brought into range.

        A bitrate of 0 becomes the lowest.
        """
        wanted = int(fields.get("ptime_ms", 40))
        ptime = min(PACKET_TIMES, key=lambda known: abs(known - wanted))
        return cls(
            rung=str(fields.get("rung", "?")),
            max_bitrate=min(510_000, max(6_000, int(fields.get("max_bitrate", 16_000)))),
            ptime_ms=cast(FrameMs, ptime),
            fec=bool(fields.get("fec", True)),
            dtx=bool(fields.get("dtx", True)),
        )

    @property
    def is_paused(self) -> bool:
        """Whether sound is kept and not sent, but for a packet every now and then."""
        return self.rung == PAUSED


LADDER: dict[str, SendProfile] = {
    # payload bitrate and packet time of each rung, L5 being a pause
    "L0": SendProfile("L0", 24_000, 20),
    "L1": SendProfile("L1", 16_000, 40),
    "L2": SendProfile("L2", 12_000, 60),
    "L3": SendProfile("L3", 10_000, 120),
    "L4": SendProfile("L4", 6_000, 120),
}
START = LADDER["L1"]


def chosen_profile(rung: str | None, bitrate: int | None, ptime_ms: int | None) -> SendProfile | None:
    """The profile that a user fixed on the command line; None leaves the choice to the server.

    Raises:
        VisitError: no such rung, bitrate or packet time.
    """
    if rung is None and bitrate is None and ptime_ms is None:
        return None
    if rung is not None and rung.upper() not in LADDER:
        raise VisitError(f"--profile {rung}: use one of {', '.join(LADDER)}")
    base = LADDER[rung.upper()] if rung else START
    if bitrate is not None and not 6_000 <= bitrate <= 510_000:
        raise VisitError(f"--bitrate {bitrate}: use 6000 to 510000 bit/s")
    if ptime_ms is not None and ptime_ms not in PACKET_TIMES:
        raise VisitError(f"--ptime {ptime_ms}: use one of {', '.join(map(str, PACKET_TIMES))} ms")
    name = base.rung if bitrate is None and ptime_ms is None else "fixed"
    return replace(
        base,
        rung=name,
        max_bitrate=bitrate or base.max_bitrate,
        ptime_ms=cast(FrameMs, ptime_ms or base.ptime_ms),
    )
