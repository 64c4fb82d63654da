"""The life of a session as the gateway sees it: begin, signal to its ingest, end, summary.

Nothing is remembered here but the count of open sessions per user: the rest stands in the token.
"""

import time
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry.trace import Link

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable, MessageRejected
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    CueAcknowledged,
    ProfileApplied,
    SenderStats,
    SessionCreated,
    SessionEnding,
    SessionMoved,
    SignalReply,
    SignalRequest,
    StageTicked,
    Summary,
    decode_event,
)
from fieldcoach.common.numbering import EventNumbers, unix_ms
from fieldcoach.common.subjects import session_of
from fieldcoach.common.telemetry import Headers, extract, record_span

from .client_messages import Acknowledge, Applied, Tick
from .consent import consent_text
from .errors import IngestGone, Refused
from .fleet import Fleet, NotPlaced, Placed
from .limits import OpenSessions, RateLimit
from .models import AsrInfo, CreateSession, SessionAnswer, StartProfile
from .problems import NO_CAPACITY_RETRY_S, NOT_READY_RETRY_S, problem, with_urn
from .public_events import Json, public_summary
from .settings import GatewaySettings
from .telemetry import GatewayTelemetry
from .tokens import SessionClaims, SessionTokens, User
from .turn import TurnServers

OFFER_TIMEOUT_S: Final = 5.0
"""An answer waits until the ingest has gathered its candidates."""
SIGNAL_TIMEOUT_S: Final = 2.0
"""Everything else is decided at once; longer than a bus reconnect, shorter than a person's patience."""
OPEN_SESSIONS_RETRY_S: Final = 60
"""A user with too many visits must end one first."""

MAX_MOVED: Final = 10_000
"""Sessions whose ingest is another one than their token says; the oldest have ended or have a newer token."""
MAX_ETAGS_CHARS: Final = 512
"""A client knows one ICE session, and sends one tag of 26 characters."""

Action = Literal["offer", "audio", "restart", "trickle", "pause", "resume", "close", "end"]


