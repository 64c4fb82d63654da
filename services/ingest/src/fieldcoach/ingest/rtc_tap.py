"""ICE and DTLS by aiortc, with the RTP packets tapped before its jitter buffer.

aiortc's receiver would lose a quarter of the speech at 5 % packet loss, and decode in a thread per session.
So only its transports are used. Every private name of aiortc and aioice that this service touches stands in
this file, and tests/test_ingest_rtc_tap.py fails if one of them has moved.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol, get_host_addresses
from aioice.stun import Message, TransactionError
from aioice.utils import random_string
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceCandidate, RTCIceGatherer, RTCIceTransport
from aiortc.rtcdtlstransport import RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket

from .addresses import MediaAddresses
from .errors import MediaFailed, NoMediaAddress
from .media_path import MediaPath, RtpSink
from .negotiation import MAX_CANDIDATES, LocalTransport, Offer
from .rtcp import ReceptionReport, nack_packet

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 30.0
"""libwebrtc gives up on ICE after 30 s (kept so that a phone on a 2G link can make it)."""
CONSENT_INTERVAL_S: Final = 5.0
"""RFC 7675 section 5.1, varied by a fifth."""
FIRST_CONSENT_S: Final = 0.5
"""The first check is early: it tells the round trip, by which repairs are waited for."""
CONSENT_TRIES: Final = 3
"""Retransmissions of a consent check: with 0.5 s doubling they span 7.5 s, more than any 2G round trip."""
CONSENT_LOST_S: Final = 120.0
"""aioice gives up after 30 s of round trips over 0.5 s, which a healthy 2G link has. RFC 7675 has 30 s of
silence; a phone in a cellar comes back later than that."""

_STUN_CLASS: Final = 0x0110
_INDICATION: Final = 0x0010
"""RFC 8489 section 5: the two bits of the message type that tell request, indication, response and error."""
MAX_REMOTE: Final = 64
"""Addresses that a phone is seen at on one connection. Each new one is a check of ours and stays in the list;
who has the credentials could make them without end. A phone in a train has a few."""
MAX_QUEUED: Final = 64
"""DTLS datagrams that wait for the receive task; a handshake has about ten."""


def host_addresses() -> list[str]:
    """This machine's addresses but loopback, IPv4 first: a phone tries them in this order."""
    found = get_host_addresses(use_ipv4=True, use_ipv6=True)
    return sorted(dict.fromkeys(found), key=lambda address: ":" in address)


