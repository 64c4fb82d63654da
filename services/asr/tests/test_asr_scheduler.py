"""Earliest deadline first, fair, and no final dropped."""

from fieldcoach.asr.jobs import Job, Kind
from fieldcoach.asr.scheduler import Scheduler


def job(session: str, kind: Kind, deadline: float, serial: int = 0) -> Job:
    return Job(session, 1, serial, kind, deadline)


def test_earliest_deadline_first() -> None:
    scheduler = Scheduler()
    partial, final = job("a", Kind.PARTIAL, 1.5), job("b", Kind.FINAL, 0.6)
    speculative = job("c", Kind.SPECULATIVE, 0.8)
    for one in (partial, speculative, final):
        scheduler.submit(one)
    assert len(scheduler) == 3
    assert [scheduler.next(0.0) for _ in range(4)] == [final, speculative, partial, None]


def test_a_session_has_one_place_for_its_newest_partial() -> None:
    scheduler = Scheduler()
    scheduler.submit(job("a", Kind.PARTIAL, 1.0, serial=1))
    newest = job("a", Kind.PARTIAL, 2.0, serial=2)
    scheduler.submit(newest)
    assert scheduler.next(0.0) is newest
    assert scheduler.next(0.0) is None


def test_equal_deadlines_go_to_the_session_served_longest_ago() -> None:
    scheduler = Scheduler()
    served = []
    for n in range(6):
        for session in "abc":
            scheduler.submit(job(session, Kind.PARTIAL, 9.0, serial=n))
        following = scheduler.next(0.0)
        assert following is not None
        served.append(following.session)
    assert served == ["a", "b", "c", "a", "b", "c"]


def test_an_old_partial_is_dropped_and_told_a_late_final_is_not() -> None:
    scheduler = Scheduler()
    partial, final = job("a", Kind.PARTIAL, 1.0), job("a", Kind.FINAL, 0.5)
    scheduler.submit(partial)
    scheduler.submit(final)
    assert scheduler.next(5.0) is final
    assert scheduler.next(5.0) is None
    assert scheduler.take_dropped() == [partial]
    assert scheduler.take_dropped() == []


def test_withdraw_tells_whether_it_was_there() -> None:
    scheduler = Scheduler()
    scheduler.submit(job("a", Kind.SPECULATIVE, 1.0))
    assert scheduler.withdraw("a", Kind.SPECULATIVE)
    assert not scheduler.withdraw("a", Kind.SPECULATIVE)
    assert scheduler.next(0.0) is None


def test_forget_removes_a_session_and_only_it() -> None:
    scheduler = Scheduler()
    for kind in Kind:
        scheduler.submit(job("a", kind, 1.0))
    kept = job("b", Kind.FINAL, 2.0)
    scheduler.submit(kept)
    scheduler.forget("a")
    assert len(scheduler) == 1
    assert scheduler.next(0.0) is kept


def test_oldest_deadline_is_that_of_finals() -> None:
    scheduler = Scheduler()
    assert scheduler.oldest_deadline() is None
    scheduler.submit(job("a", Kind.PARTIAL, 0.1))
    scheduler.submit(job("a", Kind.FINAL, 3.0))
    scheduler.submit(job("b", Kind.FINAL, 2.0))
    assert scheduler.oldest_deadline() == 2.0
