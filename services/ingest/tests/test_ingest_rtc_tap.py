"""The private names of aiortc and aioice that `rtc_tap` builds on, and what keeps a transport alive."""

import asyncio
import inspect
import random
from collections import Counter
from importlib.metadata import version
from typing import cast

import aioice
import pylibsrtp
import pytest
from aioice import stun
from aioice.ice import CandidatePair, StunProtocol
from aioice.stun import TransactionTimeout
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.rtcdtlstransport import RtpRouter

from fieldcoach.ingest.addresses import MediaAddresses
from fieldcoach.ingest.errors import MediaFailed, NoMediaAddress
from fieldcoach.ingest.negotiation import parse_offer
from fieldcoach.ingest.rtc_tap import MAX_QUEUED, MAX_REMOTE, MediaTransport, _Tap, host_addresses
from fieldcoach.ingest.rtcp import ReceptionReport

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=ice-ufrag:Abcd",
        "a=ice-pwd:" + "p" * 24,
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=candidate:2 1 udp 2113937150 127.0.0.1 9 typ host",
        "",
    ]
)


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type] # a function of aiortc


async def test_the_private_names_are_where_they_were() -> None:
    """If this fails after an upgrade, read `rtc_tap.py` against the new version before changing the pin."""
    assert version("aiortc") == "1.16.0"
    assert version("aioice") == "0.13.0"
    connection = aioice.Connection(ice_controlling=False)
    for name in (
        "_local_candidates",
        "_local_candidates_start",
        "_local_candidates_end",
        "_protocols",
        "_nominated",
        "_query_consent_task",
        "_check_list",
        "_remote_candidates",
        "_nominating",
        "_local_username",
        "_local_password",
    ):
        assert hasattr(connection, name), name
    assert parameters(aioice.Connection.query_consent) == ["self"]
    assert parameters(aioice.Connection.gather_candidates) == ["self"]
    assert parameters(aioice.Connection.build_request) == ["self", "pair", "nominate"]
    assert parameters(StunProtocol.datagram_received) == ["self", "data", "addr"]
    assert parameters(aioice.Connection.check_start_task) == ["self", "pair"]
    assert "retransmissions" in parameters(StunProtocol.request)
    gatherer = RTCIceGatherer(iceServers=[])
    assert isinstance(gatherer._connection, aioice.Connection)
    gatherer._connection = connection
    assert RTCIceTransport(gatherer)._connection is connection
    assert parameters(RTCDtlsTransport._register_rtp_receiver) == ["self", "receiver", "parameters"]
    assert parameters(RTCDtlsTransport._unregister_rtp_receiver) == ["self", "receiver"]
    assert parameters(RTCDtlsTransport._send_rtp) == ["self", "data"]
    assert parameters(RTCDtlsTransport._register_data_receiver) == ["self", "receiver"]
    assert parameters(aioice.Connection.check_incoming) == ["self", "message", "addr", "protocol"]
    assert parameters(aioice.Connection.respond_error) == [
        *("self", "request", "addr", "protocol", "error_code")
    ]
    assert parameters(RTCDtlsTransport._set_role) == ["self", "role"]
    assert parameters(RTCDtlsTransport._recv_next) == ["self"]
    router = RtpRouter()
    router.register_receiver(_Tap(Sink()), ssrcs=[], payload_types=[])
    assert router.receivers
    dtls = RTCDtlsTransport(RTCIceTransport(gatherer), [RTCCertificate.generateCertificate()])
    assert dtls._rx_srtp is None
    assert parameters(aioice.Connection.data_received) == ["self", "data", "component"]
    assert isinstance(connection._queue, asyncio.Queue)
    for name in ("protect", "unprotect", "protect_rtcp", "unprotect_rtcp"):
        assert parameters(getattr(pylibsrtp.Session, name)) == ["self", "packet"]


