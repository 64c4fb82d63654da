"""What a session tells the others: its events, numbered, in the order in which they must go out."""

import logging
from collections import deque
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.messages import EventMessage, Gap, MediaProfile, SessionEnding, SessionState
from fieldcoach.common.numbering import EventNumbers

from .adaptation import Command
from .delivery import Overflow
from .life import State
from .missing import Range, missing_list
from .telemetry import IngestTelemetry

log = logging.getLogger(__name__)

NO_WORKER: Final = "no-asr"
OVERFLOW_TOLD: Final = 5 * SAMPLE_RATE


class Announcements:
    """Of one session. `outbox` is emptied by whoever sends."""

    def __init__(self, session: str, telemetry: IngestTelemetry) -> None:
        self.outbox: deque[EventMessage] = deque()
        self.is_degraded = False
        """Whether the others were told that audio waits for a worker."""
        self._session = session
        self._telemetry = telemetry
        self._numbers = EventNumbers()
        self._ending_numbers = EventNumbers()
        self._overflow: Overflow | None = None
        self._failovers_told: dict[str, int] = {}

    def ending(self, reason: str) -> None:
        """The visit is over, and the others must hear of it."""
        n = self._ending_numbers.next()
        self.outbox.append(SessionEnding(session=self._session, n=n, reason=reason))

    def state(self, state: State, reason: str, sample: int) -> None:
        """The media went into this state; the timeline ended at `sample`."""
        self.outbox.append(
            SessionState(
                session=self._session,
                n=self._numbers.next(),
                state=state,
                reason=reason,
                degraded=NO_WORKER if self.is_degraded else None,
                sample=sample,
            )
        )
        log.info("session state", extra={"session": self._session, "state": state, "reason": reason})

    def degraded(self, is_degraded: bool, state: State, sample: int) -> None:
        """Audio waits for a worker, or does no more."""
        if is_degraded != self.is_degraded:
            self.is_degraded = is_degraded
            self.state(state, NO_WORKER if is_degraded else "asr-back", sample)

    def command(self, command: Command, has_nack: bool) -> None:
        """The phone is asked to send like this."""
        profile = command.profile
        self.outbox.append(
            MediaProfile(
                session=self._session,
                n=self._numbers.next(),
                command=command.number,
                rung=profile.rung,
                max_bitrate=profile.max_bitrate,
                ptime_ms=profile.ptime_ms,
                fec=profile.fec,
                dtx=profile.dtx,
                nack=profile.nack and has_nack,
            )
        )

    def missing(self, ranges: tuple[Range, ...]) -> None:
        """The phone is asked to send these again from its memory."""
        self.outbox.append(missing_list(self._session, self._numbers.next(), ranges))

    def gap(self, first_sample: int, n_samples: int, reason: str) -> None:
        """Here is a hole in the timeline."""
        self._telemetry.lost_ms.add(reason, n_samples * 1_000 // SAMPLE_RATE)
        self.outbox.append(
            Gap(
                session=self._session,
                n=self._numbers.next(),
                first_sample=first_sample,
                n_samples=n_samples,
                reason=reason,
            )
        )

    def overflowed(self, overflow: Overflow) -> None:
        """Chunks fall out one by one; they are told as stretches of 5 s, and when there is a worker again."""
        before = self._overflow
        first = overflow.first_sample if before is None else before.first_sample
        self._overflow = Overflow(first, overflow.first_sample + overflow.n_samples - first)

    def tell_overflow(self, is_over: bool) -> None:
        """Tell what fell out, if it is enough, or nothing follows."""
        overflow = self._overflow
        if overflow is not None and (is_over or overflow.n_samples >= OVERFLOW_TOLD):
            self._overflow = None
            self.gap(overflow.first_sample, overflow.n_samples, NO_WORKER)
            log.warning("ring overflow", extra={"session": self._session, "samples": overflow.n_samples})

    def failovers(self, totals: dict[str, int]) -> None:
        """So many changes of worker there were, by reason; they are no event, but counted and logged."""
        for reason, total in totals.items():
            new = total - self._failovers_told.get(reason, 0)
            if new:
                self._failovers_told[reason] = total
                self._telemetry.failovers.add(reason, new)
                log.warning("asr worker changed", extra={"session": self._session, "reason": reason})
