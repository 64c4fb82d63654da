"""Placement of sessions by heartbeats, in virtual time."""

from typing import Any

import pytest

from fieldcoach.common.messages import IngestHeartbeat, WorkerHeartbeat
from fieldcoach.gateway import fleet as fleet_module
from fieldcoach.gateway.fleet import Fleet, NotPlaced, Placed

A, B = "a" * 26, "b" * 26


def ingest(name: str, **changes: Any) -> IngestHeartbeat:
    return IngestHeartbeat(**({"ingest": name, "sessions": 0, "capacity": 10, "asr_slots_free": 5} | changes))


def worker(name: str = A, **changes: Any) -> WorkerHeartbeat:
    values: dict[str, Any] = {
        "worker": name,
        "slots": 5,
        "used": 0,
        "real_time_factor": 0.1,
        "lag_ms": 0,
        "engine": "whisper",
        "model": "outlet-en",
    }
    return WorkerHeartbeat(**(values | changes))


def fleet(*beats: IngestHeartbeat) -> Fleet:
    made = Fleet()
    made.heard_worker(worker(), 0)
    for beat in beats:
        made.heard_ingest(beat, 0)
    return made


def test_the_less_loaded_ingest_is_chosen() -> None:
    assert fleet(ingest(A, sessions=5), ingest(B, sessions=4)).place(1) == Placed(B)
    assert fleet(ingest(A, sessions=5, capacity=100), ingest(B, sessions=4)).place(1) == Placed(A)


def test_a_burst_between_heartbeats_is_spread() -> None:
    both = fleet(ingest(A), ingest(B))
    placed = [both.place(1) for _ in range(4)]
    assert placed.count(Placed(A)) == placed.count(Placed(B)) == 2
    both.heard_ingest(ingest(A, sessions=9), 1)
    assert both.place(1) == Placed(B)


def test_a_burst_does_not_overfill_the_last_ingest() -> None:
    one = fleet(ingest(A, capacity=2))
    assert [isinstance(one.place(1), Placed) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("beat", "kind"),
    [
        (ingest(A, draining=True), "no-capacity"),
        (ingest(A, sessions=10), "no-capacity"),
        (ingest(A, capacity=0), "no-capacity"),
        (ingest(A, asr_slots_free=0), "no-capacity"),
    ],
)
def test_what_is_full_is_told_as_no_capacity(beat: IngestHeartbeat, kind: str) -> None:
    refused = fleet(beat).place(1)
    assert isinstance(refused, NotPlaced)
    assert refused.kind == kind


def test_what_is_away_is_told_as_not_ready() -> None:
    nobody = fleet().place(1)
    assert nobody == NotPlaced("not-ready", "no ingest is known")
    stale = fleet(ingest(A))
    assert stale.place(2) == nobody
    no_worker = Fleet()
    no_worker.heard_ingest(ingest(A), 0)
    assert no_worker.place(1) == NotPlaced("not-ready", "no asr worker is known")


def test_the_engine_is_the_latest_workers_until_it_leaves() -> None:
    known = fleet()
    assert known.engine(1) == worker()
    later = worker(B, engine="sphinx")
    known.heard_worker(later, 1)
    assert known.engine(1.5) == later
    known.heard_worker(worker(B, bye=True), 1.6)
    assert known.engine(1.7) == worker()
    assert known.engine(9) is None


def test_the_languages_are_those_of_all_fresh_workers() -> None:
    known = Fleet()
    known.heard_worker(worker(), 0)
    assert known.languages(1) == frozenset()  # its model is not there yet
    known.heard_worker(worker(languages=("en",)), 1)
    known.heard_worker(worker(B, languages=("en", "hi")), 2)
    assert known.languages(2.5) == {"en", "hi"}
    known.heard_worker(worker(languages=("en",)), 4)
    assert known.languages(4.5) == {"en"}


def test_memory_is_bounded_and_stale_members_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "MAX_MEMBERS", 1)
    one = fleet(ingest(A))
    one.heard_ingest(ingest(B, sessions=0), 1)
    one.heard_worker(worker(B, engine="sphinx"), 1)
    assert one.place(1) == Placed(A)
    assert one.engine(1) == worker()
    one.heard_ingest(ingest(B), 5)
    one.heard_worker(worker(B), 5)
    assert one.place(5) == Placed(B)


def test_an_ingest_in_whose_name_nobody_answers_is_not_chosen_until_it_is_heard_again() -> None:
    fleet = Fleet()
    beat = IngestHeartbeat(ingest="i" * 26, sessions=0, capacity=9, asr_slots_free=9)
    worker = WorkerHeartbeat(
        worker="w" * 26, slots=9, used=0, real_time_factor=0, lag_ms=0, engine="e", model="m"
    )
    fleet.heard_worker(worker, 0.0)
    fleet.heard_ingest(beat, 0.0)
    fleet.lost_ingest(beat.ingest)
    fleet.lost_ingest(beat.ingest)
    assert isinstance(fleet.place(0.1), NotPlaced)
    fleet.heard_ingest(beat, 0.5)
    assert fleet.place(0.6) == Placed(beat.ingest)
