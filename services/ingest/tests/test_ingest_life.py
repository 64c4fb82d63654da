"""The states of a session's media."""

from fieldcoach.ingest.life import SessionLife


def states(life: SessionLife) -> list[tuple[str, str]]:
    return [(change.state, change.reason) for change in life.drain()]


def live(now: float = 0.0) -> SessionLife:
    life = SessionLife(now)
    life.offered(now)
    life.heard(now)
    assert states(life) == [("connecting", ""), ("live", "")]
    return life


def test_three_seconds_without_a_packet_suspend_and_a_packet_brings_back() -> None:
    life = live()
    assert life.tick(2.9) is None
    assert states(life) == []
    life.tick(3.0)
    assert states(life) == [("suspended", "no-packets")]
    life.heard(8.0)
    assert states(life) == [("live", "")]
    assert not life.should_free(8.0)


def test_who_sends_a_packet_every_two_seconds_may_lose_two_of_them() -> None:
    life = live()
    life.is_sparse = True
    life.tick(6.9)
    assert states(life) == []
    life.tick(7.0)
    assert states(life) == [("suspended", "no-packets")]


def test_a_vanished_phone_is_freed_after_a_minute_and_ended_after_ten() -> None:
    life = live()
    life.tick(3.0)
    assert not life.should_free(59.9)
    assert life.should_free(60.0)
    life.transport_lost(60.0, "vanished")
    assert not life.should_free(61.0)
    assert life.tick(602.9) is None
    assert life.tick(603.0) == "suspended-too-long"
    life.end("suspended-too-long")
    life.end("again")
    assert states(life) == [("suspended", "no-packets"), ("ended", "suspended-too-long")]
    assert life.has_ended
    assert life.tick(5_000) is None


def test_a_lost_transport_suspends_at_once_and_a_new_offer_connects() -> None:
    life = live()
    life.transport_lost(1.0, "disconnected")
    life.offered(5.0)
    life.heard(5.5)
    assert states(life) == [("suspended", "disconnected"), ("connecting", ""), ("live", "")]


def test_an_offer_in_mid_call_changes_no_state() -> None:
    life = live()
    life.offered(1.0)
    assert states(life) == []


def test_a_pause_outlives_silence() -> None:
    life = live()
    life.pause(1.0)
    life.pause(1.1)
    assert life.tick(900.0) is None
    life.heard(900.0)
    life.resume(901.0)
    assert states(life) == [("paused", "user"), ("live", "")]


def test_resume_waits_for_packets_or_for_a_connection() -> None:
    life = live()
    life.resume(0.5)
    life.pause(1.0)
    life.resume(30.0)
    assert states(life) == [("paused", "user"), ("connecting", "")]
    life.heard(30.1)
    life.pause(31.0)
    life.transport_lost(32.0, "closed")
    life.resume(33.0)
    assert states(life) == [("live", ""), ("paused", "user"), ("suspended", "no-media")]


def test_a_pause_without_a_connection_ends_after_ten_minutes() -> None:
    life = live()
    life.pause(1.0)
    life.transport_lost(2.0, "vanished")
    assert life.tick(601.0) is None
    assert life.tick(602.0) == "suspended-too-long"
    other = live()
    other.transport_lost(1.0, "closed")
    other.pause(2.0)
    assert other.tick(602.0) == "suspended-too-long"


def test_nobody_who_never_connects_stays() -> None:
    life = SessionLife(0.0)
    life.offered(0.0)
    life.tick(60.0)
    assert states(life)[-1] == ("suspended", "never-connected")
    assert life.should_free(60.0)


def test_no_session_is_longer_than_four_hours() -> None:
    life = live()
    life.heard(4 * 3_600.0)
    assert life.tick(4 * 3_600.0) == "too-long"
