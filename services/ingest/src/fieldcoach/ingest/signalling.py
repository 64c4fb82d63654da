"""What is asked of sessions by signalling: offers, fragments, a WebSocket's sound, pause, resume, the end."""

import logging
import time

from fieldcoach.common.messages import Message, Problem, SignalReply, SignalRequest

from .addresses import MediaAddresses
from .errors import NoMediaAddress, OfferRejected
from .fragment import parse_fragment
from .negotiation import parse_offer
from .opus_source import OpusSource
from .peer import Peer
from .placement import RETRY_AFTER_S, Placement, problem
from .session import Session
from .telemetry import IngestTelemetry
from .whip_resource import ANY

log = logging.getLogger(__name__)


class Signalling:
    """Answers `SignalRequest`s."""

    def __init__(self, placement: Placement, addresses: MediaAddresses, telemetry: IngestTelemetry) -> None:
        self._placement = placement
        self._addresses = addresses
        self._telemetry = telemetry

    async def answer(self, payload: bytes) -> Message:
        """One request."""
        request = SignalRequest.decode(payload)
        if request.action in ("offer", "audio"):
            async with self._placement.offering(request.session):
                return await (self._offer if request.action == "offer" else self._audio)(request)
        session = self._placement.sessions.get(request.session)
        if session is None:
            return problem("not-found", 404, "No media", "this session has no media here")
        now = time.monotonic()
        match request.action:
            case "pause":
                session.pause(now)
            case "resume":
                session.resume(now)
            case "end":
                session.end("user", now, announce=False)
            case "close" | "restart" | "trickle":
                return await self._on_resource(session, request, now)
        return SignalReply()

    async def _on_resource(self, session: Session, request: SignalRequest, now: float) -> SignalReply:
        """What is asked of one peer connection."""
        peer = session.find(request.resource)
        if isinstance(peer, Problem):
            return SignalReply(problem=peer)
        if request.action == "close":
            session.on_lost(peer, "closed", now)
            return SignalReply()
        try:
            fragment = parse_fragment(request.sdp)
        except OfferRejected as rejected:
            return SignalReply(problem=rejected.problem)
        reply = await peer.patch(fragment, ANY if request.action == "restart" else request.etag)
        if reply.sdp:
            session.restarted(now)
        return reply

    async def _offer(self, request: SignalRequest) -> SignalReply:
        try:
            offer = parse_offer(request.sdp)
        except OfferRejected as rejected:
            self._telemetry.offers.add(rejected.problem.type)
            return SignalReply(problem=rejected.problem)
        session = await self._placement.place(request)
        if isinstance(session, SignalReply):
            return session
        peer = Peer(offer, self._addresses, session, self._telemetry.transports.add)
        try:
            sdp = await peer.answer(session.profile)
        except NoMediaAddress as error:
            await peer.close()
            self._telemetry.offers.add("no-media-address")
            log.error("no media address", extra={"error": str(error)})
            return problem("not-ready", 503, "No media", str(error), retry_after_s=RETRY_AFTER_S)
        if session.life.has_ended:  # while the sockets were opened
            await peer.close()
            return problem("not-found", 404, "No media", "this session has ended")
        session.attach(peer, time.monotonic())
        self._telemetry.offers.add("answered")
        return SignalReply(sdp=sdp, etag=peer.resource.etag)

    async def _audio(self, request: SignalRequest) -> SignalReply:
        """A WebSocket of a phone at a gateway; its sound will come as `OpusFrames`."""
        session = await self._placement.place(request)
        if isinstance(session, SignalReply):
            return session
        source = OpusSource(request.resource)
        session.attach(source, time.monotonic())
        self._telemetry.offers.add("websocket")
        return SignalReply(etag=source.resource.etag)
