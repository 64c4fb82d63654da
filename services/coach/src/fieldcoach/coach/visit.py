"""One visit on the bus: follows its events, runs the engine, publishes what it decides.

The state lives here and in the event stream only: a process that takes over replays the stream, sees the
cues that were sent before as events of its own kind, and sends nothing twice.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.bus import Bus
from fieldcoach.common.follow import SessionFollower
from fieldcoach.common.messages import (
    Checklist,
    Cue,
    CueAcknowledged,
    EventMessage,
    FinalTranscript,
    SessionCreated,
    SessionEnding,
    SessionState,
    StageStatus,
    StageTicked,
    Summary,
    TranscriptComplete,
)
from fieldcoach.common.numbering import EventNumbers
from fieldcoach.common.telemetry import Headers, extract, inject, record_span

from .advice import Adviser
from .engine import Conclusion, Heard, Update, VisitEngine
from .policy import MAX_LATE_S, Choice, Outcome
from .prompt import Turn
from .reports import cue_message, metrics_message, stage_statuses, summary_message
from .rules import CompiledPlaybook
from .telemetry import CoachTelemetry

log = logging.getLogger(__name__)

MAX_WAITING_EVENTS: Final = 2_048
"""Three subjects of 512 kept events each, and room for what is said meanwhile."""
METRICS_EVERY_S: Final = 5.0
COMPLETE_WITHIN_S: Final = 3.0
"""How long after the end is announced the last words may take."""
ENDED_GRACE_S: Final = 1.0
"""How long after the media ended."""
LATE_WORDS_S: Final = 15.0
"""How long after the summary words may still come (back-fill that was being decoded) and correct it."""
SETTLE_S: Final = 1.0
"""A corrected summary waits so long for more words: each replaces the one before."""
_CONTEXTS: Final = 32
"""Finals whose trace a waiting cue may still belong to; the time to live is shorter than that many."""
_TURNS: Final = 400
"""Turns kept for the summary by a language model: a visit of an hour."""


@dataclass(frozen=True, slots=True)
class _Received:
    event: EventMessage
    headers: Headers
    at: float


@dataclass(frozen=True, slots=True)
class _Source:
    """A final that fired or may yet fire a cue."""

    final: FinalTranscript
    received_at: float
    context: Context


class SteadyClock:
    """Seconds since 1970 that never jump: what one process decided means the same to the next."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Now."""
        return self._offset + time.monotonic()


