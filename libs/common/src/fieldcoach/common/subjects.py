"""Every subject on the bus, made and read in one place (the table in ARCHITECTURE.md).

A subject is `fc.v1.<region>.<kind>...`; ids are checked here, so no text from outside can stand in one.
"""

from .ids import require_id, require_region

EVENT_KINDS = ("tx.final", "cue", "ctl")
"""The kinds kept in JetStream, for a phone or a coach that comes back."""


class Subjects:
    """The subjects of one region."""

    def __init__(self, region: str) -> None:
        self.region = require_region(region)
        self._root = f"fc.v1.{region}"
        self.event_stream = f"EVT_{region}"

    def audio(self, worker: str, session: str) -> str:
        """PCM chunks, ingest → that asr worker."""
        return f"{self._root}.audio.{require_id(worker, 'worker')}.{require_id(session, 'session')}"

    def audio_of_worker(self, worker: str) -> str:
        """The one subscription of an asr worker."""
        return f"{self._root}.audio.{require_id(worker, 'worker')}.*"

    def ack(self, ingest: str) -> str:
        """Cumulative acks of all sessions of one ingest, asr → ingest."""
        return f"{self._root}.ack.{require_id(ingest, 'ingest')}"

    def asr_heartbeat(self) -> str:
        """Slots, load and draining of each worker, asr → ingests."""
        return f"{self._root}.asr.hb"

    def asr_claim(self, worker: str) -> str:
        """Request: may this worker take the session?"""
        return f"{self._root}.asr.claim.{require_id(worker, 'worker')}"

    def asr_backfill(self, worker: str) -> str:
        """Request: transcribe this late audio, ingest → asr; answered when its finals are out."""
        return f"{self._root}.asr.backfill.{require_id(worker, 'worker')}"

    def ingest_heartbeat(self) -> str:
        """Sessions, capacity and draining of each ingest, ingest → gateways."""
        return f"{self._root}.ingest.hb"

    def signal(self, ingest: str) -> str:
        """Request: SDP offer, ICE restart, pause, end, gateway → ingest."""
        return f"{self._root}.sig.{require_id(ingest, 'ingest')}"

    def opus(self, ingest: str, session: str) -> str:
        """Opus frames of a phone whose UDP is blocked, and of back-fill, gateway → ingest."""
        return f"{self._root}.opus.{require_id(ingest, 'ingest')}.{require_id(session, 'session')}"

    def opus_of_ingest(self, ingest: str) -> str:
        """The one subscription of an ingest to Opus that does not come by RTP."""
        return f"{self._root}.opus.{require_id(ingest, 'ingest')}.*"

    def backfill(self, ingest: str, session: str) -> str:
        """Packets of missing ranges that a phone uploads, gateway → ingest."""
        return f"{self._root}.backfill.{require_id(ingest, 'ingest')}.{require_id(session, 'session')}"

    def backfill_of_ingest(self, ingest: str) -> str:
        """The one subscription of an ingest to back-fill."""
        return f"{self._root}.backfill.{require_id(ingest, 'ingest')}.*"

    def partial(self, session: str) -> str:
        """Partial transcripts, latest wins."""
        return f"{self._root}.tx.part.{require_id(session, 'session')}"

    def final(self, session: str) -> str:
        """Final transcripts (JetStream)."""
        return f"{self._root}.tx.final.{require_id(session, 'session')}"

    def cue(self, session: str) -> str:
        """Cues, checklist changes, metrics and the summary (JetStream)."""
        return f"{self._root}.cue.{require_id(session, 'session')}"

    def control(self, session: str) -> str:
        """Session life: created, state, profile, gap, acknowledgements, ended (JetStream)."""
        return f"{self._root}.ctl.{require_id(session, 'session')}"

    def control_of_all(self) -> str:
        """The control subjects of every session."""
        return f"{self._root}.ctl.*"

    def coach_owner(self, session: str) -> str:
        """Request answered by the coach that owns the session; no responder means that nobody does."""
        return f"{self._root}.coach.owner.{require_id(session, 'session')}"

    def coach_aggregate(self) -> str:
        """Counts of what became of each playbook's cues, coach → gateways."""
        return f"{self._root}.coach.aggregate"

    def events_of(self, session: str) -> list[str]:
        """The durable subjects of one session."""
        return [self.final(session), self.cue(session), self.control(session)]

    def event_subjects(self) -> list[str]:
        """What the event stream of the region keeps."""
        return [f"{self._root}.{kind}.*" for kind in EVENT_KINDS]


def session_of(subject: str) -> str:
    """The session id that ends a per-session subject."""
    return require_id(subject.rpartition(".")[2], "session")
