"""Where another ingest goes on, from the events of the one that is gone."""

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    EventMessage,
    FinalTranscript,
    Gap,
    MediaProfile,
    SessionEnding,
    SessionState,
    Timing,
    TranscriptComplete,
)
from fieldcoach.ingest.resumption import EPOCH_STEP, Resumption, resumption
from fieldcoach.ingest.timeline import Timeline

S = new_id()
ORIGIN = 1_790_000_000_000


def final(n: int, end_sample: int, epoch: int = 2) -> FinalTranscript:
    timing = Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0)
    return FinalTranscript(
        session=S,
        epoch=epoch,
        utterance=1,
        n=n,
        first_sample=0,
        end_sample=end_sample,
        text="x",
        language="en",
        confidence=1,
        engine="fake",
        model="none",
        timing=timing,
    )


def test_a_session_that_nothing_is_known_of_begins_anew() -> None:
    assert resumption([]) == Resumption(0, None, EPOCH_STEP, False)
    before = SessionState(session=S, n=ORIGIN - 5_000, state="connecting")
    assert resumption([before]).origin_ms is None


def test_the_clock_goes_on_and_the_epoch_is_higher() -> None:
    profile = MediaProfile(
        session=S,
        n=ORIGIN + 9,
        command=1,
        rung="L1",
        max_bitrate=16_000,
        ptime_ms=40,
        fec=True,
        dtx=True,
        nack=False,
    )
    events: list[EventMessage] = [
        SessionState(session=S, n=ORIGIN - 900, state="connecting"),
        SessionState(session=S, n=ORIGIN + 40, state="live"),
        profile,
        final(ORIGIN + 5_600, 5 * SAMPLE_RATE),
        Gap(session=S, n=ORIGIN + 9_020, first_sample=8 * SAMPLE_RATE, n_samples=SAMPLE_RATE),
        final(ORIGIN + 8_000, 7 * SAMPLE_RATE, epoch=3),
    ]
    assert resumption(events) == Resumption(9 * SAMPLE_RATE, ORIGIN + 20, 3 + EPOCH_STEP, False)


def test_a_session_that_has_ended_does_not_go_on() -> None:
    assert resumption([SessionEnding(session=S, n=1, reason="user")]).has_ended
    assert resumption([SessionState(session=S, n=1, state="ended")]).has_ended
    done = TranscriptComplete(session=S, n=ORIGIN, epoch=5, end_sample=16)
    assert resumption([done]).epoch == 5 + EPOCH_STEP


def test_the_hole_is_a_gap_of_its_true_length() -> None:
    timeline = Timeline()
    timeline.resume(9 * SAMPLE_RATE, 100.0, 112.0)
    timeline.break_off("ingest-lost")
    timeline.audio(0, bytes(2 * 960), 0, 113.0)  # type: ignore[arg-type] # Flag.OK
    timeline.cut()
    gap, audio = timeline.drain()
    assert (gap.sample_index, audio.sample_index) == (9 * SAMPLE_RATE, 13 * SAMPLE_RATE - 960)
    assert [hole.reason for hole in timeline.drain_holes()] == ["ingest-lost"]
    unknown = Timeline()
    unknown.resume(16, None, 0.0)
    assert unknown.end == 16