class _StunProtocol(StunProtocol):
    """A socket that a malformed datagram can't close (uvloop would close it on an exception)."""

    def __init__(self, receiver: "_IceConnection") -> None:
        super().__init__(receiver)
        self._ice = receiver

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Tell media, DTLS and STUN apart by the first byte (RFC 7983). Media are through when it returns."""
        ice = self._ice
        assert isinstance(data, bytes)
        try:
            if not data:
                ice.count("empty-datagram")
            elif 128 <= (first := data[0]) < 192:
                ice.media.take(data)
            elif 20 <= first < 64:
                ice.data_received(data, self.local_candidate.component)
            elif first < 4:
                if (stray := self._stray(data)) is not None:
                    ice.count(stray)
                else:
                    super().datagram_received(data, addr)
            else:
                ice.count("unknown-datagram")
        except Exception:
            ice.count("stun-error")

    def _stray(self, data: bytes) -> str | None:
        """The name of a STUN message that aioice would pass over without a word: nobody asked for it."""
        kind = int.from_bytes(data[:2]) & _STUN_CLASS
        if kind == _INDICATION:
            return "stun-indication"
        return "stun-unmatched" if kind and data[8:20] not in self.transactions else None

    def error_received(self, exc: Exception) -> None:
        """The kernel did not take a datagram, or tells of one that nobody took."""
        self._ice.count("socket-error")


class _IceConnection(Connection):
    """aioice with our sockets and a consent check for slow links."""

    def __init__(
        self,
        addresses: MediaAddresses,
        ice_controlling: bool,
        media: MediaPath,
        count: Callable[[str], None],
    ) -> None:
        super().__init__(ice_controlling=ice_controlling)
        self._addresses = addresses
        self.media = media
        self.count = count
        self.rtt_s: float | None = None
        self._round_trips: deque[float] = deque(maxlen=2)
        self._heard = time.monotonic()

    def data_received(self, data: bytes, component: int) -> None:
        """DTLS, for aiortc's receive task; aioice's queue alone has no bound."""
        if not 20 <= data[0] < 64:  # what aioice could not read as STUN
            self.count("stun-malformed")
        elif self._queue.qsize() >= MAX_QUEUED:
            self.count("dtls-overflow")
        else:
            super().data_received(data, component)

    def check_incoming(self, message: Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """A check with the right credentials, perhaps from an address that we have not seen yet."""
        if "PRIORITY" not in message.attributes:  # RFC 8445 section 7.1.1: a check has it
            self.count("stun-malformed")
            return
        is_known = any(c.host == addr[0] and c.port == addr[1] for c in self._remote_candidates)
        if not is_known and len(self._remote_candidates) >= MAX_REMOTE:
            self.count("too-many-addresses")
            return
        super().check_incoming(message, addr, protocol)

    def respond_error(
        self,
        request: Message,
        addr: tuple[str, int],
        protocol: StunProtocol,
        error_code: tuple[int, str],
    ) -> None:
        """A check without our credentials (401), with none (400), or in our own role (487)."""
        self.count(f"stun-{error_code[0]}")
        super().respond_error(request, addr, protocol, error_code)

    async def gather_candidates(self) -> None:
        if self._local_candidates_start:
            return
        self._local_candidates_start = True
        draw = random.Random()
        for bind, offered in self._addresses.sockets():
            protocol = await self._open(bind, draw)
            if protocol is None:
                self.count("bind-failed")
                continue
            port = protocol.transport.get_extra_info("sockname")[1]
            candidates = [_host_candidate(host, port) for host in offered]
            protocol.local_candidate = candidates[0]
            self._protocols.append(protocol)
            self._local_candidates += candidates
        self._local_candidates_end = True

    async def _open(self, bind: str, draw: random.Random) -> _StunProtocol | None:
        loop = asyncio.get_running_loop()
        for port in self._addresses.port_candidates(draw):
            try:
                _, protocol = await loop.create_datagram_endpoint(
                    lambda: _StunProtocol(self), local_addr=(bind, port)
                )
            except OSError:
                continue
            return protocol
        return None

    async def query_consent(self) -> None:
        """Replaces aioice's: needs two minutes of silence to give up, and measures the round trip."""
        assert self.remote_password is not None
        self._heard = time.monotonic()
        interval = FIRST_CONSENT_S
        while True:
            await asyncio.sleep(interval * random.uniform(0.8, 1.2))
            interval = CONSENT_INTERVAL_S
            for pair in list(self._nominated.values()):
                asked = time.monotonic()
                try:
                    await pair.protocol.request(
                        self.build_request(pair, nominate=False),
                        pair.remote_addr,
                        integrity_key=self.remote_password.encode(),
                        retransmissions=CONSENT_TRIES,
                    )
                except TransactionError:
                    self.count("consent-missed")
                    continue
                self._heard = time.monotonic()
                # a check that was lost and repeated seems half a second longer than it was
                self._round_trips.append(self._heard - asked)
                self.rtt_s = min(self._round_trips)
            # some senders, FFmpeg's among them, answer no check once media flow; they are answer enough
            if time.monotonic() - max(self._heard, self.media.heard_at) > CONSENT_LOST_S:
                self.count("consent-lost")
                self._query_consent_task = None
                await self.close()
                return

    def restart(self, ufrag: str, pwd: str) -> None:
        """ICE restart (RFC 8445 section 9): new credentials on both sides, checks from the beginning.

        The sockets stay, and so does the nominated pair: media flow by it until another one is nominated.
        """
        for pair in self._check_list:
            if pair.task is not None:
                pair.task.cancel()
        self._check_list.clear()
        self._remote_candidates.clear()
        self._nominating.clear()
        self._local_username, self._local_password = random_string(4), random_string(22)
        self.remote_username, self.remote_password = ufrag, pwd
        self._heard = time.monotonic()
        self.count("ice-restart")

    def check_new_pairs(self) -> None:
        """Check what was paired after `connect` was through, which by then starts no more checks.

        Most phones need none of it: they are the controlling side and their own checks find us.
        """
        if self._query_consent_task is not None:
            for pair in self._check_list:
                if pair.state is CandidatePair.State.FROZEN:
                    self.check_start_task(pair)


def _host_candidate(host: str, port: int) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host"),
        host=host,
        port=port,
        type="host",
    )


class _IceGatherer(RTCIceGatherer):
    def __init__(self, connection: _IceConnection) -> None:
        super().__init__(iceServers=[])
        self._connection = connection


class _DtlsTransport(RTCDtlsTransport):
    """A receive task that outlives whatever a datagram makes the code behind it raise."""

    count: Callable[[str], None]

    async def _recv_next(self) -> None:
        try:
            await super()._recv_next()
        except ConnectionError:
            raise
        except IndexError:  # an empty datagram, from anybody
            self.count("empty-datagram")
        except Exception:
            if not self.encrypted:
                raise  # the handshake fails, and says so
            self.count("packet-error")


class _NoData:
    """What comes through DTLS is SCTP, and the answer has refused every application section."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count

    async def _handle_data(self, _data: bytes) -> None:
        self._count("sctp-refused")


class _Tap:
    """What aiortc's router takes for a receiver: told when the phone has closed DTLS. Media go elsewhere."""

    def __init__(self, sink: RtpSink) -> None:
        self._sink = sink

    async def _handle_rtp_packet(self, packet: object, arrival_time_ms: int) -> None:
        """Never called: no media datagram enters aiortc's queue."""

    async def _handle_rtcp_packet(self, packet: object) -> None:
        """Never called either."""

    def _handle_disconnect(self) -> None:
        self._sink.on_transport_lost()


