"""Takes visits from the control subjects, adopts those that nobody coaches, and gives each its engine."""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Iterable
from typing import Final

from nats.aio.subscription import Subscription

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BackPressure, BusUnavailable, FieldCoachError, MessageRejected
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    CueAggregate,
    SessionCreated,
    SessionEnding,
    SessionState,
    decode_event,
)
from fieldcoach.common.numbering import unix_ms
from fieldcoach.common.telemetry import Headers

from .advice import Adviser
from .llm import LanguageModel
from .ownership import Ownership
from .playbook import Playbook
from .playbook_shelf import Change, PlaybookShelf
from .rules import CompiledPlaybook
from .settings import CoachSettings
from .telemetry import CoachTelemetry
from .visit import SteadyClock, Visit

log = logging.getLogger(__name__)

QUEUE: Final = "coach"
ENDED_WITHIN_MS: Final = 120_000
"""A visit that ended longer ago than this has its summary, or nobody waits for it any more."""
_FINISHED: Final = 2_000
"""Visits that this process has finished, so as not to adopt them again: more than end in two minutes."""
_RETRY_S: Final = (0.3, 2.0)
"""When two coaches let go of a session at once each looks again after a random time."""


class CoachService:
    """One coach process."""

    def __init__(self, settings: CoachSettings, bus: Bus) -> None:
        self._settings = settings
        self._bus = bus
        self._id = new_id()
        self._telemetry = CoachTelemetry()
        self._clock = SteadyClock()
        self._shelf = PlaybookShelf(settings.playbooks_dir)
        self._since = unix_ms()
        self._beside: list[asyncio.Task[None]] = []
        self._visits: dict[str, asyncio.Task[None]] = {}
        self._created: dict[str, SessionCreated] = {}
        self._summed_up: set[str] = set()
        """Visits that are kept for late words only."""
        self._asked_again: set[str] = set()
        self._finished: deque[str] = deque(maxlen=_FINISHED)
        self._claims: set[asyncio.Task[None]] = set()
        self._intake: Subscription | None = None
        self._intake_lock = asyncio.Lock()
        self._is_draining = False
        self._was_full = False
        access = settings.llm_access()
        self._model = LanguageModel(access) if access else None

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Read the playbooks, take new visits, adopt orphans."""
        self._tell(self._shelf.refresh())
        self._beside = [asyncio.create_task(self._tell_counts())]
        if self._settings.playbooks_reload_s:
            self._beside.append(asyncio.create_task(self._watch_playbooks()))
        log.info(
            "playbooks read",
            extra={"good": len(self._shelf), "bad": len(self._shelf.flaws), "llm": self._model is not None},
        )
        await self._set_intake()
        await self._adopt_orphans()

    async def drain(self) -> None:
        """Take no more visits; give those that go on to another coach."""
        self._is_draining = True
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        await self._set_intake()
        for claim in list(self._claims):
            claim.cancel()
        await asyncio.gather(*self._claims, return_exceptions=True)
        open_visits = {sid: event for sid, event in self._created.items() if sid not in self._summed_up}
        for task in list(self._visits.values()):
            task.cancel()
        await asyncio.gather(*self._visits.values(), return_exceptions=True)
        for created in open_visits.values():
            await self._hand_over(created)
        if self._model:
            await self._model.close()

    def why_not_ready(self) -> str | None:
        """A playbook that can't be used, with its file, line, field and fix."""
        return "; ".join(self._shelf.flaws) or None

    # ── playbooks ────────────────────────────────────────────────────────────────────────────────────────

    async def _watch_playbooks(self) -> None:
        """Take changed files for the visits to come."""
        while True:
            await asyncio.sleep(self._settings.playbooks_reload_s)
            if self._shelf.has_changed():
                self._tell(await asyncio.to_thread(self._shelf.refresh))  # compiling takes its time

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._telemetry.playbooks.add(change.kind)
            is_bad = change.kind in ("rejected", "kept-last-good")
            level = logging.ERROR if is_bad else logging.WARNING if change.detail else logging.INFO
            log.log(level, "playbook %s", change.kind, extra={"file": change.file, "flaw": change.detail})

    # ── counts ───────────────────────────────────────────────────────────────────────────────────────────

    async def _tell_counts(self) -> None:
        """Tell what became of the cues, now and then; a count that is lost is in the next one."""
        subject = self._bus.subjects.coach_aggregate()
        while True:
            await asyncio.sleep(self._settings.aggregate_every_s)
            rows = self._telemetry.tally.rows()
            counts = CueAggregate(coach=self._id, since=self._since, at=unix_ms(), cues=rows)
            with contextlib.suppress(BusUnavailable, BackPressure):
                await self._bus.publish(subject, counts.encode())

    # ── taking visits ────────────────────────────────────────────────────────────────────────────────────

    async def _set_intake(self) -> None:
        """Stand in the queue group while there is room; another coach gets the visits else."""
        async with self._intake_lock:
            has_room = not self._is_draining and not self._is_full()
            if has_room and self._intake is None:
                subject = self._bus.subjects.control_of_all()
                self._intake = await self._bus.subscribe(subject, self._on_control, queue=QUEUE)
                if self._was_full:
                    self._was_full = False
                    self._bus.spawn(self._adopt_orphans())  # what came while nobody had room
            elif not has_room and self._intake is not None:
                intake, self._intake = self._intake, None
                self._was_full = True
                if self._bus.is_connected:
                    await intake.unsubscribe()

    def _is_full(self) -> bool:
        return len(self._created) - len(self._summed_up) >= self._settings.coach_max_sessions

    def _note_summed_up(self, session: str) -> None:
        self._summed_up.add(session)
        self._bus.spawn(self._set_intake())

    def _on_control(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        event = decode_event(payload)
        if isinstance(event, SessionCreated):
            self._begin_claim(event, "taken")

    def _begin_claim(self, created: SessionCreated, how: str, after_s: float = 0.0) -> None:
        if self._is_draining:
            return
        if created.session in self._created:
            if created.session not in self._visits:
                self._asked_again.add(created.session)  # its owner may be letting go just now
            return
        if self._is_full():
            self._telemetry.sessions.add("refused-full")
            log.warning("full", extra={"session": created.session, "visits": len(self._created)})
            return
        self._created[created.session] = created
        claim = asyncio.create_task(self._claim(created, how, after_s))
        self._claims.add(claim)
        claim.add_done_callback(self._claims.discard)

    async def _claim(self, created: SessionCreated, how: str, after_s: float) -> None:
        ownership = Ownership(self._bus, self._id, created.session)
        try:
            await asyncio.sleep(after_s)
            if how != "taken" and not await ownership.is_free():
                self._give_up(created, look_again=False)
                return
            if not await ownership.claim():
                self._give_up(created, look_again=True)
                return
        except (BusUnavailable, MessageRejected) as error:
            self._created.pop(created.session, None)
            self._telemetry.faults.add("claim")
            log.warning("could not claim", extra={"session": created.session, "error": str(error)})
            return
        except asyncio.CancelledError:
            await ownership.release()
            raise
        self._asked_again.discard(created.session)
        self._telemetry.sessions.add(how)
        task = asyncio.create_task(self._coach(created, ownership))
        self._visits[created.session] = task
        await self._set_intake()

    def _give_up(self, created: SessionCreated, look_again: bool) -> None:
        del self._created[created.session]
        if look_again or created.session in self._asked_again:
            self._asked_again.discard(created.session)
            self._begin_claim(created, "again", random.uniform(*_RETRY_S))

    async def _coach(self, created: SessionCreated, ownership: Ownership) -> None:
        visit = self._visit_of(created)
        try:
            await visit.run()
        except FieldCoachError as error:
            self._telemetry.faults.add("visit")
            log.error("visit lost", extra={"session": created.session, "error": str(error)})
        except Exception:  # one visit must not take the others with it
            self._telemetry.faults.add("visit")
            log.exception("visit lost", extra={"session": created.session})
        finally:
            self._visits.pop(created.session, None)
            self._created.pop(created.session, None)
            self._summed_up.discard(created.session)
            self._finished.append(created.session)
            await ownership.release()
        await self._set_intake()

    def _visit_of(self, created: SessionCreated) -> Visit:
        rules = self._shelf.find(created.playbook)
        adviser = None
        if rules is None:
            self._telemetry.faults.add("unknown-playbook")
            log.error(
                "unknown playbook: no advice in this visit",
                extra={"session": created.session, "fix": f"put it into {self._settings.playbooks_dir}"},
            )
            rules = CompiledPlaybook(Playbook.empty(created.playbook))
        elif self._model:
            language = created.languages[0] if created.languages else rules.playbook.languages.default
            adviser = Adviser(self._model, rules.playbook, language, self._settings.llm_deadline_ms)
        return Visit(
            self._bus,
            created,
            rules,
            self._telemetry,
            self._clock,
            adviser,
            self._settings.llm_summary_s,
            lambda: self._note_summed_up(created.session),
        )

    # ── orphans ──────────────────────────────────────────────────────────────────────────────────────────

    async def _adopt_orphans(self) -> None:
        """Claim the sessions in the event stream that are not over and that nobody coaches."""
        created: dict[str, SessionCreated] = {}
        ended_at: dict[str, int] = {}
        for event, _ in await self._bus.replay([self._bus.subjects.control_of_all()]):
            if isinstance(event, SessionCreated):
                created[event.session] = event
            elif isinstance(event, SessionEnding) or (
                isinstance(event, SessionState) and event.state == "ended"
            ):
                ended_at[event.session] = event.n  # numbers are the wall clock in ms
        for session, event in created.items():
            is_over = session in ended_at and ended_at[session] < unix_ms() - ENDED_WITHIN_MS
            if not is_over and session not in self._finished:
                self._begin_claim(event, "adopted")

    async def _hand_over(self, created: SessionCreated) -> None:
        """Say again that the session was created: the queue group gives it to another coach."""
        try:
            await self._bus.publish(self._bus.subjects.control(created.session), created.encode())
            self._telemetry.sessions.add("handed-over")
        except BusUnavailable:
            self._telemetry.faults.add("hand-over")