class Visit:
    """The coach of one session. `run` ends with the visit, or by `stop`."""

    def __init__(
        self,
        bus: Bus,
        created: SessionCreated,
        rules: CompiledPlaybook,
        telemetry: CoachTelemetry,
        clock: Callable[[], float],
        adviser: Adviser | None = None,
        summary_s: float = 8.0,
        on_summed_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.session = created.session
        self._bus = bus
        self._rules = rules
        self._telemetry = telemetry
        self._clock = clock
        self._adviser = adviser
        self._summary_s = summary_s
        self._on_summed_up = on_summed_up
        self._acted_on: set[tuple[str, str]] = set()
        self._language = created.languages[0] if created.languages else rules.playbook.languages.default
        self._engine = VisitEngine(rules, created.level, self._language)
        self._numbers = EventNumbers()
        self._follower = SessionFollower(bus, created.session, self._receive)
        self._waiting: deque[_Received] = deque()
        self._wake = asyncio.Event()
        self._sources: dict[int, _Source] = {}
        self._turns: deque[Turn] = deque(maxlen=_TURNS)
        self._cue_names: dict[str, str] = {}
        self._own: set[int] = set()
        self._asking: asyncio.Task[None] | None = None
        self._checklist: tuple[StageStatus, ...] | None = None
        self._figures: tuple[object, ...] | None = None
        self._figures_due: float | None = None
        self._figures_at = float("-inf")
        self._conclude_at: float | None = None
        self._is_ending = False
        self._is_complete = False
        self._told: Conclusion | None = None
        """What the summary that is out was made of."""
        self._over_at: float | None = None
        self._is_over = False
        self._is_rebuilding = True
        self._end_sample = 0

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Coach until the summary is out, then correct it while late words may come."""
        try:
            await self._follower.start()
            await self._take_all()
            self._is_rebuilding = False
            self._engine.resume(self._clock())
            if not self._is_over:
                await self._publish_checklist()
                await self._apply(self._engine.tick(self._clock()))  # what was said while nobody listened
            while not self._is_over:
                await self._turn()
                if self._told is not None and self._over_at is not None:
                    await self._correct_summary(self._over_at)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Listen no more; nothing is published afterwards."""
        self._is_over = True
        self._wake.set()
        if self._asking:
            self._asking.cancel()
        await self._follower.stop()

    async def _turn(self) -> None:
        now = self._clock()
        if not self._waiting:
            times = (self._engine.next_wake(now), self._figures_due, self._conclude_at)
            if self._told is not None:
                times = (self._over_at, self._conclude_at, None)
            due = [at for at in times if at]
            self._wake.clear()
            try:
                async with asyncio.timeout(max(0.0, min(due) - now) if due else None):
                    await self._wake.wait()
            except TimeoutError:
                pass
        await self._take_all()
        if self._is_over or self._told is not None:
            return
        await self._apply(self._engine.tick(self._clock()))
        await self._publish_figures()
        if self._conclude_at is not None and self._clock() >= self._conclude_at:
            await self._conclude()

    # ── events in ────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, event: EventMessage, headers: Headers) -> None:
        if len(self._waiting) >= MAX_WAITING_EVENTS:
            self._telemetry.faults.add("visit-overflow")
            return
        self._waiting.append(_Received(event, headers, self._clock()))
        if isinstance(event, FinalTranscript) and self._adviser:
            self._adviser.newer_turn()
        self._wake.set()

    async def _take_all(self) -> None:
        while self._waiting and not self._is_over:
            received = self._waiting.popleft()
            match received.event:
                case FinalTranscript() as final:
                    await self._take_final(final, received)
                case Cue() as cue:
                    self._take_own_cue(cue)
                case Checklist(stages=stages, n=n):
                    if n not in self._own:
                        self._checklist = stages
                case Summary(n=n):
                    if n not in self._own:
                        self._is_over = True  # summed up before this process took over
                case CueAcknowledged() as ack:
                    self._take_ack(ack)
                case StageTicked() as tick:
                    await self._take_tick(tick)
                case SessionState(state=state, sample=sample):
                    self._end_sample = max(self._end_sample, sample)
                    if state == "ended":
                        self._expect_end(received.at, ENDED_GRACE_S)
                case SessionEnding():
                    self._expect_end(received.at, COMPLETE_WITHIN_S)
                case TranscriptComplete(end_sample=sample):
                    self._end_sample = max(self._end_sample, sample)
                    self._is_complete = True
                    if self._is_ending:
                        self._expect_end(received.at, 0.0)
                case _:
                    pass  # created, profile, gap, our own metrics: nothing to decide

    def _expect_end(self, at: float, grace_s: float) -> None:
        if self._told is not None:
            return
        self._is_ending = True
        due = at if self._is_complete else at + grace_s
        self._conclude_at = due if self._conclude_at is None else min(due, self._conclude_at)

    def _take_own_cue(self, cue: Cue) -> None:
        self._cue_names[cue.id] = cue.cue
        if cue.n in self._own:
            return
        if not self._is_rebuilding:
            self._telemetry.faults.add("second-coach")
        self._engine.recall(cue.cue, cue.trigger_n, (cue.expires_at - cue.ttl_ms) / 1e3)

    def _take_ack(self, ack: CueAcknowledged) -> None:
        cue = self._cue_names.get(ack.id)
        if cue is None:
            self._telemetry.faults.add("ack-of-no-cue")
            return
        if (ack.id, ack.action) in self._acted_on:
            return  # told again after a reconnect
        self._acted_on.add((ack.id, ack.action))
        if not self._is_rebuilding:
            self._telemetry.acks.add(ack.action)
            self._telemetry.tally.add(self._rules.playbook.id, cue, ack.action)
        if ack.action == "dismissed":
            self._engine.dismissed(cue)

    async def _take_tick(self, tick: StageTicked) -> None:
        if not self._engine.tick_off(tick.stage, tick.done, self._clock()):
            self._telemetry.faults.add("tick-of-no-stage")
        elif not self._is_rebuilding:
            await self._publish_checklist()
            if self._told is not None:
                self._conclude_at = self._clock() + SETTLE_S

    async def _take_final(self, final: FinalTranscript, received: _Received) -> None:
        self._end_sample = max(self._end_sample, final.end_sample)
        now = self._clock()
        spoken_at = min(now, (final.timing.heard_at - final.late_ms) / 1e3)
        heard = Heard(
            n=final.n,
            start_s=final.first_sample / SAMPLE_RATE,
            end_s=final.end_sample / SAMPLE_RATE,
            text=final.text,
            spoken_at=spoken_at,
            low_confidence=final.low_confidence,
            concealed_s=final.concealed_ms / 1e3,
            is_late=final.backfill,
            speaker=final.speaker,
        )
        self._turns.append(Turn(heard.end_s, final.text, final.speaker))
        if self._is_rebuilding and now - spoken_at > MAX_LATE_S:
            self._engine.heard(heard, spoken_at, decide=False)
            return
        # of a rebuild's last words nobody knows yet whether a cue was sent: the tick after it decides
        is_open = not self._is_rebuilding and self._told is None
        update = self._engine.heard(heard, now, decide=is_open)
        if self._told is not None:
            self._conclude_at = now + SETTLE_S
        context = record_span(
            "coach.rules",
            received.at * 1e3,
            self._clock() * 1e3,
            extract(received.headers),
            {"fieldcoach.objections": len(update.objections), "fieldcoach.fired": update.choice is not None},
        )
        self._sources[final.n] = _Source(final, received.at, context)
        while len(self._sources) > _CONTEXTS:
            del self._sources[next(iter(self._sources))]
        if not self._is_rebuilding:
            await self._apply(update)
            self._telemetry.coach.record_ms((self._clock() - received.at) * 1e3)

    # ── decisions out ────────────────────────────────────────────────────────────────────────────────────

    async def _apply(self, update: Update) -> None:
        # a chosen cue goes first: the phone waits for it, and its limits were taken
        if update.choice:
            await self._deliver(update.choice)
        self._count(outcome for outcome in update.outcomes if not outcome.shown)
        if update.stages:
            await self._publish_checklist()
        if self._figures_due is None and self._current_figures() != self._figures:
            self._figures_due = max(self._clock(), self._figures_at + METRICS_EVERY_S)

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._telemetry.cues.add(outcome.reason)
            if outcome.waited_for:
                self._telemetry.waits.add(outcome.waited_for)

    async def _deliver(self, choice: Choice) -> None:
        rule = self._rules.cues[choice.outcome.candidate.cue]
        if self._adviser and rule.llm.mode != "off":
            self._asking = asyncio.create_task(self._deliver_advised(choice))
            self._asking.add_done_callback(self._after_advice)
            return
        await self._publish_cue(choice.outcome, None)

    async def _deliver_advised(self, choice: Choice) -> None:
        assert self._adviser is not None
        candidate = choice.outcome.candidate
        began = self._clock()
        advice = await self._adviser.choose(
            self._rules.cues[candidate.cue],
            [self._rules.cues[other.cue] for other in choice.others],
            tuple(self._turns),
            self._engine.done,
            self._engine.orders,
        )
        self._telemetry.llm.add(advice.outcome)
        source = self._sources.get(candidate.trigger_n or -1)
        record_span(
            "coach.llm",
            began * 1e3,
            self._clock() * 1e3,
            source.context if source else None,
            {"fieldcoach.outcome": advice.outcome},
        )
        outcome: Outcome | None = choice.outcome
        if advice.cue != candidate.cue:
            outcomes = self._engine.exchange(choice, advice.cue, self._clock())
            self._count([entry for entry in outcomes if not entry.shown])
            outcome = next((entry for entry in outcomes if entry.shown), None)
        if outcome and not self._is_over:
            await self._publish_cue(outcome, advice.text)

    def _after_advice(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        self._wake.set()
        if not task.cancelled() and task.exception():
            self._engine.delivered(self._clock())  # or nothing would ever be shown again
            self._telemetry.faults.add("advice")
            log.error("advice failed", exc_info=task.exception(), extra={"session": self.session})

    async def _publish_cue(self, outcome: Outcome, llm_text: str | None) -> None:
        candidate = outcome.candidate
        source = self._sources.get(candidate.trigger_n) if candidate.trigger_n is not None else None
        cue = cue_message(
            self._engine,
            candidate,
            self._language,
            llm_text,
            session=self.session,
            n=self._number(),
            now=self._clock(),
            final=source.final if source else None,
            received_at=source.received_at if source else None,
        )
        self._cue_names[cue.id] = cue.cue
        await self._bus.publish_event(cue, inject(source.context) if source else None)
        self._engine.delivered(self._clock())
        self._count([outcome])
        self._telemetry.tally.add(self._rules.playbook.id, cue.cue, "fired")
        self._wake.set()  # what waited for its turn may be looked at again

    async def _publish_checklist(self) -> None:
        stages = stage_statuses(self._engine, self._language)
        if stages == self._checklist:
            return
        self._checklist = stages
        await self._bus.publish_event(Checklist(session=self.session, n=self._number(), stages=stages))

    async def _publish_figures(self) -> None:
        if self._figures_due is None or self._clock() < self._figures_due:
            return
        self._figures_due, self._figures_at = None, self._clock()
        current = self._current_figures()
        if current == self._figures:
            return
        self._figures = current
        await self._bus.publish_event(metrics_message(self._engine, session=self.session, n=self._number()))

    def _current_figures(self) -> tuple[object, ...]:
        figures, engine = self._engine.figures, self._engine
        return (figures.words, figures.questions, len(engine.done), engine.cues_shown, len(engine.orders))

    async def _conclude(self) -> None:
        if self._asking and self._adviser:
            self._adviser.newer_turn()  # the rule's words, at once
            await asyncio.wait({self._asking})
        await self._apply(self._engine.finish(self._clock()))
        self._figures_due = self._clock()
        await self._publish_figures()
        facts = self._engine.conclusion()
        await self._publish_summary(facts)
        self._telemetry.sessions.add("ended")
        self._told, self._conclude_at = facts, None
        self._over_at = self._clock() + LATE_WORDS_S
        self._on_summed_up()

    async def _correct_summary(self, over_at: float) -> None:
        """Send the summary anew if words that came after it change it."""
        now = self._clock()
        if self._conclude_at is not None and now >= min(self._conclude_at, over_at):
            self._conclude_at = None
            await self._apply(self._engine.finish(now))
            facts = self._engine.conclusion()
            if facts != self._told:
                self._told = facts
                self._telemetry.sessions.add("summary-corrected")
                await self._publish_summary(facts)
        if now >= over_at:
            self._is_over = True

    async def _publish_summary(self, facts: Conclusion) -> None:
        answer = None
        if facts.unplaced_orders:
            self._telemetry.faults.add("order-without-product", facts.unplaced_orders)
        if self._adviser and self._turns:
            answer, outcome = await self._adviser.summarise(facts, tuple(self._turns), self._summary_s)
            self._telemetry.llm.add(f"summary-{outcome}")
        await self._bus.publish_event(
            summary_message(
                self._engine,
                facts,
                answer,
                self._language,
                session=self.session,
                n=self._number(),
                duration_s=self._end_sample / SAMPLE_RATE,
            )
        )

    def _number(self) -> int:
        number = self._numbers.next()
        self._own.add(number)
        return number
