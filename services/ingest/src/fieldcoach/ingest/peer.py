"""One peer connection of a session: its transport, and what is counted on it."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import Problem, SignalReply

from .addresses import MediaAddresses
from .errors import MediaFailed
from .fragment import IceFragment, write_fragment
from .jitter import AudioPacket
from .negotiation import Offer, write_answer
from .profile import SendProfile
from .rtc_tap import MediaTransport
from .rtcp import REPORT_INTERVAL_S, ReceptionStatistics
from .whip_resource import WhipResource

log = logging.getLogger(__name__)

MAX_SOURCES: Final = 8
"""SSRCs counted on one connection: a phone has one, and a new one when it changes its microphone."""
CLOSE_TIMEOUT_S: Final = 2.0
"""Telling a phone that has gone must not hold up anything."""


class PeerOwner(Protocol):
    """The session."""

    def on_packet(self, peer: "Peer", ssrc: int, packet: AudioPacket) -> bool:
        """An audio packet; says whether it came because it was asked for."""

    def nacks(self, peer: "Peer", now: float) -> tuple[int, list[int]] | None:
        """The SSRC and the sequence numbers to ask for again, if any."""

    def on_lost(self, peer: "Peer", reason: str, now: float) -> None:
        """The connection failed, was closed by the phone, or lost its consent."""


class Peer:
    """From the offer to the end of one connection."""

    def __init__(
        self, offer: Offer, addresses: MediaAddresses, owner: PeerOwner, count: Callable[[str], None]
    ) -> None:
        self._offer = offer
        self._owner = owner
        self._count = count
        self._transport = MediaTransport(offer, addresses, self, count)
        self._sources: dict[int, ReceptionStatistics] = {}
        self._report_at = 0.0
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False
        name = new_id()
        self.resource = WhipResource(name, name, offer.ice_ufrag, offer.ice_pwd)

    @property
    def has_nack(self) -> bool:
        """Whether the phone sends again what it is asked for."""
        return self._offer.has_nack

    @property
    def rtt_s(self) -> float | None:
        """The round trip in seconds, once it is known."""
        return self._transport.rtt_s

    async def answer(self, profile: SendProfile) -> str:
        """Open the sockets, write the answer, and let ICE begin.

        Raises:
            NoMediaAddress: no socket could be opened.
        """
        local = await self._transport.gather()
        self._connecting = asyncio.create_task(self._connect())
        return write_answer(self._offer, local, profile, random.getrandbits(62))

    async def _connect(self) -> None:
        try:
            await self._transport.connect()
            self._count("connected")
        except MediaFailed as failed:
            self._count(f"{failed.stage}-failed")
            if not self._is_closed:
                self._owner.on_lost(self, f"{failed.stage}-failed", time.monotonic())

    async def patch(self, fragment: IceFragment, if_match: str) -> SignalReply:
        """Trickle ICE, or an ICE restart (RFC 9725 section 4.3)."""
        resource = self.resource
        wanted = resource.judge(fragment, if_match)
        if isinstance(wanted, Problem):
            return SignalReply(problem=wanted)
        if wanted == "restart":
            self._transport.restart(fragment.ufrag, fragment.pwd)
            resource.restarted(fragment, new_id)
        reply = SignalReply(etag=resource.etag)
        if wanted != "trickle":
            sdp = write_fragment(self._offer, self._transport.local())
            reply = SignalReply(sdp=sdp, etag=resource.etag)
        await self._transport.add_candidates(fragment.candidates)
        return reply

    # ── from the socket ──────────────────────────────────────────────────────────────────────────────────

    def on_rtp(self, ssrc: int, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        """A packet arrived."""
        source = self._sources.get(ssrc)
        if source is None:
            if len(self._sources) >= MAX_SOURCES:
                self._count("too-many-sources")
                return
            source = self._sources[ssrc] = ReceptionStatistics(ssrc)
        is_repaired = self._owner.on_packet(self, ssrc, AudioPacket(sequence, timestamp, payload, arrival))
        if not is_repaired:  # the network has lost it, and the sender's FEC and our ladder go by that
            source.add(sequence, timestamp, arrival)

    def on_sender_report(self, ssrc: int, ntp_timestamp: int, arrival: float) -> None:
        """The sender told its clock."""
        source = self._sources.get(ssrc)
        if source is not None:
            source.sender_report(ntp_timestamp, arrival)

    def on_transport_lost(self) -> None:
        """The phone closed the connection, or is not there any more."""
        if not self._is_closed:
            self._owner.on_lost(self, "disconnected", time.monotonic())

    # ── upkeep ───────────────────────────────────────────────────────────────────────────────────────────

    async def upkeep(self, now: float) -> None:
        """Ask again for what is missing, and send a receiver report, if either is due."""
        if self._is_closed:
            return
        if self._offer.has_nack and (wanted := self._owner.nacks(self, now)) is not None:
            await self._transport.send_nack(*wanted)
        if now >= self._report_at:
            await self._report(now)

    async def _report(self, now: float) -> None:
        # RFC 3550 section 6.2: varied by half, so that reports of many sessions don't fall together
        self._report_at = now + REPORT_INTERVAL_S * random.uniform(0.5, 1.5)
        reports = [report for source in self._sources.values() if (report := source.report(now))]
        if reports:
            await self._transport.send_report(reports)

    async def close(self) -> None:
        """Free the sockets."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        started = time.monotonic()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._transport.close()
        except TimeoutError:
            self._count("close-timeout")
            log.warning("closing a transport took too long", extra={"s": time.monotonic() - started})
