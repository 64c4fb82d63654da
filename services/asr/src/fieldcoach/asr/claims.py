"""Which sessions this worker takes, in which languages, and what a repeated or a later claim means."""

import logging
from collections.abc import Callable, Mapping

from fieldcoach.common.messages import ClaimRequest

from .engines.base import Engine
from .load import Capacity
from .recogniser import SessionRecogniser
from .session import Session
from .settings import AsrSettings
from .voice import Silero

log = logging.getLogger(__name__)


class Claims:
    """Decides on claims over the worker's own table of sessions."""

    def __init__(
        self,
        settings: AsrSettings,
        sessions: dict[str, Session],
        capacity: Capacity,
        release: Callable[[Session, str], None],
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._capacity = capacity
        self._release = release
        self._engine: Engine | None = None
        self._silero: Silero | None = None
        self._hot_words: Mapping[str, tuple[str, ...]] = {}
        """By playbook."""
        self.is_draining = False

    def open(self, engine: Engine, silero: Silero, hot_words: Mapping[str, tuple[str, ...]]) -> None:
        """The model is there: claims may be accepted."""
        self._engine, self._silero, self._hot_words = engine, silero, hot_words

    @property
    def offered(self) -> tuple[str, ...]:
        """Those of `ASR_LANGUAGES` that the model hears, else all of the model's; before `open` none."""
        if self._engine is None:
            return ()
        known = self._engine.languages
        return tuple(one for one in self._settings.languages if one in known) or known

    def why_refuse(self, claim: ClaimRequest) -> str | None:
        """None if the claim can be accepted; else the reason that the ingest is told."""
        held = self._sessions.get(claim.session)
        if self.is_draining:
            return "draining"
        if self._engine is None or self._silero is None:
            return "not-ready"
        if not self._languages(claim):
            log.warning(
                "refused a session in other languages than ours",
                extra={"session": claim.session, "wanted": claim.languages, "offered": self.offered[:10]},
            )
            return "bad-request"
        if held is None:
            used = len(self._sessions)
            return "full" if used >= self._capacity.slots(used) else None
        if held.is_finishing and held.ingest != claim.ingest:
            return "finishing"  # its last words are nowhere else
        is_repeat = claim.epoch == held.epoch and claim.from_seq == held.from_seq
        return None if claim.epoch > held.epoch or is_repeat else "bad-request"

    def take(self, claim: ClaimRequest, now: float) -> Session:
        """The session of an accepted claim: a new one, or the one held, where it goes on."""
        held = self._sessions.get(claim.session)
        if held is not None:
            if held.epoch == claim.epoch:
                return held  # the reply to the first request was lost
            if held.go_on(claim):
                _tell(claim, held)
                return held
            self._release(held, "claimed-again")
        assert self._engine is not None
        assert self._silero is not None
        languages = self._languages(claim)
        recogniser = SessionRecogniser(
            claim.session,
            languages,
            self._settings.rules_for(languages),
            self._silero.stream(),
            from_seq=claim.from_seq,
            can_retry=self._engine.can_retry,
            hot_words=self._hot_words.get(claim.playbook or "", ()),
        )
        session = Session(claim, recogniser, now)
        if held is not None:
            session.numbers, session.partial_numbers = held.numbers, held.partial_numbers
        self._sessions[claim.session] = session
        _tell(claim, session)
        return session

    def _languages(self, claim: ClaimRequest) -> tuple[str, ...]:
        """The wanted languages that we offer; `hi-Latn` is heard as `hi`."""
        wanted = dict.fromkeys(language.partition("-")[0] for language in claim.languages)
        return tuple(language for language in wanted if language in self.offered)


def _tell(claim: ClaimRequest, session: Session) -> None:
    facts = {"epoch": claim.epoch, "from_seq": claim.from_seq, "resumed_at": session.resumed_at}
    log.info("claimed", extra={"session": claim.session, **facts})