class Sessions:
    """Begins, signals and ends sessions over the bus."""

    def __init__(
        self,
        settings: GatewaySettings,
        bus: Bus,
        fleet: Fleet,
        tokens: SessionTokens,
        telemetry: GatewayTelemetry,
        turn: TurnServers,
    ) -> None:
        self._turn = turn
        self._settings = settings
        self._bus = bus
        self._fleet = fleet
        self._tokens = tokens
        self._telemetry = telemetry
        self._open = OpenSessions(settings.sessions_per_user, settings.session_max_s)
        self._starts = RateLimit(settings.sessions_per_user_per_minute)
        # one for all sessions: its numbers rise, so those of each session do, also over several connections
        self._numbers = EventNumbers()
        self._moved: dict[str, str] = {}

    async def begin(self, user: User, request: CreateSession, client_headers: Headers) -> SessionAnswer:
        """Place a new session and tell everybody.

        Raises:
            Refused: a limit, or nowhere to place it.
        """
        begun_at, now = unix_ms(), time.monotonic()
        self._check_limits(user, now)
        self._check_languages(request, now)
        placed = self._place(now)
        if not self._bus.is_connected:
            raise _bus_away()
        engine = self._fleet.engine(now)
        assert engine is not None, "placed only with a worker"
        session = new_id()
        playbook = request.playbook or self._settings.default_playbook
        claims = SessionClaims(
            sid=session,
            region=self._settings.region,
            ingest=placed.ingest,
            playbook=playbook,
            languages=request.languages,
            level=request.level,
            scopes=("events", "media") if request.consent.given else ("events",),
            begun_at=begun_at / 1e3,
        )
        token, _ = self._tokens.issue(claims)
        await self._bus.publish_event(
            SessionCreated(
                session=session,
                n=self._numbers.next(),
                ingest=placed.ingest,
                playbook=playbook,
                level=request.level,
                languages=request.languages,
                created_at=begun_at,
            )
        )
        self._open.begun(user.sub, session, now)
        self._telemetry.sessions.add("begun")
        self._record("session.start", begun_at, client_headers)
        base = f"/v1/sessions/{session}"
        return SessionAnswer(
            session_id=session,
            session_token=token,
            expires_in=self._settings.token_ttl_s,
            whip_url=f"{base}/whip",
            audio_url=f"{base}/audio",
            events_url=f"{base}/events",
            end_url=f"{base}/end",
            summary_url=f"{base}/summary",
            ice_servers=self._turn.for_session(session, begun_at / 1e3),
            profile=StartProfile(),
            asr=AsrInfo(engine=engine.engine, model=engine.model),
            consent_text=consent_text(request.consent.language),
        )

    async def signal(
        self, claims: SessionClaims, action: Action, sdp: str = "", *, resource: str = "", etag: str = ""
    ) -> SignalReply:
        """Ask the session's ingest.

        Raises:
            Refused: the ingest's own problem, or it does not answer.
        """
        request = SignalRequest(
            action=action,
            session=claims.sid,
            languages=claims.languages,
            playbook=claims.playbook,
            sdp=sdp,
            resource=resource,
            etag=etag[:MAX_ETAGS_CHARS],
        )
        try:
            return await self._ask(self.ingest_of(claims), request)
        except IngestGone:
            if action in {"offer", "audio"}:
                return await self._move(claims, request)
            raise Refused(
                problem("not-found", "the session's ingest is gone", fix="make a new offer by POST")
            ) from None

    def ingest_of(self, claims: SessionClaims) -> str:
        """Who has the session: the token only says who had it when the token was made."""
        return self._moved.get(claims.sid, claims.ingest)

    async def _move(self, claims: SessionClaims, request: SignalRequest) -> SignalReply:
        """Its ingest is gone: another one goes on from what the event stream remembers."""
        placed = self._place(time.monotonic())
        try:
            reply = await self._ask(placed.ingest, request.model_copy(update={"resumes": True}))
        except IngestGone as error:
            raise _no_answer(error) from error
        self._note_moved(claims.sid, placed.ingest)
        self._telemetry.sessions.add("moved")
        await self._bus.publish_event(
            SessionMoved(session=claims.sid, n=self._numbers.next(), ingest=placed.ingest)
        )
        return reply

    def heard_moved(self, event: SessionMoved) -> None:
        """An old event of a session whose token may be older still."""
        self._note_moved(event.session, event.ingest)

    def _note_moved(self, session: str, ingest: str) -> None:
        self._moved[session] = ingest
        while len(self._moved) > MAX_MOVED:
            del self._moved[next(iter(self._moved))]

    def _place(self, now: float) -> Placed:
        placed = self._fleet.place(now)
        if isinstance(placed, NotPlaced):
            wait = NO_CAPACITY_RETRY_S if placed.kind == "no-capacity" else NOT_READY_RETRY_S
            raise Refused(problem(placed.kind, placed.detail, fix="try again later", retry_after_s=wait))
        return placed

    async def _ask(self, ingest: str, request: SignalRequest) -> SignalReply:
        action = request.action
        timeout_s = OFFER_TIMEOUT_S if action in {"offer", "audio", "restart"} else SIGNAL_TIMEOUT_S
        try:
            reply = await self._bus.request(
                self._bus.subjects.signal(ingest), request, SignalReply, timeout_s
            )
        except BusUnavailable as error:
            if str(error) == "no-responders":
                self._fleet.lost_ingest(ingest)
                raise IngestGone(str(error)) from error
            raise _no_answer(error) from error
        except MessageRejected as error:
            raise Refused(problem("internal", "the session's ingest gave an answer that is none")) from error
        if reply.problem is not None:
            raise Refused(with_urn(reply.problem))
        return reply

    async def end(self, claims: SessionClaims, reason: str = "client") -> None:
        """The visit is over: the coach sums up, the ingest lets go. Saying it twice changes nothing."""
        started_at = unix_ms()
        await self._bus.publish_event(
            SessionEnding(session=claims.sid, n=self._numbers.next(), reason=reason)
        )
        try:
            await self.signal(claims, "end")
        except Refused:
            # a visit without audio has no ingest, and one that is gone has let go
            self._telemetry.sessions.add("end-unanswered")
        if self._open.knows(claims.sid):
            self._open.ended(claims.sid)
            self._telemetry.sessions.add("ended")
        self._record("session.end", started_at, {})

    async def acknowledge(self, claims: SessionClaims, ack: Acknowledge, at: float) -> None:
        """Tell the coach what became of a cue; `at` in ms since 1970."""
        self._telemetry.cue_actions.add(ack.action)
        await self._bus.publish_event(
            CueAcknowledged(
                session=claims.sid, n=self._numbers.next(), id=ack.cue_id, action=ack.action, at=at
            )
        )

    async def tick(self, claims: SessionClaims, tick: Tick) -> None:
        """Tell the coach that a stage was ticked off by hand, or is open after all."""
        await self._bus.publish_event(
            StageTicked(session=claims.sid, n=self._numbers.next(), stage=tick.stage, done=tick.done)
        )

    async def applied(self, claims: SessionClaims, applied: Applied) -> None:
        """Tell the ingest that the phone sends by its command."""
        stats = applied.stats
        await self._bus.publish_event(
            ProfileApplied(
                session=claims.sid,
                n=self._numbers.next(),
                command=applied.command,
                rung=applied.rung,
                stats=None if stats is None else SenderStats.model_validate(stats.model_dump()),
            )
        )

    async def summary(self, claims: SessionClaims) -> Json | None:
        """The last summary of the session; None while there is none.

        Raises:
            Refused: the bus is away.
        """
        if not self._bus.is_connected:
            raise _bus_away()
        found: Summary | None = None
        for event, _ in await self._bus.replay([self._bus.subjects.cue(claims.sid)]):
            if isinstance(event, Summary):
                found = event
        return (
            None if found is None else {"type": "summary", "session": found.session} | public_summary(found)
        )

    def heard_control(self, subject: str, payload: bytes, _headers: Headers) -> None:
        """A control message of any session: one of ours that ended no longer counts for its user."""
        session = session_of(subject)
        event = decode_event(payload)
        if isinstance(event, SessionMoved):
            self._note_moved(session, event.ingest)
        if not self._open.knows(session):
            return
        if event.kind == "ending" or (event.kind == "state" and event.state == "ended"):
            self._open.ended(session)
            self._telemetry.sessions.add("ended")

    def _check_limits(self, user: User, now: float) -> None:
        wait = self._starts.retry_after_s(user.sub, now)
        if wait:
            raise Refused(problem("too-many", "too many sessions begun in a minute", retry_after_s=wait))
        if not self._open.may_begin(user.sub, now):
            raise Refused(
                problem(
                    "too-many",
                    f"{self._settings.sessions_per_user} sessions are open",
                    fix="end one of them",
                    retry_after_s=OPEN_SESSIONS_RETRY_S,
                )
            )

    def _check_languages(self, request: CreateSession, now: float) -> None:
        """Nobody should find out in the shop that none of the models here knows the language."""
        offered = self._fleet.languages(now)
        wanted = {language.partition("-")[0] for language in request.languages}
        if offered and offered.isdisjoint(wanted):
            raise Refused(
                problem(
                    "not-supported",
                    f"no model here hears {', '.join(sorted(wanted))}",
                    field="languages",
                    fix=f"ask for one of {', '.join(sorted(offered)[:10])}, or start an asr worker whose "
                    "model knows it (ASR_MODEL)",
                )
            )

    @staticmethod
    def _record(name: str, started_at: float, client_headers: Headers) -> None:
        # a client's own trace is only linked: what it says about itself must not steer our sampling
        theirs = trace.get_current_span(extract(client_headers)).get_span_context()
        record_span(name, started_at, unix_ms(), links=[Link(theirs)] if theirs.is_valid else [])


def _no_answer(error: Exception) -> Refused:
    return Refused(
        problem(
            "not-ready",
            f"the session's ingest does not answer ({error})",
            fix="try again; if it stays so, begin a new session",
            retry_after_s=NOT_READY_RETRY_S,
        )
    )


def _bus_away() -> Refused:
    return Refused(problem("not-ready", "the bus is away", fix="try again", retry_after_s=NOT_READY_RETRY_S))
