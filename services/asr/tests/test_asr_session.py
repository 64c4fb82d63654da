"""Ownership: epochs, sequence, acks, bounded inbox."""

import numpy as np

from fieldcoach.asr.actions import Complete
from fieldcoach.asr.backfill import BackfillRun
from fieldcoach.asr.intake import Admitted, Intake
from fieldcoach.asr.patience import STALL_S, Patience
from fieldcoach.asr.recogniser import SessionRecogniser
from fieldcoach.asr.session import INBOX_CHUNKS, Session
from fieldcoach.common.audio import Flag, PcmChunk
from fieldcoach.common.messages import Ack, BackfillAudio, ClaimRequest

from .asr_bench import RULES, SESSION, LoudnessDetector, Samples, chunks_of, join, silence, speech


def session(from_seq: int = 0, epoch: int = 2) -> Session:
    claim = ClaimRequest(session=SESSION, epoch=epoch, from_seq=from_seq, ingest="i" * 26)
    recogniser = SessionRecogniser(SESSION, ("en",), RULES, LoudnessDetector(), from_seq=from_seq)
    return Session(claim, recogniser, now=0.0)


def chunk(seq: int, epoch: int = 2, flags: Flag = Flag.OK) -> PcmChunk:
    pcm = b"" if flags & Flag.END else np.zeros(960, np.int16).tobytes()
    return PcmChunk(SESSION, epoch, seq, seq * 960, len(pcm) // 2, flags, pcm)


def test_intake_takes_each_chunk_once_and_in_order() -> None:
    intake = Intake(epoch=2, from_seq=5)
    admitted = [intake.admit(chunk(seq)) for seq in (4, 5, 7, 6, 6, 7)]
    yes, duplicate, hole = Admitted.YES, Admitted.DUPLICATE, Admitted.HOLE
    assert admitted == [duplicate, yes, hole, yes, duplicate, yes]


def test_intake_refuses_other_epochs() -> None:
    intake = Intake(epoch=2, from_seq=0)
    assert intake.admit(chunk(0, epoch=1)) is Admitted.STALE_EPOCH
    assert intake.admit(chunk(0, epoch=3)) is Admitted.FUTURE_EPOCH
    assert intake.next_seq == 0


def ack(seq: int, lacks: int, epoch: int = 2) -> Ack:
    return Ack(session=SESSION, epoch=epoch, seq=seq, next_seq=lacks)


def claim(epoch: int, from_seq: int, resumes: int | None = None, ingest: str = "i" * 26) -> ClaimRequest:
    return ClaimRequest(session=SESSION, epoch=epoch, from_seq=from_seq, ingest=ingest, resumes=resumes)


def talk(one: Session, *pcm: Samples, first_seq: int = 0, epoch: int = 2, first_sample: int = 0) -> int:
    """Speech from this chunk on; gives the number of the next one."""
    chunks = chunks_of(join(*pcm), first_seq=first_seq, first_sample=first_sample, epoch=epoch)
    for each in chunks:
        assert one.receive(each, 1.0) == "consumed"
        one.listen()
    return chunks[-1].seq + 1


def test_an_ack_says_which_chunk_is_missing() -> None:
    one = session()
    assert one.receive(chunk(0), 1.0) == "consumed"
    one.listen()
    assert one.receive(chunk(2), 1.1) == "hole"
    assert one.ack(True) == one.ack(True) == ack(0, 1)
    assert one.receive(chunk(1), 1.8) == "consumed"
    assert one.ack(True) == ack(0, 2)


def test_nothing_may_be_forgotten_before_the_words_are_out() -> None:
    one = session()
    talk(one, silence(3))
    one.unsaid = 1
    assert one.ack(True) == ack(0, 50)
    one.unsaid = 0
    assert one.ack(False) == ack(0, 50)
    forgettable = one.ack(True).seq
    assert forgettable > 40
    one.unsaid = 1
    assert one.ack(True).seq == forgettable


def test_the_ingest_that_was_last_heard_is_gone_on_with() -> None:
    one = session()
    lacks = talk(one, silence(0.6), speech(1.2))
    begun = one.ack(True).seq
    assert 0 < begun < lacks
    assert one.go_on(claim(5, from_seq=2, resumes=2))
    assert (one.epoch, one.resumed_at) == (5, lacks)
    assert one.receive(chunk(lacks, epoch=2), 2.0) == "stale-epoch"
    assert one.receive(chunk(lacks, epoch=5), 2.0) == "consumed"
    assert one.ack(True) == ack(begun, lacks + 1, epoch=5)
    assert one.go_on(claim(7, from_seq=begun, resumes=5))


def test_a_claim_whose_answer_was_lost_does_not_hide_what_was_heard() -> None:
    one = session()
    talk(one, silence(0.6))
    assert one.go_on(claim(5, from_seq=2, resumes=2))
    assert one.go_on(claim(6, from_seq=2, resumes=2)), "nothing was sent under 5"


def test_after_another_worker_has_spoken_everything_begins_anew() -> None:
    one = session()
    talk(one, silence(0.6))
    assert not one.go_on(claim(4, from_seq=5))
    assert not one.go_on(claim(4, from_seq=5, resumes=1))
    assert one.epoch == 2


def test_what_the_ring_has_dropped_is_a_hole_in_what_is_gone_on_with() -> None:
    one = session()
    lacks = talk(one, silence(0.6), speech(1.2))
    assert one.go_on(claim(3, from_seq=500, resumes=2))
    assert one.resumed_at == lacks
    late = chunk(500, epoch=3)
    assert one.receive(late, 30.0) == "consumed"
    one.listen()
    assert one.recogniser.owes_finals, "the line before the hole"
    assert one.ack(True).seq < lacks


def test_another_ingest_ends_the_open_line_and_counts_anew() -> None:
    one = session()
    talk(one, silence(0.6), speech(1.2))
    assert one.receive(chunk(30), 1.0) == "consumed"  # waits in the inbox
    assert one.go_on(claim(1_001, from_seq=0, ingest="j" * 26))
    assert (one.ingest, one.resumed_at) == ("j" * 26, None)
    one.listen()
    assert one.ack(True) == ack(0, 0, epoch=1_001), "nothing of the new one has come"
    assert one.recogniser.is_pausing is False
    talk(one, silence(0.6), epoch=1_001, first_sample=10 * 16_000)
    assert one.recogniser.owes_finals
    assert one.ack(True) == ack(0, 10, epoch=1_001)


def test_what_is_finishing_is_not_gone_on_with() -> None:
    one = session()
    talk(one, silence(0.6))
    one.finish(9.0)
    assert not one.go_on(claim(3, from_seq=0, resumes=2))


def test_patience_counts_only_time_in_which_audio_could_come() -> None:
    patience = Patience(100.0)
    for tick in range(1, 9):
        patience.tick(100 + tick / 4, True)
    assert patience.quiet_s(99.0, 102.0) == 2.0
    assert patience.quiet_s(101.5, 102.0) == 0.5
    patience.tick(102.25, False)
    patience.tick(102.5, True)
    assert patience.quiet_s(101.5, 102.5) == 0.25
    now = 102.5 + STALL_S + 0.1
    patience.tick(now, True)
    assert patience.quiet_s(101.5, now + 1) == 1


def test_a_full_inbox_is_like_a_hole() -> None:
    one = session()
    outcomes = [one.receive(chunk(seq), 0.0) for seq in range(INBOX_CHUNKS + 2)]
    assert outcomes.count("consumed") == INBOX_CHUNKS
    assert outcomes[-2:] == ["overflow", "overflow"]
    while one.has_waiting:
        one.listen()
    assert one.receive(chunk(INBOX_CHUNKS), 1.0) == "consumed"


def test_the_end_is_remembered_and_nothing_follows() -> None:
    one = session()
    one.receive(chunk(0), 0.0)
    one.receive(chunk(1, flags=Flag.END), 0.1)
    one.listen()
    assert one.listen() == [Complete(960)]
    assert one.has_ended
    assert one.receive(chunk(2), 0.2) == "after-end"
    assert one.ack(True) == ack(2, 2)


def test_silence_of_the_line_finishes_without_an_end() -> None:
    one = session()
    for each in chunks_of(silence(0.12), epoch=2):
        one.receive(each, 0.5)
        one.listen()
    assert one.heard_at == 0.5
    assert one.finish(6.0) == [Complete(1_920)]
    assert one.is_finishing
    assert not one.has_ended


def test_a_range_waits_until_the_live_transcript_is_past_it() -> None:
    one = session()
    audio = BackfillAudio(
        session=SESSION,
        range=1,
        first_sample=0,
        hole_first_sample=0,
        hole_end_sample=1_920,
        late_ms=0,
        pcm=b"",
    )
    run = BackfillRun(audio, bytes(1_920), ("en",), RULES, LoudnessDetector(), 0.0, can_retry=True)
    one.receive(chunk(0), 0.0)
    one.listen()
    one.late.append(run)
    assert one.take_late() == []
    one.receive(chunk(1), 0.0)
    one.listen()
    assert one.take_late() == [run]
    assert one.take_late() == []


def test_after_the_end_no_range_waits() -> None:
    one = session()
    audio = BackfillAudio(
        session=SESSION,
        range=1,
        first_sample=0,
        hole_first_sample=0,
        hole_end_sample=9_600,
        late_ms=0,
        pcm=b"",
    )
    run = BackfillRun(audio, b"", ("en",), RULES, LoudnessDetector(), 0.0, can_retry=True)
    one.late.append(run)
    one.finish(0.0)
    assert one.take_late() == [run]


def test_words_before_a_takeover_are_recalled() -> None:
    claims = [
        ClaimRequest(session=SESSION, epoch=epoch, from_seq=seq, ingest="i" * 26)
        for epoch, seq in ((1, 0), (2, 0), (2, 7))
    ]
    recogniser = SessionRecogniser(SESSION, ("en",), RULES, LoudnessDetector())
    assert [Session(claim, recogniser, 0.0).said.is_whole for claim in claims] == [True, False, False]