class Sink:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_rtp(self, ssrc: int, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        self.seen.append((ssrc, sequence, timestamp, payload))

    def on_sender_report(self, ssrc: int, ntp_timestamp: int, arrival: float) -> None:
        self.seen.append(ntp_timestamp)

    def on_transport_lost(self) -> None:
        self.seen.append("lost")


async def test_the_end_of_dtls_is_told_and_nothing_else_comes_by_aiortc() -> None:
    sink = Sink()
    tap = _Tap(sink)
    await tap._handle_rtp_packet(object(), 0)
    await tap._handle_rtcp_packet(object())
    tap._handle_disconnect()
    assert sink.seen == ["lost"]


async def test_datagrams_are_told_apart_by_their_first_byte() -> None:
    """RFC 7983: STUN, DTLS, media; nothing raises, the queue is bounded, each kind is counted."""
    counts = Counter[str]()
    transport = MediaTransport(
        parse_offer(OFFER), MediaAddresses(("127.0.0.1",)), Sink(), lambda reason: counts.update([reason])
    )
    await transport.gather()
    protocol = transport._connection._protocols[0]
    somebody = ("127.0.0.1", 9)
    for datagram in (b"", b"\x05" * 30, b"\x80" * 30, b"\0\1", b"\0\x11" + b"\0" * 18):
        protocol.datagram_received(datagram, somebody)
    for _ in range(MAX_QUEUED + 3):
        protocol.datagram_received(b"\x16" + bytes(40), somebody)
    assert transport._connection._queue.qsize() == MAX_QUEUED
    assert counts == {
        "empty-datagram": 1,
        "unknown-datagram": 1,
        "stun-malformed": 1,
        "stun-indication": 1,
        "dtls-overflow": 3,
    }
    await transport.close()


async def test_mutated_datagrams_raise_nothing_and_disturb_nobody() -> None:
    """STUN, DTLS and media of a stranger, some of it with the right user name; another session goes on."""
    draw = random.Random(5)
    counts, others = Counter[str](), Counter[str]()
    addresses = MediaAddresses(("127.0.0.1",))
    attacked = MediaTransport(parse_offer(OFFER), addresses, Sink(), lambda reason: counts.update([reason]))
    other = MediaTransport(parse_offer(OFFER), addresses, Sink(), lambda reason: others.update([reason]))
    local = await attacked.gather()
    await other.gather()
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{local.ufrag}:Abcd"
    request.attributes["PRIORITY"] = 7
    request.attributes["ICE-CONTROLLING"] = 9
    request.add_message_integrity(local.pwd.encode())
    samples = [bytes(request), b"\x16\xfe\xfd" + bytes(60), b"\x80\x6f" + bytes(60)]
    protocol = attacked._connection._protocols[0]
    tasks = len(asyncio.all_tasks())
    for number in range(3_000):
        mutant = bytearray(samples[number % 3])
        for _ in range(draw.randint(1, 8)):
            mutant[draw.randrange(len(mutant))] = draw.randrange(256)
        cut = draw.randrange(len(mutant)) if draw.random() < 0.3 else len(mutant)
        protocol.datagram_received(bytes(mutant[:cut]), ("127.0.0.1", draw.randrange(1, 9)))
    assert attacked._connection._queue.qsize() <= MAX_QUEUED
    assert len(attacked._connection._early_checks) <= 100
    assert len(asyncio.all_tasks()) == tasks
    assert set(counts) == {
        "empty-datagram",
        "unknown-datagram",
        "stun-malformed",
        "stun-error",
        "stun-400",
        "stun-401",
        "stun-indication",
        "dtls-overflow",
        "media-without-key",
    }
    assert not others
    assert not protocol.transport.is_closing()
    await attacked.close()
    await other.close()


async def test_addresses_of_one_phone_are_bounded() -> None:
    counts = Counter[str]()
    transport = MediaTransport(
        parse_offer(OFFER), MediaAddresses(("127.0.0.1",)), Sink(), lambda reason: counts.update([reason])
    )
    await transport.gather()
    connection = transport._connection
    connection.remote_username, connection.remote_password = "u", "p"
    protocol = connection._protocols[0]
    check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    connection.check_incoming(check, ("127.0.0.1", 1), protocol)
    assert counts == {"stun-malformed": 1}  # without a priority
    check.attributes["PRIORITY"] = 7
    for port in range(1, MAX_REMOTE + 11):
        connection.check_incoming(check, ("127.0.0.1", port), protocol)
        connection.check_incoming(check, ("127.0.0.1", 1), protocol)  # a known one goes on
    assert len(connection.remote_candidates) == MAX_REMOTE
    assert counts["too-many-addresses"] == 10
    await transport.close()


async def test_sockets_are_opened_as_set_and_freed() -> None:
    counts = Counter[str]()
    addresses = MediaAddresses(("127.0.0.1", "192.0.2.77"), "127.0.0.1", (41_000, 41_400))
    transport = MediaTransport(parse_offer(OFFER), addresses, Sink(), lambda reason: counts.update([reason]))
    local = await transport.gather()
    assert [candidate.ip for candidate in local.candidates] == ["127.0.0.1", "192.0.2.77"]
    assert len({candidate.port for candidate in local.candidates}) == 1
    assert 41_000 <= local.candidates[0].port <= 41_400
    assert [fingerprint.algorithm for fingerprint in local.fingerprints] == ["sha-256"]
    await transport.send_report([ReceptionReport(1, 0, 0, 0, 0, 0, 0)])
    await transport.send_nack(1, [2, 3])
    assert counts == {"report-unsent": 1, "nack-unsent": 1}
    assert transport.rtt_s is None
    await transport.close()


async def test_no_address_that_can_be_bound_is_an_error() -> None:
    counts = Counter[str]()
    addresses = MediaAddresses(("192.0.2.77",))
    if "192.0.2.77" in host_addresses():
        pytest.skip("this machine has the address of the test")
    transport = MediaTransport(parse_offer(OFFER), addresses, Sink(), lambda reason: counts.update([reason]))
    with pytest.raises(NoMediaAddress, match="MEDIA_HOSTS"):
        await transport.gather()
    assert counts == {"bind-failed": 1}
    await transport.close()


async def test_nobody_there_is_a_failure_of_ice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldcoach.ingest.rtc_tap.CONNECT_TIMEOUT_S", 0.2)
    counts = Counter[str]()
    transport = MediaTransport(
        parse_offer(OFFER), MediaAddresses(("127.0.0.1",)), Sink(), lambda reason: counts.update([reason])
    )
    local = await transport.gather()
    connecting = asyncio.ensure_future(transport.connect())
    loop = asyncio.get_running_loop()
    attacker, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", local.candidates[0].port)
    )
    for datagram in (b"", b"\0", b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12), bytes(200), b"\x80" * 20):
        attacker.sendto(datagram)
    with pytest.raises(MediaFailed) as failed:
        await connecting
    assert failed.value.stage == "ice"
    attacker.close()
    await transport.close()


