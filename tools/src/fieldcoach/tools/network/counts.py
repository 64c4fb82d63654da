"""What a link did, counted."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Of one direction; packets unless named otherwise. `sent` = `delivered` + all that was dropped."""

    sent: int = 0
    sent_bytes: int = 0
    """UDP payload."""
    delivered: int = 0
    """Each once, from when its arrival is decided."""
    lost: int = 0
    """On the air."""
    bursts: int = 0
    """Runs of consecutive losses on the air."""
    queue_full: int = 0
    """In front of a slow link."""
    outage: int = 0
    old_address: int = 0
    """To or from an address that the phone no longer has."""
    overflow: int = 0
    """Too many in flight, or from too many addresses: the simulator's own bound."""
    duplicated: int = 0
    reordered: int = 0
    """Delivered before one that was sent earlier."""
    delay_s: float = 0.0
    """Sum over the delivered ones, queue and transmission included."""
    max_delay_s: float = 0.0

    @property
    def dropped(self) -> Iterator[tuple[str, int]]:
        """Reason and number, where there was any."""
        for reason in ("lost", "queue_full", "outage", "old_address", "overflow"):
            if number := getattr(self, reason):
                yield reason.replace("_", " "), number

    @property
    def mean_delay_s(self) -> float:
        """Over the delivered ones."""
        return self.delay_s / self.delivered if self.delivered else 0.0

    def __add__(self, other: "Counts") -> "Counts":
        summed = {name: getattr(self, name) + getattr(other, name) for name in self.__slots__}
        return Counts(**{**summed, "max_delay_s": max(self.max_delay_s, other.max_delay_s)})
