"""Ownership: epochs, sequence, acks, bounded inbox."""

import numpy as np

from fieldcoach.asr.actions import Complete
from fieldcoach.asr.backfill import BackfillRun
from fieldcoach.asr.intake import Admitted, Intake
from fieldcoach.asr.recogniser import SessionRecogniser
from fieldcoach.asr.session import HOLE_S, INBOX_CHUNKS, Session
from fieldcoach.common.audio import Flag, PcmChunk
from fieldcoach.common.messages import Ack, BackfillAudio, ClaimRequest

from .asr_bench import RULES, SESSION, LoudnessDetector, chunks_of, silence


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


def test_a_hole_repeats_the_ack_and_then_withholds_it() -> None:
    one = session()
    assert one.receive(chunk(0), 1.0) == "consumed"
    one.listen()
    assert one.receive(chunk(2), 1.1) == "hole"
    assert one.receive(chunk(3), 1.2) == "hole"
    assert one.ack(1.3) == Ack(session=SESSION, epoch=2, seq=0)
    assert one.ack(1.1 + HOLE_S + 0.01) is None
    assert one.receive(chunk(1), 1.8) == "consumed"
    assert one.ack(1.9) == Ack(session=SESSION, epoch=2, seq=0)


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
    assert one.ack(0.3) == Ack(session=SESSION, epoch=2, seq=2)


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
