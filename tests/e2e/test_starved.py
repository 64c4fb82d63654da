"""A link that does not carry the lowest rung: the phone keeps its sound (L5), and it is filled in later."""

import pytest

from fieldcoach.tools.network.conditions import Conditions
from fieldcoach.tools.network.profiles import Phase, Schedule
from fieldcoach.tools.network.relay import Relay
from fieldcoach.tools.phone.audio_file import read_pcm
from fieldcoach.tools.phone.visit import Visit, VisitPlan

from .conftest import VISITS, Running, words_of

GOOD = Conditions(rate_kbps=330, delay_ms=60)
STARVED = Conditions(rate_kbps=5, delay_ms=60)
"""Half of what the lowest rung sends."""
STARVED_FROM, STARVED_UNTIL = 1.0, 17.0
CUT_S = 22
"""The visit ends while the phone still holds back; its last whole line is spoken at 18.1 to 20.4 s."""
LINE = "the mustard oil is not moving"


@pytest.mark.stack
@pytest.mark.timeout(180)
async def test_what_the_phone_keeps_on_l5_is_filled_in(system: Running) -> None:
    pcm = read_pcm(VISITS / "enough-stock.flac")[: 2 * 16_000 * CUT_S]
    schedule = Schedule(
        "starved",
        (
            Phase("up", STARVED_FROM, GOOD, GOOD),
            Phase("starved", STARVED_UNTIL - STARVED_FROM, STARVED, GOOD),
            Phase("back", None, GOOD, GOOD),
        ),
    )
    async with Relay(schedule) as relay:
        result = await Visit(VisitPlan(system.url, system.token(), pcm, network=relay)).run()
    events = [event for _, event in result.events]
    assert "L5" in [event["rung"] for event in events if event["type"] == "profile"]
    held = [event for event in events if event["type"] == "gap" and event["reason"] == "held"]
    assert sum(gap["duration"] for gap in held) > 2
    assert result.media_reconnects == 0  # a packet every 2 s keeps the connection, and the session live
    assert "suspended" not in [event["state"] for event in events if event["type"] == "state"][:-2]
    assert result.filled_ranges >= 1
    filled = words_of(" ".join(event["text"] for event in events if event["type"] == "final"))
    assert set(words_of(LINE)) <= set(filled)
    assert [event for event in events if event["type"] == "missing"][-1]["ranges"] == []
