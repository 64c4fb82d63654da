"""Reception statistics, receiver reports (RFC 3550 section 6.4 and appendix A), and generic NACK (RFC 4585).

aiortc's own sends the highest sequence number without its cycles, which a sender reads as a jump back.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

CLOCK_RATE: Final = 48_000
REPORT_INTERVAL_S: Final = 1.0
"""Once a second: a sender's FEC strength and our ladder follow it, at 0.5 kbps."""
MAX_NOTED: Final = 64
"""Packets that are noted before they are looked at: about those between two reports at 20 ms each."""
MAX_LOST: Final = (1 << 23) - 1
_RR: Final = 201
_RTPFB: Final = 205
_GENERIC_NACK: Final = 1


def nack_packet(sender_ssrc: int, media_ssrc: int, sequences: Sequence[int]) -> bytes:
    """A generic NACK (RFC 4585 section 6.2.1) behind an empty receiver report, as RFC 3550 section 6.1 wants.

    `sequences` are 16 bit numbers in the order of the stream; each entry of the packet names one and, by a
    bit mask, any of the 16 after it.
    """
    entries: list[tuple[int, int]] = []
    for sequence in sequences:
        ahead = (sequence - entries[-1][0]) & 0xFFFF if entries else 0
        if 1 <= ahead <= 16:
            first, mask = entries[-1]
            entries[-1] = (first, mask | 1 << (ahead - 1))
        else:
            entries.append((sequence, 0))
    report = struct.pack("!BBHL", 0x80, _RR, 1, sender_ssrc)
    header = struct.pack("!BBHLL", 0x80 | _GENERIC_NACK, _RTPFB, 2 + len(entries), sender_ssrc, media_ssrc)
    return report + header + b"".join(struct.pack("!HH", *entry) for entry in entries)


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """One report block, in the units of the wire."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    lsr: int
    dlsr: int


class ReceptionStatistics:
    """Of one SSRC. Times in seconds on a monotonic clock."""

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self._noted: list[tuple[int, int, float]] = []
        self._base: int | None = None
        self._highest = 0
        self._received = 0
        self._expected_before = 0
        self._received_before = 0
        self._transit: float | None = None
        self._jitter = 0.0
        self._sender_report: tuple[int, float] | None = None

    def add(self, sequence: int, timestamp: int, arrival: float) -> None:
        """A packet arrived; it is only noted, as by `ArrivalStatistics`."""
        noted = self._noted
        noted.append((sequence, timestamp, arrival))
        if len(noted) >= MAX_NOTED:
            self._look()

    def _look(self) -> None:
        noted, self._noted = self._noted, []
        for packet in noted:
            self._add(*packet)

    def _add(self, sequence: int, timestamp: int, arrival: float) -> None:
        self._received += 1
        if self._base is None:
            self._base = self._highest = sequence
        else:
            step = (sequence - self._highest + 0x8000) % 0x10000 - 0x8000
            self._highest = max(self._highest, self._highest + step)
        transit = arrival * CLOCK_RATE - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit) % (1 << 32)
            difference = min(difference, (1 << 32) - difference)
            self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def sender_report(self, ntp_timestamp: int, now: float) -> None:
        """The sender told its clock; the report gives it back, so that it can measure the round trip."""
        self._sender_report = ((ntp_timestamp >> 16) & 0xFFFFFFFF, now)

    def report(self, now: float) -> ReceptionReport | None:
        """The report block since the last one; None before the first packet."""
        self._look()
        if self._base is None:
            return None
        expected = self._highest - self._base + 1
        interval = expected - self._expected_before
        lost = interval - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        lsr, dlsr = 0, 0
        if self._sender_report is not None:
            lsr = self._sender_report[0]
            dlsr = min(0xFFFFFFFF, round((now - self._sender_report[1]) * 65_536))
        return ReceptionReport(
            ssrc=self.ssrc,
            fraction_lost=min(255, lost * 256 // interval) if interval > 0 and lost > 0 else 0,
            packets_lost=max(-MAX_LOST, min(MAX_LOST, expected - self._received)),
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=min(0xFFFFFFFF, round(self._jitter)),
            lsr=lsr,
            dlsr=dlsr,
        )
