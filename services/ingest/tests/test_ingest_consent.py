"""Consent on slow links, with aioice's own transactions, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest
from aioice import stun
from aioice.ice import CandidatePair, StunProtocol

from fieldcoach.ingest.addresses import MediaAddresses
from fieldcoach.ingest.media_path import MediaPath
from fieldcoach.ingest.rtc_tap import _IceConnection

PASSWORD = "p" * 22


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual = 1_000.0
        selector: Any = cast(Any, self)._selector
        select = selector.select

        def jump(timeout: float | None) -> Any:
            self._virtual += timeout or 0.0
            return select(0)

        selector.select = jump

    def time(self) -> float:
        return self._virtual


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualLoop]:
    virtual = VirtualLoop()
    monkeypatch.setattr("fieldcoach.ingest.rtc_tap.time.monotonic", virtual.time)
    yield virtual
    virtual.close()


class FarSide(StunProtocol):
    """Answers each check after `rtt` seconds, unless it is away; loses each `nth` of them."""

    def __init__(self, connection: _IceConnection, rtt: float, nth: int = 0) -> None:
        super().__init__(connection)
        self.rtt = rtt
        self.is_away = False
        self._nth = nth
        self._seen = 0

    def send_stun(self, message: stun.Message, addr: tuple[str, int]) -> None:
        self._seen += 1
        if self.is_away or (self._nth and self._seen % self._nth == 0):
            return
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
        answer.add_message_integrity(PASSWORD.encode())

        def respond() -> None:
            transaction = self.transactions.get(message.transaction_id)
            if transaction is not None:
                transaction.response_received(answer, addr)

        asyncio.get_running_loop().call_later(self.rtt, respond)


class Checked:
    """A connection with one nominated pair, whose consent is being checked."""

    def __init__(self, rtt: float, nth: int = 0) -> None:
        self.counts = Counter[str]()
        count = lambda reason: self.counts.update([reason])  # noqa: E731
        media = MediaPath(111, cast(Any, None), count)
        self.connection = _IceConnection(MediaAddresses(("127.0.0.1",)), False, media, count)
        self.connection.remote_username, self.connection.remote_password = "u", PASSWORD
        self.far = FarSide(self.connection, rtt, nth)
        pair = type(
            "Pair", (), {"protocol": self.far, "remote_addr": ("192.0.2.1", 9), "component": 1, "task": None}
        )()
        pair.local_candidate = type("Local", (), {"component": 1, "priority": 1})()
        self.connection._nominated[1] = cast(CandidatePair, pair)
        self.checking = asyncio.ensure_future(self.connection.query_consent())

    async def stop(self) -> None:
        self.checking.cancel()
        await asyncio.gather(self.checking, return_exceptions=True)
        self.connection._nominated.clear()
        await self.connection.close()


@pytest.mark.parametrize("rtt", [0.04, 0.6, 1.3, 3.0])
def test_a_slow_link_lives_and_its_round_trip_is_known(loop: VirtualLoop, rtt: float) -> None:
    """aioice's own check gives up after 30 s of a round trip over 0.5 s."""

    async def call() -> None:
        checked = Checked(rtt, nth=4)
        await asyncio.sleep(0.7 + rtt)
        assert checked.connection.rtt_s == pytest.approx(rtt)
        await asyncio.sleep(1_800)
        assert checked.connection.rtt_s == pytest.approx(rtt, abs=0.51)
        assert not checked.checking.done()
        assert checked.counts["consent-lost"] == 0
        await checked.stop()

    loop.run_until_complete(call())


def test_a_minute_in_a_cellar_is_survived_and_three_are_not(loop: VirtualLoop) -> None:
    async def call() -> None:
        checked = Checked(0.1)
        await asyncio.sleep(20)
        checked.far.is_away = True
        await asyncio.sleep(80)
        assert not checked.checking.done()
        checked.far.is_away = False
        await asyncio.sleep(20)
        checked.far.is_away = True
        checked.connection._nominated[1].protocol = checked.far
        gone = loop.time()
        while not checked.checking.done():
            await asyncio.sleep(1)
        assert 115 < loop.time() - gone < 140
        assert checked.counts["consent-lost"] == 1
        await checked.stop()

    loop.run_until_complete(call())
