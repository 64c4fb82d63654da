"""One session as the service holds it: its ownership, its recogniser, and the chunks that wait."""

from collections import deque
from typing import Final

from fieldcoach.common.audio import Flag, PcmChunk
from fieldcoach.common.messages import Ack, BackfillAudio, ClaimRequest
from fieldcoach.common.numbering import EventNumbers

from .actions import Action, Complete
from .backfill import BackfillRun
from .intake import Admitted, Intake
from .recogniser import SessionRecogniser
from .said import SaidWords

INBOX_CHUNKS: Final = 600
"""36 s of 60 ms chunks: more than the ingest's ring of 30 s can send at once."""

HOLE_S: Final = 0.6
"""The same ack goes out twice more at 4 Hz, which asks the ingest to go back; then none."""


class Session:
    """Chunks wait here between the bus's callback, which may only move data, and the listener."""

    def __init__(self, claim: ClaimRequest, recogniser: SessionRecogniser, now: float) -> None:
        self.id = claim.session
        self.ingest = claim.ingest
        self.from_seq = claim.from_seq
        self.recogniser = recogniser
        self.numbers = EventNumbers()
        """For durable events."""
        self.partial_numbers = EventNumbers()
        self.last_decode_s = 0.0
        self.heard_at = now
        """When the last chunk was consumed, monotonic seconds."""
        self._hole_since: float | None = None
        self.is_finishing = False
        """No more audio will be heard."""
        self.backfills = 0
        """Ranges that are being transcribed; the transcript is not complete before they are out."""
        self.held: Complete | None = None
        """The end, which waits for them."""
        self.said = SaidWords(is_whole=claim.epoch == 1 and claim.from_seq == 0)
        self.late: list[BackfillRun] = []
        """Ranges that are heard and wait for the live transcript to be past them."""
        self.late_pcm: tuple[int, list[bytes]] = (0, [])
        """A range that is coming in, and its pieces."""
        self.has_ended = False
        """The visit is over, not only its audio."""
        self._intake = Intake(claim.epoch, claim.from_seq)
        self._inbox: deque[tuple[PcmChunk, float]] = deque()

    @property
    def epoch(self) -> int:
        """The ownership under which everything is published."""
        return self._intake.epoch

    @property
    def has_waiting(self) -> bool:
        """Whether chunks wait for the listener."""
        return bool(self._inbox)

    def ack(self, now: float) -> Ack | None:
        """What the ingest may forget: everything before the chunk we would need again.

        None while a chunk has been missing for long: an ingest that has not gone back by then must believe
        that we are gone, and claim the session anew from the last ack.
        """
        if self._hole_since is not None and now - self._hole_since > HOLE_S:
            return None
        return Ack(session=self.id, epoch=self.epoch, seq=self.recogniser.needed_seq)

    def receive(self, chunk: PcmChunk, now: float) -> str:
        """Take a chunk from the bus; returns what became of it, a metric label."""
        if self.is_finishing:
            return "after-end"
        if chunk.epoch == self.epoch and len(self._inbox) >= INBOX_CHUNKS:
            return "overflow"  # like a hole: the ingest sends it again
        admitted = self._intake.admit(chunk)
        if admitted is Admitted.HOLE and self._hole_since is None:
            self._hole_since = now
        if admitted is Admitted.YES:
            self._hole_since = None
            self._inbox.append((chunk, now))
            self.heard_at = now
        return admitted.value

    def listen(self) -> list[Action]:
        """Pass one waiting chunk to the recogniser."""
        chunk, arrived_at = self._inbox.popleft()
        if chunk.flags & Flag.END:
            self.is_finishing = self.has_ended = True
        return self.recogniser.push(chunk, arrived_at)

    def gather(self, audio: BackfillAudio) -> bytes | None:
        """A piece of a range that came late: the whole PCM with the last one; None if one is missing."""
        if audio.piece == 0:
            self.late_pcm = audio.range, []
        number, parts = self.late_pcm
        if number != audio.range or len(parts) != audio.piece:
            return None
        parts.append(audio.pcm)
        return b"".join(parts) if audio.piece + 1 == audio.pieces else b""

    def take_late(self) -> list[BackfillRun]:
        """Ranges of which can be told now what is new."""
        until, head = self.recogniser.told_until, self.recogniser.head
        ready = [run for run in self.late if run.can_tell(until, head)]
        self.late = [run for run in self.late if run not in ready]
        return ready

    def finish(self, now: float) -> list[Action]:
        """No audio has come for long: say what was said and be done."""
        self.is_finishing = True
        return self.recogniser.finish(now)
