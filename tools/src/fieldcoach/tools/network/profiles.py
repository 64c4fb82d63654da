"""Networks by name: phases of conditions, as conventions have them, on the bad side.

The uplink is as the table says. The downlink has the same delay and jitter, a third of the loss in bursts of
the same length, and four times the rate: a cell's downlink is the stronger one.
"""

import re
from dataclasses import dataclass, replace

from ..errors import UnknownNetwork
from .conditions import DOWN, PERFECT, Conditions

UPLINK: dict[str, Conditions] = {
    # on the bad side of what Augmented Traffic Control, BrowserStack, WebPageTest, the Android emulator and
    # Signal's call_sim take for these
    "4g": Conditions(rate_kbps=5_000, delay_ms=40, jitter_ms=10, loss=0.001, burst=1),
    "3g": Conditions(rate_kbps=330, delay_ms=120, jitter_ms=40, loss=0.03, burst=3),
    "edge": Conditions(rate_kbps=100, delay_ms=420, jitter_ms=100, loss=0.04, burst=4),
    "2g-good": Conditions(rate_kbps=32, delay_ms=500, jitter_ms=100, loss=0.01, burst=1),
    "2g-bad": Conditions(rate_kbps=18, delay_ms=650, jitter_ms=150, loss=0.07, burst=4),
}
WAREHOUSE_BEFORE_S = 10.0
WAREHOUSE_FADING_S = 20.0
WAREHOUSE_OUTAGES_S = (5, 25, 84)
BENCH_DELAY_MS = 75.0
"""One way: a round trip of 150 ms."""
BENCH_CLEAN_S = 1.0
"""The first second of a bench link loses nothing, so that every receiver knows the first timestamp."""

_LOSS_NAME = re.compile(r"l(\d\d)b(\d)")
_DOWNLINK_LOSS = 1 / 3
_DOWNLINK_RATE = 4.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time on one kind of link. `seconds` None lasts until the end."""

    name: str
    seconds: float | None
    uplink: Conditions
    downlink: Conditions
    is_new_address: bool = False
    """The phone comes out at another address and port, as after a change of network."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Phases in their order; the last one lasts."""

    name: str
    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        if not self.phases or any(phase.seconds is None for phase in self.phases[:-1]):
            raise ValueError("only the last phase lasts for ever")


def downlink_of(uplink: Conditions) -> Conditions:
    """The other direction of the same link."""
    rate = None if uplink.rate_kbps is None else uplink.rate_kbps * _DOWNLINK_RATE
    return replace(uplink, rate_kbps=rate, loss=uplink.loss * _DOWNLINK_LOSS)


def names() -> tuple[str, ...]:
    """The networks that have a name of their own, besides `l<percent>b<burst>`."""
    outages = tuple(f"warehouse-{seconds}" for seconds in WAREHOUSE_OUTAGES_S)
    return ("perfect", *UPLINK, "warehouse", *outages)


def schedule_of(name: str) -> Schedule:
    """The network of this name.

    `l05b3` and the like lose 5 % of the packets in bursts of 3, with 75 ms each way and no limit of rate,
    after a first second without loss.

    Raises:
        UnknownNetwork: no network has this name; the message names those there are.
    """
    wanted = name.strip().lower()
    if wanted in UPLINK:
        return Schedule(wanted, (_phase(wanted, None),))
    if wanted == "perfect":
        return Schedule(wanted, (Phase(wanted, None, PERFECT, PERFECT),))
    if wanted == "warehouse":
        return _warehouse(wanted, 25)
    if wanted in names():
        return _warehouse(wanted, int(wanted.rpartition("-")[2]))
    if (match := _LOSS_NAME.fullmatch(wanted)) and int(match[1]) <= 50 and int(match[2]) >= 1:
        return _loss(wanted, int(match[1]) / 100, int(match[2]))
    raise UnknownNetwork(name, names())


def _phase(name: str, seconds: float | None, is_new_address: bool = False) -> Phase:
    return Phase(name, seconds, UPLINK[name], downlink_of(UPLINK[name]), is_new_address)


def _warehouse(name: str, outage_s: float) -> Schedule:
    return Schedule(
        name,
        (
            _phase("4g", WAREHOUSE_BEFORE_S),
            _phase("2g-bad", WAREHOUSE_FADING_S),
            Phase("nothing", outage_s, DOWN, DOWN),
            _phase("3g", None, is_new_address=True),
        ),
    )


def _loss(name: str, loss: float, burst: int) -> Schedule:
    clean = Conditions(delay_ms=BENCH_DELAY_MS)
    lossy = replace(clean, loss=loss, burst=burst)
    return Schedule(
        name, (Phase("clean", BENCH_CLEAN_S, clean, clean), Phase(name, None, lossy, downlink_of(lossy)))
    )
