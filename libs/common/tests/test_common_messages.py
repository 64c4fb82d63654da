import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcoach.common.errors import InvalidToken, MessageRejected
from fieldcoach.common.ids import new_id, require_id
from fieldcoach.common.messages import (
    WRITERS,
    ClaimReply,
    EventMessage,
    Gap,
    MediaProfile,
    SessionState,
    SignalRequest,
    decode_event,
    message_id,
)
from fieldcoach.common.numbering import EventNumbers
from fieldcoach.common.position import Position
from fieldcoach.common.subjects import Subjects, session_of

SESSION = "s" * 26


def state(n: int, session: str = SESSION) -> SessionState:
    return SessionState(session=session, n=n, state="live")


def gap(n: int) -> Gap:
    return Gap(session=SESSION, n=n, first_sample=0, n_samples=1)


def test_an_event_survives_the_bus() -> None:
    event = MediaProfile(
        session=SESSION,
        n=4,
        command=1,
        rung="L1",
        max_bitrate=16_000,
        ptime_ms=40,
        fec=True,
        dtx=True,
        nack=False,
    )
    assert decode_event(event.encode()) == event
    assert message_id(event) == f"{SESSION}:0:i4"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not-msgpack"),
        (b"\xc1", "not-msgpack"),
        (b"\x01", "field message"),
        (b"\0" * 300_000, "too-long"),
    ],
)
def test_bytes_that_are_no_event(data: bytes, reason: str) -> None:
    with pytest.raises(MessageRejected) as caught:
        decode_event(data)
    assert caught.value.reason == reason


def test_another_version_and_an_unknown_field_are_refused() -> None:
    good = ClaimReply(accepted=True).model_dump()
    cases: list[tuple[dict[str, object], str]] = [
        ({"v": 2}, "version"),
        ({"x": 1}, "field x"),
        ({"accepted": "maybe"}, "field accepted"),
    ]
    for changed, reason in cases:
        with pytest.raises(MessageRejected) as caught:
            ClaimReply.decode(msgpack.packb({**good, **changed}))
        assert caught.value.reason == reason


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for decode in (decode_event, SignalRequest.decode):
        with contextlib.suppress(MessageRejected):
            decode(data)


@pytest.mark.parametrize(
    "bad", ["", "a" * 25, "A" * 26, "a" * 25 + "\n", "a.b", "*", ">", "a b", "a\r\nb" + "a" * 22]
)
def test_no_text_from_outside_stands_in_a_subject(bad: str) -> None:
    subjects = Subjects("local")
    for make in (
        subjects.partial,
        subjects.final,
        subjects.cue,
        subjects.control,
        subjects.signal,
        subjects.ack,
    ):
        with pytest.raises(InvalidToken):
            make(bad)


@pytest.mark.parametrize("bad", ["", "BOM", "a.b", ">", "x" * 17])
def test_a_region_is_a_token(bad: str) -> None:
    with pytest.raises(InvalidToken, match="region"):
        Subjects(bad)


def test_subjects_of_the_table() -> None:
    subjects, worker = Subjects("bom"), "w" * 26
    assert subjects.audio(worker, SESSION) == f"fc.v1.bom.audio.{worker}.{SESSION}"
    assert subjects.audio_of_worker(worker) == f"fc.v1.bom.audio.{worker}.*"
    assert subjects.final(SESSION) == f"fc.v1.bom.tx.final.{SESSION}"
    assert session_of(subjects.cue(SESSION)) == SESSION
    assert require_id(new_id())


def test_numbers_rise_also_when_the_clock_does_not() -> None:
    times = iter([100, 100, 90, 300])
    numbers = EventNumbers(lambda: next(times))
    assert [numbers.next() for _ in range(4)] == [100, 101, 102, 300]


def test_a_position_is_one_number_for_each_writer() -> None:
    position = Position()
    assert position.advance(state(5))
    assert not position.advance(gap(5))  # state and gap have one writer, the ingest
    assert position.advance(gap(6))
    assert Position.parse(str(position)).is_new(state(7))
    assert not Position.parse(str(position)).is_new(state(6))
    assert Position.parse("").is_new(state(0))


@pytest.mark.parametrize("text", ["x1", "i", "izz", "i1.i2", "i" + "f" * 17, "é"])
def test_a_position_we_did_not_make(text: str) -> None:
    with pytest.raises(MessageRejected):
        Position.parse(text)


@given(st.dictionaries(st.sampled_from(sorted(set(WRITERS.values()))), st.integers(0, 2**48)))
def test_a_position_survives_its_text(seen: dict[str, int]) -> None:
    assert str(Position.parse(str(Position(seen)))) == str(Position(seen))


def test_every_event_has_a_writer() -> None:
    from typing import get_args

    kinds = {member.model_fields["kind"].default for member in get_args(get_args(EventMessage)[0])}
    assert kinds == set(WRITERS)