class Pair:
    """A nominated candidate pair whose far side answers, or does not."""

    def __init__(self) -> None:
        self.protocol = self
        self.remote_addr = ("127.0.0.1", 9)
        self.local_candidate = type("Local", (), {"component": 1})
        self.component = 1
        self.answers = True
        self.asked = 0

    async def request(self, *_args: object, retransmissions: int, **_kwargs: object) -> None:
        self.asked += 1
        assert retransmissions >= 3  # one try of half a second would fail on every slow link
        await asyncio.sleep(0)
        if not self.answers:
            raise TransactionTimeout


async def test_consent_is_lost_only_after_two_minutes_of_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    waiting = asyncio.sleep

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await waiting(0)

    monkeypatch.setattr("fieldcoach.ingest.rtc_tap.time.monotonic", lambda: now)
    counts = Counter[str]()
    transport = MediaTransport(
        parse_offer(OFFER), MediaAddresses(("127.0.0.1",)), Sink(), lambda reason: counts.update([reason])
    )
    connection, pair = transport._connection, Pair()
    connection.remote_username, connection.remote_password = "u", "p"
    connection._nominated[1] = cast(CandidatePair, pair)
    with monkeypatch.context() as patch:
        patch.setattr("fieldcoach.ingest.rtc_tap.asyncio.sleep", sleep)
        checking = asyncio.ensure_future(connection.query_consent())
        while pair.asked < 10:
            await waiting(0)
        assert counts == {}
        assert transport.rtt_s == 0.0
        pair.answers, silent_since = False, now
        await checking
    assert 114 < now - silent_since < 132  # an interval of up to 6 s either way
    assert counts["consent-lost"] == 1
    assert counts["consent-missed"] >= 20
    await transport.close()


async def test_a_datagram_can_not_end_the_receive_task(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counter[str]()
    transport = MediaTransport(
        parse_offer(OFFER), MediaAddresses(("127.0.0.1",)), Sink(), lambda reason: counts.update([reason])
    )
    dtls = transport._dtls
    raised: list[type[Exception]] = [IndexError, ConnectionError, ValueError]

    async def fail(_self: object) -> None:
        raise raised[0]

    monkeypatch.setattr(RTCDtlsTransport, "_recv_next", fail)
    await dtls._recv_next()
    raised.pop(0)
    with pytest.raises(ConnectionError):
        await dtls._recv_next()
    raised.pop(0)
    with pytest.raises(ValueError):  # noqa: PT011 # ours, without a message: the handshake must fail
        await dtls._recv_next()
    dtls.encrypted = True
    await dtls._recv_next()
    assert counts == {"empty-datagram": 1, "packet-error": 1}
    await transport.close()
