"""Rate and session limits, in virtual time."""

from fieldcoach.gateway.limits import OpenSessions, RateLimit, TokenBucket


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(60, now=0)
    assert [bucket.take(0) for _ in range(60)] == [0.0] * 60
    assert bucket.take(0) == 1.0
    assert bucket.take(0.5) == 0.5
    assert bucket.take(1) == 0.0
    assert bucket.take(1_000) == 0.0
    assert [bucket.take(1_000) for _ in range(60)][-1] > 0, "it never holds more than a minute's worth"


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1, now=10)
    assert bucket.take(10) == 0.0
    assert bucket.take(5) > 0


def test_each_key_has_its_own_bucket() -> None:
    limit = RateLimit(2)
    assert [limit.retry_after_s("a", 0) for _ in range(3)] == [0, 0, 30]
    assert limit.retry_after_s("b", 0) == 0


def test_the_least_recent_key_is_forgotten() -> None:
    limit = RateLimit(1, max_keys=2)
    for key in ("a", "b", "a", "c"):
        limit.retry_after_s(key, 0)
    assert limit.retry_after_s("a", 0) > 0, "used lately, so remembered"
    assert limit.retry_after_s("b", 0) == 0


def test_open_sessions_are_counted_per_user() -> None:
    sessions = OpenSessions(2, max_age_s=100)
    for session in ("s1", "s2"):
        assert sessions.may_begin("u", 0)
        sessions.begun("u", session, 0)
    assert not sessions.may_begin("u", 1)
    assert sessions.may_begin("v", 1)
    sessions.ended("s1")
    assert sessions.may_begin("u", 1)
    assert not sessions.knows("s1")
    assert sessions.knows("s2")
    sessions.ended("unknown")
    sessions.ended("s2")
    assert len(sessions) == 0


def test_sessions_that_never_end_stop_counting() -> None:
    sessions = OpenSessions(1, max_age_s=100)
    sessions.begun("u", "s1", 0)
    sessions.begun("v", "s2", 50)
    assert sessions.may_begin("u", 100)
    assert not sessions.may_begin("v", 100)
