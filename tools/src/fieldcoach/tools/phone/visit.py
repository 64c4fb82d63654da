"""One visit: session, events, media, the audio in real time, the end, the summary."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from ..errors import (
    EventsClosed,
    GatewayUnreachable,
    MediaFailed,
    Refused,
    SummaryMissing,
    ToolError,
    VisitError,
)
from .api import GatewayApi
from .audio_socket import AudioSocket
from .backfill import Backfill
from .channel import EventChannel
from .clocks import WallClock
from .connections import WHY_NO_MEDIA, Connections
from .media import MediaConnection
from .media_link import MediaLink
from .packetiser import Packetiser
from .plan import Listener, Network, Silent, VisitPlan, VisitResult
from .profile import SendProfile
from .ring import OpusRing
from .stages import StageTable, cue_times, final_times
from .track import OpusTrack

__all__ = ["TRAILING_SILENCE_S", "Listener", "Network", "Silent", "Visit", "VisitPlan", "VisitResult"]

TRAILING_SILENCE_S = 1.2
"""A phone goes on sending after the last word; long enough for any endpoint wait of ours (0.55 s)."""
BEGIN_PAUSE_S = 1.0
CONNECT_TIMEOUT_S = 10.0
"""After this a user has given up; the promise is a clear error within 10 s."""
BAD_NETWORK_CONNECT_TIMEOUT_S = 30.0
"""With a network simulated: ICE and DTLS take four round trips and more; libwebrtc gives up after 30 s."""
SUMMARY_TIMEOUT_S = 20.0
"""The last final, then the summary; with an LLM it has its own budget, so the wait is generous."""
ASK_PAUSE_S = 0.5
LINGER_S = 2.0
"""After the summary, for the last state and the server's close."""
STATS_PAUSE_S = 5.0
CONSENT_VERSION = "2026-11"

T = TypeVar("T")


