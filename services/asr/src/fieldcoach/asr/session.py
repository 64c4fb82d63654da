"""One session as the service holds it: its ownership, its recogniser, and the chunks that wait."""

from collections import deque
from dataclasses import replace
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
        self.unsaid = 0
        """Finals on their way from the recogniser to the bus."""
        self.resumed_at: int | None = None
        """What the present claim was answered: the chunk that was lacking, None if it began anew."""
        self._heard_epoch: int | None = None  # of the last chunk
        self._forgettable = claim.from_seq
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

    def go_on(self, claim: ClaimRequest) -> bool:
        """Obey another claim for this session with what is here; False if it must begin anew.

        If we were the last that this ingest sent audio to, nobody else has said anything since: nothing is
        heard twice, and what the ingest has dropped meanwhile is still here. Another ingest counts its
        chunks anew, and has nothing of what was said before; its first chunk follows a hole, which ends
        what was open.
        """
        is_ours = claim.ingest == self.ingest
        if self.is_finishing or (is_ours and (claim.resumes is None or claim.resumes != self._heard_epoch)):
            return False
        lacking = self._intake.next_seq if is_ours else claim.from_seq
        if not is_ours:
            self._renumber(claim.from_seq - 1)
            self._forgettable = claim.from_seq
        self._intake = Intake(claim.epoch, max(lacking, claim.from_seq))
        self.ingest, self.from_seq = claim.ingest, claim.from_seq
        self.resumed_at = lacking if is_ours else None
        return True

    def _renumber(self, seq: int) -> None:
        self.recogniser.renumber(seq)
        self._inbox = deque((replace(chunk, seq=seq), at) for chunk, at in self._inbox)

    def ack(self, is_all_out: bool) -> Ack:
        """What the ingest may forget, and what we wait for.

        While a final of ours, or of anybody's, has not gone out (`is_all_out`), nothing more may be
        forgotten: if this process dies now, another one must say it.
        """
        if is_all_out and not self.unsaid:
            self._forgettable = max(self._forgettable, self.recogniser.needed_seq)
        return Ack(session=self.id, epoch=self.epoch, seq=self._forgettable, next_seq=self._intake.next_seq)

    def receive(self, chunk: PcmChunk, now: float) -> str:
        """Take a chunk from the bus; returns what became of it, a metric label."""
        if self.is_finishing:
            return "after-end"
        if chunk.epoch == self.epoch and len(self._inbox) >= INBOX_CHUNKS:
            return "overflow"  # like a hole: the ingest sends it again
        admitted = self._intake.admit(chunk)
        if admitted is Admitted.YES:
            self._inbox.append((chunk, now))
            self.heard_at = now
            self._heard_epoch = chunk.epoch
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
