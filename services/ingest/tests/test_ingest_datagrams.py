"""The sockets of all phones: read in turns, bounded each, closed cleanly."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from fieldcoach.ingest.datagrams import BURST, DatagramReader, DatagramSocket


class Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.errors: list[Exception] = []
        self.lost = asyncio.Event()
        self.came = asyncio.Event()
        self.on_data: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport: DatagramSocket = transport

    def datagram_received(self, data: bytes, _address: tuple[Any, ...]) -> None:
        self.data.append(data)
        self.came.set()
        if self.on_data is not None:
            self.on_data()

    def error_received(self, error: Exception) -> None:
        self.errors.append(error)

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost.set()

    @property
    def address(self) -> tuple[str, int]:
        found: tuple[str, int] = self.transport.get_extra_info("sockname")
        return found

    async def has(self, number: int) -> None:
        async with asyncio.timeout(5):
            while len(self.data) < number:
                self.came.clear()
                await self.came.wait()


def opened(reader: DatagramReader, number: int) -> list[Inbox]:
    found = [Inbox() for _ in range(number)]
    for inbox in found:
        reader.open(inbox, "127.0.0.1", 0)
    return found


async def closed(*inboxes: Inbox) -> None:
    for inbox in inboxes:
        inbox.transport.abort()
        assert inbox.transport.is_closing()
        await asyncio.wait_for(inbox.lost.wait(), 5)


async def test_each_gets_its_own_and_can_answer() -> None:
    first, second = opened(DatagramReader(), 2)
    first.transport.sendto(b"a", second.address)
    second.transport.sendto(b"b", first.address)
    await first.has(1)
    await second.has(1)
    assert (first.data, second.data) == ([b"b"], [b"a"])
    first.transport.sendto(b"c", second.address)  # in the pause after a turn
    await second.has(2)
    await asyncio.sleep(0.02)  # beyond the pause: the reader watches again
    first.transport.sendto(b"d", second.address)
    await second.has(3)
    await closed(first, second)


async def test_one_that_is_flooded_does_not_starve_the_others() -> None:
    flooded, other = opened(DatagramReader(), 2)
    seen: list[int] = []
    other.on_data = lambda: seen.append(len(flooded.data))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(2 * BURST):
            sender.sendto(str(number).encode(), flooded.address)
        sender.sendto(b"mine", other.address)
    await other.has(1)
    assert seen[0] <= BURST
    await flooded.has(2 * BURST)
    assert flooded.data == [str(number).encode() for number in range(2 * BURST)]
    await closed(flooded, other)


async def test_a_socket_may_be_closed_by_what_it_or_another_one_gets() -> None:
    reader = DatagramReader()
    first, second = opened(reader, 2)

    def close_both() -> None:
        first.transport.close()
        second.transport.close()

    first.on_data = second.on_data = close_both
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for inbox in (first, second):
            for _ in range(2):
                sender.sendto(b"x", inbox.address)
    await asyncio.wait_for(first.lost.wait(), 5)
    await asyncio.wait_for(second.lost.wait(), 5)
    assert len(first.data) + len(second.data) == 1
    first.transport.sendto(b"y", ("127.0.0.1", 9))  # no error: it is closed
    (again,) = opened(reader, 1)  # the same reader begins anew
    again.transport.sendto(b"z", again.address)
    await again.has(1)
    await closed(again)


async def test_what_the_kernel_does_not_take_is_told() -> None:
    (inbox,) = opened(DatagramReader(), 1)
    inbox.transport.sendto(bytes(70_000), inbox.address)
    assert len(inbox.errors) == 1
    with pytest.raises(OSError, match="in use"):
        DatagramReader().open(Inbox(), *inbox.address)
    await closed(inbox)