class MediaTransport:
    """One phone's transport: `gather`, then `connect`, then packets flow into the sink until `close`."""

    def __init__(
        self, offer: Offer, addresses: MediaAddresses, sink: RtpSink, count: Callable[[str], None]
    ) -> None:
        self._offer = offer
        self._count = count
        self._media = MediaPath(offer.payload_type, sink, count)
        self._connection = _IceConnection(addresses, offer.ice_lite, self._media, count)
        self._gatherer = _IceGatherer(self._connection)
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = _DtlsTransport(self._ice, [RTCCertificate.generateCertificate()])
        self._dtls.count = count
        self._dtls._register_data_receiver(_NoData(count))
        self._dtls._set_role("client" if offer.answer_setup == "active" else "server")
        self._tap = _Tap(sink)
        self._rtcp_ssrc = random.getrandbits(32)

    @property
    def rtt_s(self) -> float | None:
        """Round trip of the last consent check; None before the first."""
        return self._connection.rtt_s

    async def gather(self) -> LocalTransport:
        """Open the sockets.

        Raises:
            NoMediaAddress: none could be bound.
        """
        await self._gatherer.gather()
        if not self._gatherer.getLocalCandidates():
            raise NoMediaAddress("no UDP socket for media: check MEDIA_HOSTS, MEDIA_BIND and MEDIA_PORTS")
        return self.local()

    def local(self) -> LocalTransport:
        """Our side as an answer tells it, with the credentials of this moment."""
        candidates = self._gatherer.getLocalCandidates()
        local = self._gatherer.getLocalParameters()
        fingerprints = [f for f in self._dtls.getLocalParameters().fingerprints if f.algorithm == "sha-256"]
        return LocalTransport(local.usernameFragment or "", local.password or "", fingerprints, candidates)

    async def connect(self) -> None:
        """ICE, then DTLS; packets reach the sink from then on.

        Raises:
            MediaFailed: within 30 s nobody came, or the handshake failed.
        """
        offer = self._offer
        for candidate in offer.candidates:
            await self._ice.addRemoteCandidate(candidate)
        # never signal the end of candidates: a phone behind a NAT is found by its own checks
        self._dtls._register_rtp_receiver(self._tap, RTCRtpReceiveParameters())
        stage = "ice"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._ice.start(
                    RTCIceParameters(
                        usernameFragment=offer.ice_ufrag, password=offer.ice_pwd, iceLite=offer.ice_lite
                    )
                )
                if self._ice.state != "completed":
                    raise MediaFailed(stage)
                stage = "dtls"
                await self._dtls.start(RTCDtlsParameters(fingerprints=list(offer.fingerprints)))
                if self._dtls.state != "connected":
                    raise MediaFailed(stage)
                self._media.open(self._dtls._rx_srtp)
        except MediaFailed:
            raise
        except Exception as error:  # also whatever a hostile peer's handshake makes OpenSSL or STUN raise
            self._count("connect-error")
            raise MediaFailed(stage) from error

    def restart(self, ufrag: str, pwd: str) -> LocalTransport:
        """ICE restart: the phone's new credentials in, ours out. DTLS, SRTP and media go on."""
        self._connection.restart(ufrag, pwd)
        return self.local()

    async def add_candidates(self, candidates: Sequence[RTCIceCandidate]) -> None:
        """More of the phone's addresses."""
        room = MAX_CANDIDATES - len(self._connection.remote_candidates)
        for candidate in candidates[: max(0, room)]:
            await self._ice.addRemoteCandidate(candidate)
        self._connection.check_new_pairs()

    async def send_report(self, reports: list[ReceptionReport]) -> None:
        """Send a receiver report; a transport that has gone is no error."""
        blocks = [
            RtcpReceiverInfo(
                ssrc=r.ssrc,
                fraction_lost=r.fraction_lost,
                packets_lost=r.packets_lost,
                highest_sequence=r.highest_sequence,
                jitter=r.jitter,
                lsr=r.lsr,
                dlsr=r.dlsr,
            )
            for r in reports
        ]
        await self._send(bytes(RtcpRrPacket(ssrc=self._rtcp_ssrc, reports=blocks)), "report")

    async def send_nack(self, ssrc: int, sequences: Sequence[int]) -> None:
        """Ask for packets of `ssrc` again; `sequences` are 16 bit numbers in the order of the stream."""
        await self._send(nack_packet(self._rtcp_ssrc, ssrc, sequences), "nack")

    async def _send(self, packet: bytes, kind: str) -> None:
        try:
            await self._dtls._send_rtp(packet)
        except (ConnectionError, OSError):
            self._count(f"{kind}-unsent")

    async def close(self) -> None:
        """Tell the phone, and free the sockets."""
        self._media.close()
        self._dtls._unregister_rtp_receiver(self._tap)
        try:
            await self._dtls.stop()
        finally:  # a machine too busy to end DTLS in time must still free the sockets
            await self._ice.stop()