class Visit:
    """Plays one recording as a phone would. Run it once."""

    def __init__(self, plan: VisitPlan, listener: Listener | None = None) -> None:
        self._plan = plan
        self._listener = listener or Silent()
        self._wall = WallClock()
        self._received: list[tuple[float, dict[str, Any]]] = []
        self._summary: asyncio.Future[dict[str, Any]] | None = None
        self._packetiser: Packetiser | None = None
        self._channel: EventChannel | None = None
        self._command = 0
        self._ring = OpusRing()
        self._backfill = Backfill(self._ring, self._origin_of)
        self._connections: Connections | None = None
        self._link: MediaLink | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> VisitResult:
        """The whole visit, in real time.

        Raises:
            VisitError: which step failed, and what to do.
        """
        self._summary = asyncio.get_running_loop().create_future()
        async with GatewayApi(self._plan.gateway, self._plan.insecure) as api:
            session = await self._begin(api)
            self._listener.session(session)
            channel = EventChannel(
                api,
                session["events_url"],
                session["session_token"],
                self._receive,
                self._wall,
                patience_s=self._plan.patience_s,
            )
            self._channel = channel
            self._connections = connections = Connections(self._plan, api, session, channel)
            listening = asyncio.create_task(channel.run())
            track = OpusTrack(self._make_packetiser(session))
            is_ended = False
            try:
                media = await self._connect(connections, channel, listening, track)
                self._spawn(
                    self._backfill.run(
                        lambda records: api.backfill(session["session_id"], channel.token, records)
                    )
                )
                await self._send_audio(connections, channel, listening, media.track, media)
                await self._while_listening(self._backfill.finish(), listening, None, None)
                is_ended = True
                await api.end_session(session["end_url"], channel.token)
                summary = await self._wait_for_summary(api, session, channel, listening)
                await asyncio.wait({listening}, timeout=LINGER_S)
                return self._result(session, summary, channel, connections, track)
            finally:
                self._ring.erase()
                for task in (*self._tasks, listening):
                    task.cancel()
                await asyncio.gather(*self._tasks, listening, return_exceptions=True)
                await connections.close()
                if not is_ended:
                    with contextlib.suppress(
                        ToolError
                    ):  # the visit has failed already; leave no session behind
                        await api.end_session(session["end_url"], channel.token)

    async def _begin(self, api: GatewayApi) -> dict[str, Any]:
        """Create the session, within the plan's patience with a system that is full or has just started."""
        waited_s = 0.0
        while True:
            try:
                return await api.create_session(self._plan.token, self._request())
            except Refused as refused:
                if not refused.retryable or waited_s >= self._plan.busy_patience_s:
                    raise
            await asyncio.sleep(BEGIN_PAUSE_S)
            waited_s += BEGIN_PAUSE_S

    def _request(self) -> dict[str, Any]:
        language = self._plan.languages[0] if self._plan.languages else "en"
        request: dict[str, Any] = {
            "consent": {"given": True, "language": language, "version": CONSENT_VERSION}
        }
        if self._plan.playbook:
            request["playbook"] = self._plan.playbook
        if self._plan.languages:
            request["languages"] = list(self._plan.languages)
        return request

    def _make_packetiser(self, session: dict[str, Any]) -> Packetiser:
        profile = self._plan.profile or SendProfile.from_fields(session.get("profile") or {})
        silence = bytes(2 * int(16_000 * TRAILING_SILENCE_S))
        self._packetiser = Packetiser(self._plan.pcm + silence, profile, ring=self._ring)
        return self._packetiser

    async def _connect(
        self,
        connections: Connections,
        channel: EventChannel,
        listening: asyncio.Task[None],
        track: OpusTrack,
    ) -> MediaConnection | AudioSocket:
        await self._while_listening(
            channel.connected.wait(),
            listening,
            CONNECT_TIMEOUT_S,
            GatewayUnreachable(f"the events channel did not open within {CONNECT_TIMEOUT_S:.0f} s"),
        )
        network = self._plan.network
        limit_s = CONNECT_TIMEOUT_S if connections.is_impatient else BAD_NETWORK_CONNECT_TIMEOUT_S
        media = await self._while_listening(
            connections.first(track),
            listening,
            limit_s,
            MediaFailed(f"no media connection within {limit_s:.0f} s; {WHY_NO_MEDIA}"),
        )
        if network is not None:
            network.start()
        self._listener.audio_started(media.track.started_at)
        return media

    async def _send_audio(
        self,
        connections: Connections,
        channel: EventChannel,
        listening: asyncio.Task[None],
        track: OpusTrack,
        media: MediaConnection | AudioSocket,
    ) -> None:
        self._spawn(self._report_stats(connections, channel))
        self._link = MediaLink(
            connections.next,
            self._plan.patience_s,
            should_return=connections.choice.should_return,
            on_up=connections.note_up,
        )
        await self._while_listening(self._link.run(media, track), listening, None, None)

    async def _report_stats(self, connections: Connections, channel: EventChannel) -> None:
        while True:
            await asyncio.sleep(STATS_PAUSE_S)
            await channel.send({"type": "stats", **await connections.newest.figures()})

    async def _wait_for_summary(
        self,
        api: GatewayApi,
        session: dict[str, Any],
        channel: EventChannel,
        listening: asyncio.Task[None],
    ) -> dict[str, Any]:
        assert self._summary is not None
        deadline = time.monotonic() + SUMMARY_TIMEOUT_S
        awaited: set[asyncio.Future[Any]] = {self._summary, listening}
        await asyncio.wait(awaited, timeout=SUMMARY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        while not self._summary.done():  # the channel is gone or silent: the summary can still be asked for
            summary = await api.summary(session["summary_url"], channel.token)
            if summary is not None:
                self._receive({**summary, "type": "summary"})
            elif time.monotonic() > deadline:
                raise SummaryMissing(
                    f"no summary within {SUMMARY_TIMEOUT_S:.0f} s after the end of the visit;"
                    " look at the coach's log (`fieldcoach up --verbose`)"
                )
            else:
                await asyncio.sleep(ASK_PAUSE_S)
        return self._summary.result()

    async def _while_listening(
        self,
        wanted: Awaitable[T],
        listening: asyncio.Task[None],
        limit_s: float | None,
        too_late: VisitError | None,
    ) -> T:
        """Wait for `wanted`; fail with `too_late` at the limit, and at once when the events channel ends."""
        task = asyncio.ensure_future(wanted)
        try:
            await asyncio.wait({task, listening}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if listening.done():
                listening.result()
                raise EventsClosed("the server ended the session before the audio was through")
            assert too_late is not None
            raise too_late
        finally:
            task.cancel()

    def _receive(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        self._received.append((now, event))
        self._listener.event(event, now)
        self._backfill.heard(event)
        match event.get("type"):
            case "profile" if self._plan.profile is None:
                self._apply(event)
            case "cue" if self._channel is not None:
                assert self._channel is not None
                acknowledgement = {
                    "type": "ack",
                    "cue_id": event.get("cue_id"),
                    "action": "shown",
                    "at": self._channel.offset.to_server(self._wall.at(now)),
                }
                self._spawn(self._channel.send(acknowledgement))
            case "summary" if self._summary is not None and not self._summary.done():
                self._summary.set_result(event)

    def _apply(self, event: dict[str, Any]) -> None:
        """Send as the profile says, and say so; a phone whose user fixed the profile does neither.

        Commands are told again until they are acknowledged, and come late after a reconnect: an older one
        than the last is not obeyed.
        """
        command = int(event.get("command", 0))
        if self._packetiser is None or self._channel is None or command < self._command:
            return
        self._command = command
        profile = SendProfile.from_fields(event)
        if profile != self._packetiser.profile:
            self._packetiser.set_profile(profile)
        self._spawn(self._acknowledge(self._channel, command, profile.rung))

    async def _acknowledge(self, channel: EventChannel, command: int, rung: str) -> None:
        message: dict[str, Any] = {"type": "applied", "command": command, "rung": rung}
        if self._connections is not None and self._connections.all:
            message["stats"] = await self._connections.newest.figures()
        await channel.send(message)

    def _origin_of(self, ssrc: int) -> int | None:
        """The RTP timestamp of the recording's first sample on one of our streams."""
        known = self._connections
        return None if known is None else known.origin_of(ssrc, self._ring.begin_of)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _result(
        self,
        session: dict[str, Any],
        summary: dict[str, Any],
        channel: EventChannel,
        connections: Connections,
        track: OpusTrack,
    ) -> VisitResult:
        started_at = channel.offset.to_server(self._wall.at(track.started_at))
        table = StageTable()
        for moment, event in self._received:
            received_at = channel.offset.to_server(self._wall.at(moment))
            if (
                event.get("type") == "final"
                and not event.get("backfill")
                and (times := final_times(event, started_at, received_at))
            ):
                table.finals.append(times)
            elif event.get("type") == "cue" and (times := cue_times(event, started_at, received_at)):
                table.cues.append(times)
        return VisitResult(
            session=str(session["session_id"]),
            asr=dict(session.get("asr") or {}),
            events=[(moment - track.started_at, event) for moment, event in self._received],
            summary=summary,
            stages=table,
            audio_started_at=started_at,
            rtt_ms=channel.offset.rtt_ms,
            packets_sent=track.packetiser.sent,
            payload_bytes=track.packetiser.payload_bytes,
            worst_send_delay_ms=max(media.track.latest_s for media in connections.all) * 1e3,
            reconnects=channel.reconnects,
            retransmitted=sum(media.retransmitted for media in connections.all),
            media_reconnects=self._link.reconnects if self._link else 0,
            filled_ranges=self._backfill.uploaded,
            transports=tuple(connections.ways),
            unsent_s=track.packetiser.skipped_s,
            started_at=track.started_at,
        )
