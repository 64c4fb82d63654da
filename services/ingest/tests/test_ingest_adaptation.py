"""Commands to the phone: numbers, repetitions, acknowledgements."""

from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import ProfileApplied, SenderStats
from fieldcoach.ingest.adaptation import REPEATS, Adaptation, Commands
from fieldcoach.ingest.profile import LADDER
from fieldcoach.ingest.telemetry import IngestTelemetry

VOICE = bytes([9 << 3]) + bytes(59)


class Counted(dict[str, int]):
    def add(self, what: str) -> None:
        self[what] = self.get(what, 0) + 1


def test_a_command_is_told_again_with_its_number_until_it_is_acknowledged() -> None:
    counted = Counted()
    commands = Commands(counted.add)
    first = commands.issue(LADDER[1], 10.0)
    assert first.number == 1
    assert commands.due(10.9) is None
    assert commands.due(11.0) == first
    assert commands.due(11.9) is None
    commands.applied(1, "L1")
    assert commands.due(20.0) is None
    assert counted == {"sent": 1, "repeated": 1, "applied": 1}


def test_over_a_slow_link_an_acknowledgement_is_given_its_time() -> None:
    commands = Commands(Counted().add)
    commands.issue(LADDER[1], 10.0)
    assert commands.due(11.9, 1.3) is None
    assert commands.due(12.0, 1.3) is not None


def test_after_five_repetitions_it_is_given_up_and_counted() -> None:
    counted = Counted()
    commands = Commands(counted.add)
    commands.issue(LADDER[1], 0.0)
    told = [second for second in range(1, 20) if commands.due(float(second)) is not None]
    assert told == [1, 2, 3, 4, 5]
    assert counted == {"sent": 1, "repeated": REPEATS, "unacknowledged": 1}


def test_only_the_last_command_can_be_settled() -> None:
    counted = Counted()
    commands = Commands(counted.add)
    commands.issue(LADDER[1], 0.0)
    last = commands.issue(LADDER[2], 1.0)
    commands.applied(1, "L1")
    commands.applied(7, "L1")
    commands.applied(2, "L4")
    assert commands.due(2.0) == last
    commands.applied(2, "L2")
    commands.applied(2, "L2")
    assert counted == {
        "sent": 2,
        "superseded": 1,
        "stale": 2,
        "unknown": 1,
        "other-rung": 1,
        "repeated": 1,
        "applied": 1,
    }


def test_a_session_from_its_connection_to_the_first_step() -> None:
    counted = Counted()
    adaptation = Adaptation(0.0, counted.add)
    assert adaptation.first_profile.rung == "L1"
    first = adaptation.connected(0.0)
    assert (first.number, first.profile.rung) == (1, "L1")
    adaptation.commands.applied(1, "L1")
    assert adaptation.poll(None, 0.1) is None
    now, told = 0.1, []
    for number in range(100):
        now += 0.02
        adaptation.arrivals.add(number, 960 * number, VOICE, now)
        if (command := adaptation.poll(0.7, now)) is not None:
            told.append((command.number, command.profile.rung))
    assert told[0] == (2, "L2")
    assert set(told) == {(2, "L2")}
    adaptation.switched()
    assert adaptation.arrivals.window(now).packets == 0
    assert adaptation.connected(now).profile.rung == "L2"


def test_what_the_phone_says_of_its_media_is_counted() -> None:
    telemetry = IngestTelemetry()
    told = ProfileApplied(session=new_id(), n=1, command=1, rung="L1")
    telemetry.applied(told)
    telemetry.applied(told.model_copy(update={"stats": SenderStats(packets_sent=3)}))
    telemetry.applied(told.model_copy(update={"stats": SenderStats(rtt_ms=80.0)}))
    assert (telemetry.commands["without-stats"], telemetry.commands["with-stats"]) == (1, 2)
