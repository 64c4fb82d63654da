"""Which addresses a phone is offered, and which sockets stand behind them."""

import ipaddress
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class MediaAddresses:
    """`offered` are the host candidates. `bind` is empty, or the one address to listen on behind a NAT.

    `ports` is the inclusive range of UDP ports, None for any.
    """

    offered: tuple[str, ...]
    bind: str = ""
    ports: tuple[int, int] | None = None

    def sockets(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(address to bind, addresses to offer for that socket) for each socket of a phone."""
        if self.bind:
            return ((self.bind, self.offered),)
        return tuple((host, (host,)) for host in self.offered)

    def port_candidates(self, draw: random.Random) -> Iterator[int]:
        """Ports to try, from a random one on, so that phones spread out; 0 lets the system choose."""
        if self.ports is None:
            yield 0
            return
        least, most = self.ports
        count = most - least + 1
        start = draw.randrange(count)
        for step in range(count):
            yield least + (start + step) % count


def parse_hosts(text: str) -> tuple[str, ...]:
    """A comma-separated list of IP addresses.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(str(ipaddress.ip_address(part.strip())) for part in text.split(",") if part.strip())


def parse_ports(text: str) -> tuple[int, int] | None:
    """`min-max`, or empty.

    Raises:
        ValueError: not two ports in order.
    """
    if not text.strip():
        return None
    least, dash, most = text.partition("-")
    if dash and least.strip().isdigit() and most.strip().isdigit():
        ports = int(least), int(most)
        if 1_024 <= ports[0] <= ports[1] <= 65_535:
            return ports
    raise ValueError("use min-max, both within 1024 and 65535")


def choose_hosts(configured: Sequence[str], found: Sequence[str]) -> tuple[str, ...]:
    """What was set, else what the machine has, else loopback, so that a lone machine works with itself."""
    return tuple(configured) or tuple(found) or (LOOPBACK,)
