"""Answers the server's list of missing ranges from the ring. Pure but for what it is given to upload with."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fieldcoach.common.backfill import MAX_UPLOAD_BYTES, Record, pieces

from ..errors import GatewayUnreachable, Refused
from .ring import RTP_CLOCK, OpusRing

GOOD_RUNGS: Final = frozenset({"L0", "L1"})
"""On the lower ones the link has no room for anything but live sound."""
MARGIN_TICKS: Final = 3 * RTP_CLOCK // 2
"""Sent on both sides of a range, so that the words at its edges are heard whole."""
PAUSE_S: Final = 1.0
"""Between two uploads, and before one that failed is tried again."""
SETTLE_S: Final = 2.5
"""After a gap was told the list of what is missing may still change for so long."""
HELD: Final = "held"
SETTLE_PAUSED_S: Final = 6.0
"""After a hole that we held back (L5) the server waits longer for the next: a packet comes every 2 s."""
TOKEN_EXPIRED: Final = 401
"""Another token is on its way over the events channel."""
END_WAIT_S: Final = 20.0
"""At the end of the visit; what is not filled by then stays a gap."""

Upload = Callable[[bytes], Awaitable[None]]
Clock = Callable[[], float]


class Backfill:
    """The missing ranges as last told, and which of them have been sent.

    `origin_of` gives, for an SSRC of ours, the RTP timestamp of the recording's first sample.
    """

    def __init__(
        self, ring: OpusRing, origin_of: Callable[[int], int | None], clock: Clock = time.monotonic
    ) -> None:
        self._ring = ring
        self._origin_of = origin_of
        self._clock = clock
        self._ranges: dict[int, Mapping[str, Any]] = {}
        self._sent: set[int] = set()
        self._settled_at = -math.inf
        self.rung = "L1"
        self.is_ending = False
        self.changed = asyncio.Event()
        self.uploaded = 0
        """Ranges."""
        self.uploaded_bytes = 0

    def heard(self, event: Mapping[str, Any]) -> None:
        """An event of the server."""
        match event.get("type"):
            case "missing":
                self._ranges = {int(one["range"]): one for one in event.get("ranges", ())}
            case "gap" if event.get("reason") != "paused":
                is_held = event.get("reason") == HELD
                settled_at = self._clock() + (SETTLE_PAUSED_S if is_held else SETTLE_S)
                self._settled_at = max(self._settled_at, settled_at)
            case "profile":
                self.rung = str(event.get("rung", self.rung))
            case _:
                return
        self.changed.set()

    @property
    def is_open(self) -> bool:
        """Whether the server still waits for something, or may soon ask for it."""
        return bool(self._ranges) or self._clock() < self._settled_at

    def next_body(self) -> tuple[int, list[bytes]] | None:
        """The range to send now, as bodies of uploads; None while there is none, or the link is too poor."""
        if self.rung not in GOOD_RUNGS and not self.is_ending:
            return None
        for number, wanted in self._ranges.items():
            if number not in self._sent:
                return number, pieces(self._records(number, wanted), MAX_UPLOAD_BYTES)
        return None

    def sent(self, number: int, n_bytes: int) -> None:
        """The gateway has taken it."""
        self._sent.add(number)
        self.uploaded += 1
        self.uploaded_bytes += n_bytes

    def _records(self, number: int, wanted: Mapping[str, Any]) -> list[Record]:
        records: list[Record] = []
        origin = self._origin_of(int(wanted["ssrc"]))
        if origin is not None:
            first = _signed(int(wanted["first_timestamp"]) - origin)
            last = first + (int(wanted["last_timestamp"]) - int(wanted["first_timestamp"])) % (1 << 32)
            records = [
                Record(number, (packet.begin + origin) % (1 << 32), packet.payload)
                for packet in self._ring.cut(first - MARGIN_TICKS, last + MARGIN_TICKS)
            ]
        return [*records, Record(number, int(wanted["last_timestamp"]), b"")]

    async def run(self, upload: Upload) -> None:
        """Answer until cancelled."""
        while True:
            body = self.next_body()
            if body is None:
                self.changed.clear()
                await self.changed.wait()
                continue
            try:
                for part in body[1]:
                    await upload(part)
            except (GatewayUnreachable, Refused) as error:
                if isinstance(error, Refused) and not (error.retryable or error.status == TOKEN_EXPIRED):
                    self._sent.add(body[0])  # it will be refused again
            else:
                self.sent(body[0], sum(map(len, body[1])))
            await asyncio.sleep(PAUSE_S)

    async def finish(self) -> None:
        """The recording is through: wait, within bounds, until nothing is missing."""
        self.is_ending = True
        self.changed.set()
        deadline = self._clock() + END_WAIT_S
        while self.is_open and self._clock() < deadline:  # noqa: ASYNC110 # the clock ends it, too
            await asyncio.sleep(0.1)


def _signed(ticks: int) -> int:
    return (ticks + (1 << 31)) % (1 << 32) - (1 << 31)
