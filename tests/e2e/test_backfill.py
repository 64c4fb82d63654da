"""A visit with the network away in mid-speech: same session, and afterwards no word of it is missing."""

import pytest

from fieldcoach.tools.network.conditions import DOWN, Conditions
from fieldcoach.tools.network.profiles import Phase, Schedule
from fieldcoach.tools.network.relay import Relay
from fieldcoach.tools.phone.audio_file import read_pcm
from fieldcoach.tools.phone.visit import Visit, VisitPlan

from .conftest import VISITS, Running, gold, word_errors, words_of

LINK = Conditions(rate_kbps=330, delay_ms=60)
OBJECTION_AWAY = (25.5, 30.5)
"""From the middle of an offer to the middle of the answer; between them an objection that is raised once."""
ORDER_AWAY = (32.7, 37.5)
"""From the middle of a line over the only words that order something."""


def network() -> Schedule:
    first, second = OBJECTION_AWAY, ORDER_AWAY
    return Schedule(
        "outages",
        (
            Phase("up", first[0], LINK, LINK),
            Phase("away", first[1] - first[0], DOWN, DOWN),
            Phase("back", second[0] - first[1], LINK, LINK),
            Phase("away", second[1] - second[0], DOWN, DOWN),
            Phase("back", None, LINK, LINK),
        ),
    )


@pytest.mark.stack
@pytest.mark.timeout(180)
async def test_words_of_an_outage_are_filled_in(system: Running) -> None:
    pcm = read_pcm(VISITS / "enough-stock.flac")
    async with Relay(network()) as relay:
        plan = VisitPlan(system.url, system.token(), pcm, network=relay)
        result = await Visit(plan).run()
    events = [event for _, event in result.events]
    finals = [event for event in events if event["type"] == "final"]
    filled = [final for final in finals if final["backfill"]]
    gaps = [(event["start"], event["duration"]) for event in events if event["type"] == "gap"]
    assert {event["session"] for event in events if "session" in event} == {result.session}
    assert len([gap for gap in gaps if gap[1] > 1]) >= 2
    assert filled
    assert all(final["late_ms"] > 0 for final in filled)

    # no line is missing: the finals in their order say the whole visit
    marks = gold("enough-stock")
    heard = words_of(" ".join(final["text"] for final in sorted(finals, key=lambda one: one["start"])))
    for line in marks["lines"]:
        said = words_of(line["text"])
        best = min(
            word_errors(said, heard[at : at + len(said)]) for at in range(max(1, len(heard) - len(said) + 1))
        )
        assert best <= len(said) // 3, (line["text"], heard)
    said = words_of(" ".join(line["text"] for line in marks["lines"]))
    assert word_errors(said, heard) / len(said) <= 0.15

    # what was said in the holes is in the summary, and has fired nothing
    assert result.summary["orders"] == [{"sku": "hair oil", "qty": 3, "unit": "bottles"}]
    assert "price_margin" in result.summary["objections"]
    cues = [event for event in events if event["type"] == "cue"]
    assert cues
    late = [(final["start"], final["end"]) for final in filled]
    fired_by = [cue["trigger"]["end"] for cue in cues if cue["trigger"]]
    assert not [end for end in fired_by if any(start < end <= stop for start, stop in late)]
    assert "price_margin" not in {cue["objection"] for cue in cues}

    # nothing is asked for any more
    assert [event for event in events if event["type"] == "missing"][-1]["ranges"] == []
    assert result.filled_ranges >= 2
