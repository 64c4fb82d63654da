"""What one direction of a link does to packets."""

from dataclasses import dataclass

IP_UDP_BYTES = 28
"""In front of each UDP payload on the wire: IPv4 20 (RFC 791) and UDP 8 (RFC 768)."""
MIN_QUEUE_PACKETS = 4


@dataclass(frozen=True, slots=True)
class Conditions:
    """The impairments; the default is none.

    Each packet passes, in this order: outage, the queue in front of a slow link, its transmission at
    `rate_kbps` (with IP and UDP headers), the loss, the delay.
    """

    rate_kbps: float | None = None
    """None: as fast as this machine."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Each packet's delay is drawn evenly from `delay_ms` ± this. Packets keep their order."""
    loss: float = 0.0
    """Share of packets, in the long run."""
    burst: float = 1.0
    """Mean number of packets lost in a row."""
    reorder: float = 0.0
    """Share of packets that don't keep the order: an own delay, drawn as always, may overtake."""
    duplicate: float = 0.0
    """Share of packets that arrive twice, each with a delay of its own."""
    is_down: bool = False
    """Nothing gets through."""

    @property
    def queue_packets(self) -> int:
        """Packets that may wait for a slow link or be on it: about 100 ms of full ones, at least 4.

        More would only measure buffer bloat.
        """
        if self.rate_kbps is None:
            return 0
        return max(MIN_QUEUE_PACKETS, int(self.rate_kbps * 100 / 12_000))

    def transmission_s(self, udp_bytes: int) -> float:
        """Seconds that a datagram takes on the link."""
        return 0.0 if self.rate_kbps is None else (udp_bytes + IP_UDP_BYTES) * 8 / (self.rate_kbps * 1e3)


PERFECT = Conditions()
DOWN = Conditions(is_down=True)
