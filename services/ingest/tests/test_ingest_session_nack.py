"""Which of a session's connections is asked again, and what its statistics say of it."""

from typing import cast

import pytest

from fieldcoach.common.ids import new_id
from fieldcoach.ingest.jitter import AudioPacket
from fieldcoach.ingest.peer import Peer
from fieldcoach.ingest.session import UPKEEP_S, Session
from fieldcoach.ingest.telemetry import IngestTelemetry
from fieldcoach.ingest.timeline import MAX_PENDING_S
from fieldcoach.ingest.workers import WorkerTable

VOICE = bytes([9 << 3, 1, 2, 3, 4, 5])


class Phone:
    """Stands for a peer that sends again when asked."""

    has_nack = True
    rtt_s: float | None = 0.1

    def __init__(self) -> None:
        self.resource = type("Resource", (), {"name": new_id()})


def packet(number: int, at: float) -> AudioPacket:
    return AudioPacket(number, number * 960, VOICE, at)


def test_the_connection_in_use_is_asked_for_what_it_lost() -> None:
    telemetry = IngestTelemetry()
    session = Session(
        new_id(), ("en",), WorkerTable(), telemetry, lambda: True, lambda _session: None, now=10.0
    )
    phone, idle = cast(Peer, Phone()), cast(Peer, Phone())
    session.attach(phone, 10.0)
    assert session.nacks(phone, 10.0) is None
    assert not session.on_packet(phone, 7, packet(1, 10.0))
    assert not session.on_packet(phone, 7, packet(4, 10.06))
    session.attach(idle, 10.06)
    assert session.nacks(idle, 10.08) is None
    assert session.nacks(phone, 10.06) is None
    assert session.nacks(phone, 10.08) == (7, [2, 3])
    assert telemetry.asked["nack"] == 2
    assert session.on_packet(phone, 7, packet(2, 10.19))
    assert not session.on_packet(phone, 7, packet(3, 10.085))  # it was under way
    session.pause(10.2)
    assert session.nacks(phone, 10.3) is None
    assert not session.on_packet(phone, 7, packet(5, 10.3))


def test_the_clock_calls_four_times_a_second_and_at_deadlines() -> None:
    session = Session(
        new_id(), ("en",), WorkerTable(), IngestTelemetry(), lambda: True, lambda _session: None, now=10.0
    )
    phone = cast(Peer, Phone())
    session.attach(phone, 10.0)
    assert session.due_at == 10.0
    session.tick(10.0)
    assert session.due_at == 10.0 + UPKEEP_S
    session.on_packet(phone, 7, packet(1, 10.05))
    session.tick(10.1)
    assert session.due_at == pytest.approx(10.05 + MAX_PENDING_S)  # a partial chunk does not wait longer
    session.tick(10.12)
    assert session.due_at == pytest.approx(10.0 + UPKEEP_S)
    session.on_packet(phone, 7, packet(3, 10.13))
    assert session.due_at == 10.13  # something is to be asked for again: every turn
    assert session.nacks(phone, 10.14) == (7, [2])
    session.tick(10.14)
    assert session.due_at == 10.14
    session.on_packet(phone, 7, packet(2, 10.145))
    session.tick(10.26)
    assert session.due_at == pytest.approx(10.26 + UPKEEP_S)
