"""A UDP relay in user space that stands between one phone and the media server, and plays a bad network.

The phone sends to a socket in front; each of its addresses has a socket of its own behind, as at
a NAT, so the server tells them apart. When the phone's address changes, the sockets behind are replaced, and
what the server still sends to the old ones is lost.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Self, cast

from ..errors import NetworkError
from .link import Delivery, ImpairedLink, Way
from .profiles import Schedule
from .report import report_lines
from .sdp import Address, candidates_of, hidden, rewritten

HOST = "127.0.0.1"
MAX_CLIENT_ADDRESSES = 64
"""A phone has three to six, and new ones after each ICE restart; each costs a socket."""
MAX_EARLY = 64
"""Packets kept while a socket is being opened, which takes one turn of the loop."""


class Relay:
    """The network of one phone. Its offer goes through `hide`, the server's answer through `rewrite`.

    Times are the loop's. Every delivery has an absolute deadline, so delays never add up.
    """

    def __init__(self, schedule: Schedule, seed: int = 0, host: str = HOST) -> None:
        self._link: ImpairedLink[_Parcel] = ImpairedLink(schedule, seed)
        self._seed = seed
        self._host = host
        self._fronts: dict[Address, _Front] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._opening: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.worst_late_ms = 0.0
        """How much later than planned a packet left: how busy this machine is."""
        self.socket_errors = 0
        """Such as a server that has closed its socket, or one of ours that could not be opened."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def link(self) -> "ImpairedLink[_Parcel]":
        """The core, for its counts and its phase."""
        return self._link

    def hide(self, offer: str) -> str:
        """The phone's SDP offer without its addresses, so that no way leads past the relay."""
        return hidden(offer)

    async def rewrite(self, answer: str) -> str:
        """The server's SDP answer with the relay's addresses in place of the server's.

        Raises:
            NetworkError: the answer names no UDP candidate.
        """
        targets = candidates_of(answer)
        if not targets:
            raise NetworkError("the answer has no UDP candidate to stand in front of")
        for target in targets:
            if target not in self._fronts:
                front = _Front(self, target)
                await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda front=front: front,  # type: ignore[misc]  # one per target
                    local_addr=(self._host, 0),
                )
                self._fronts[target] = front
        return rewritten(answer, {target: self._fronts[target].address for target in targets})

    def start(self) -> None:
        """The schedule begins; until then its first phase is in force."""
        self._link.start(asyncio.get_running_loop().time())
        self._rearm()

    def report(self) -> list[str]:
        """What the network did, for a person."""
        counts = {way: self._link.counts(way) for way in Way}
        name = self._link.schedule.name
        addresses = self._link.address + 1
        return report_lines(name, self._seed, counts, addresses, self.worst_late_ms, self.socket_errors)

    async def close(self) -> None:
        """Close all sockets; what is still on its way is dropped."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for front in self._fronts.values():
            front.close()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    # ── from the sockets ─────────────────────────────────────────────────────────────────────────────────

    def on_client_packet(self, front: "_Front", client: Address, data: bytes) -> None:
        """The phone sent something."""
        self._pass_due()
        behind = front.behind(client, self._link.address)
        if behind is None:
            self._link.drop(Way.UP, len(data), is_old_address=False)
            return
        if behind.is_new:
            behind.is_new = False
            self._open(behind)
        self._enter(Way.UP, _Parcel(behind, data))

    def on_server_packet(self, behind: "_Behind", data: bytes) -> None:
        """The server sent something to one of the phone's addresses."""
        self._pass_due()
        if behind.number != self._link.address:
            self._link.drop(Way.DOWN, len(data), is_old_address=True)
            return
        self._enter(Way.DOWN, _Parcel(behind, data))

    # ── the link ─────────────────────────────────────────────────────────────────────────────────────────

    def _enter(self, way: Way, parcel: "_Parcel") -> None:
        self._link.send(way, parcel, len(parcel.data), asyncio.get_running_loop().time())
        self._rearm()

    def _rearm(self) -> None:
        due = self._link.next_due
        if self._is_closed or due is None or due >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = asyncio.get_running_loop().call_at(due, self._fire)

    def _fire(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._pass_due()
        self._rearm()

    def _pass_due(self) -> None:
        now = asyncio.get_running_loop().time()
        for delivery in self._link.take(now):
            self._deliver(delivery, now)

    def _deliver(self, delivery: "Delivery[_Parcel]", now: float) -> None:
        self.worst_late_ms = max(self.worst_late_ms, (now - delivery.due) * 1e3)
        behind, data = delivery.packet.behind, delivery.packet.data
        if delivery.way is Way.UP:
            behind.send(data)
        else:
            behind.front.send(data, behind.client)

    def _open(self, behind: "_Behind") -> None:
        task = asyncio.ensure_future(self._connect(behind))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, behind: "_Behind") -> None:
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: behind, remote_addr=behind.front.target
            )
        except OSError:
            self.socket_errors += 1


class _Parcel:
    __slots__ = ("behind", "data")

    def __init__(self, behind: "_Behind", data: bytes) -> None:
        self.behind = behind
        self.data = data


class _Front(asyncio.DatagramProtocol):
    """The address that the phone is told, for one of the server's."""

    def __init__(self, relay: Relay, target: Address) -> None:
        self.relay = relay
        self.target = target
        self._transport: asyncio.DatagramTransport | None = None
        self._behind: dict[Address, _Behind] = {}
        self._old: list[_Behind] = []

    @property
    def address(self) -> Address:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    def behind(self, client: Address, number: int) -> "_Behind | None":
        """The socket of this address of the phone; None if it has too many."""
        known = self._behind.get(client)
        if known is None and len(self._behind) >= MAX_CLIENT_ADDRESSES:
            return None
        if known is None or known.number != number:
            if known is not None:
                self._old.append(known)
            known = self._behind[client] = _Behind(self, client, number)
        return known

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.relay.on_client_packet(self, (addr[0], addr[1]), data)

    def error_received(self, exc: Exception) -> None:
        self.relay.socket_errors += 1

    def send(self, data: bytes, client: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, client)

    def close(self) -> None:
        for behind in (*self._behind.values(), *self._old):
            behind.close()
        if self._transport is not None:
            self._transport.close()


class _Behind(asyncio.DatagramProtocol):
    """One address of the phone, as the server sees it."""

    def __init__(self, front: _Front, client: Address, number: int) -> None:
        self.front = front
        self.client = client
        self.number = number
        """Of the phone's addresses in their order, this one's."""
        self.is_new = True
        self._transport: asyncio.DatagramTransport | None = None
        self._early: deque[bytes] = deque()
        self._is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        if self._is_closed:
            self._transport.close()
        while self._early:
            self.send(self._early.popleft())

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.front.relay.on_server_packet(self, data)

    def error_received(self, exc: Exception) -> None:
        self.front.relay.socket_errors += 1

    def send(self, data: bytes) -> None:
        if self._transport is None:
            if len(self._early) < MAX_EARLY:
                self._early.append(data)
            else:
                self.front.relay.socket_errors += 1
        elif not self._transport.is_closing():
            self._transport.sendto(data)

    def close(self) -> None:
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()
