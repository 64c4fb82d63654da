"""A Chromium loses its network over the words that order something: the summary has them all the same."""

import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from playwright.async_api import Page, WebSocket, async_playwright, expect

from fieldcoach.tools.bench.chromium import FLAGS
from fieldcoach.tools.network import Phase, Relay, Schedule, schedule_of
from fieldcoach.tools.network.conditions import DOWN
from fieldcoach.tools.phone.audio_file import read_pcm

from .conftest import ROOT, VISITS, Running, word_errors, words_of
from .test_reconnect import Signalling

FROM_S = 26.3
"""Of the visit only its end is played: two lines, the order, two more lines."""
AWAY_S = (6.3, 11.3)
"""On the network's clock, which begins just after the sound: the order, and the edges of its neighbours."""
LOST = "give me three bottles of hair oil"
SHOTS = os.environ.get("FIELDCOACH_SCREENSHOTS")


def network() -> Schedule:
    """A good link that is away for five seconds."""
    (good,) = schedule_of("4g").phases
    link = good.uplink, good.downlink
    first, second = AWAY_S
    return Schedule(
        "tunnel",
        (Phase("up", first, *link), Phase("away", second - first, DOWN, DOWN), Phase("back", None, *link)),
    )


def end_of_visit(folder: Path) -> Path:
    """The last lines of a visit, as a file that a browser can play."""
    pcm = np.frombuffer(read_pcm(VISITS / "enough-stock.flac"), np.int16)[int(FROM_S * 16_000) :]
    path = folder / "end-of-visit.wav"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 16_000
        sink.mux([*stream.encode(frame), *stream.encode(None)])
    return path


class Events(list[dict[str, Any]]):
    """What the page was told."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self if event["type"] == kind]

    def listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda text: self.append(json.loads(text)))


async def shoot(page: Page, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=str(ROOT / SHOTS / f"{name}.png"))


@pytest.mark.browser
@pytest.mark.stack
@pytest.mark.timeout(120)
@pytest.mark.leaks_allowed("playwright's driver ends with its process")
async def test_words_of_an_outage_are_filled_in_by_a_browser(
    system: Running, chromium: str, tmp_path: Path
) -> None:
    events = Events()
    errors: list[str] = []
    async with async_playwright() as playwright, Relay(network()) as relay:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=[*FLAGS, "--autoplay-policy=no-user-gesture-required"]
        )
        page = await browser.new_page(viewport={"width": 360, "height": 740})
        page.on("websocket", events.listen)
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.route("**/whip**", Signalling(relay).pass_on)
        await page.goto(system.url)
        await page.get_by_test_id("consent").check()
        await page.get_by_test_id("file-input").set_input_files(end_of_visit(tmp_path))
        await page.get_by_test_id("start").click()
        state = page.get_by_test_id("state")
        await expect(state).to_have_attribute("data-state", "live", timeout=15_000)
        relay.start()
        await expect(state).not_to_have_attribute("data-state", "live", timeout=20_000)
        await shoot(page, "outage")
        await expect(state).to_have_attribute("data-state", "live", timeout=20_000)

        final = page.get_by_test_id("final")
        await expect(final.last).to_contain_text("see you next week", timeout=20_000)
        await shoot(page, "outage-over")
        await page.get_by_test_id("end").click()
        await shoot(page, "outage-filling")
        await expect(page.get_by_test_id("summary")).to_be_visible(timeout=30_000)
        await expect(page.get_by_test_id("order-line")).to_have_text(["3 bottles hair oil"])
        await shoot(page, "outage-summary")
        await browser.close()
    assert not errors
    finals = events.of("final")
    filled = [one for one in finals if one["backfill"]]
    assert not [one for one in finals if one not in filled and "bottles" in one["text"]]
    said, heard = words_of(LOST), words_of(" ".join(one["text"] for one in filled))
    wrong = min(word_errors(said, heard[at : at + len(said)]) for at in range(len(heard)))
    assert wrong <= 1, heard
    assert all(one["late_ms"] > 0 for one in filled)
    assert [one["ranges"] for one in events.of("missing")][-1] == []
