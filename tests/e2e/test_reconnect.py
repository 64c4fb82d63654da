"""A real Chromium loses its network and comes back elsewhere: the same stream, by an ICE restart."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, async_playwright, expect

from fieldcoach.tools.bench.chromium import FLAGS, KEEP_CONNECTIONS, microphone_flags
from fieldcoach.tools.network import Phase, Relay, Schedule, schedule_of
from fieldcoach.tools.network.conditions import DOWN

from .conftest import Running
from .test_browser import microphone_file

BEFORE_S, OUTAGE_S = 8.0, 4.5
"""The page restarts ICE 2.5 to 3.5 s into the outage, and would make a fresh connection 5 s after that."""

STREAM = """async () => {
  const [connection] = window.connections;
  const sender = connection.getSenders()[0];
  const found = { connections: window.connections.length, dtls: sender.transport.state };
  const certificate = new Uint8Array(sender.transport.getRemoteCertificates()[0]);
  found.certificate = certificate.reduce((sum, byte) => (sum * 31 + byte) % 1000003, 7);
  (await sender.getStats()).forEach((entry) => {
    if (entry.type === "outbound-rtp") Object.assign(found, { ssrc: entry.ssrc, sent: entry.packetsSent });
  });
  return found;
}"""


def network() -> Schedule:
    """A good link, nothing, and a good link from another address."""
    (good,) = schedule_of("4g").phases
    link = good.uplink, good.downlink
    return Schedule(
        "handover",
        (
            Phase("before", BEFORE_S, *link),
            Phase("nothing", OUTAGE_S, DOWN, DOWN),
            Phase("after", None, *link, is_new_address=True),
        ),
    )


class Signalling:
    """Puts the relay into every offer, answer and fragment; keeps what was asked."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.asked: list[tuple[str, int]] = []

    async def pass_on(self, route: Route) -> None:
        """One WHIP request."""
        request = route.request
        hidden = self._relay.hide(request.post_data or "")
        response = await route.fetch(post_data=hidden)
        self.asked.append((request.method, response.status))
        body = await response.text()
        if response.status in (200, 201) and "a=candidate" in body:
            body = await self._relay.rewrite(body)
        await route.fulfill(response=response, body=body)


async def stream(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(STREAM)
    return found


@pytest.mark.browser
@pytest.mark.stack
@pytest.mark.timeout(120)
@pytest.mark.leaks_allowed("playwright's driver ends with its process")
async def test_ice_restart_of_a_browser(system: Running, chromium: str, tmp_path: Path) -> None:
    wav = microphone_file("biscuits-no-space", tmp_path)
    async with async_playwright() as playwright, Relay(network()) as relay:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[
                *FLAGS,
                *microphone_flags(wav),
            ],
        )
        page = await browser.new_page()
        signalling = Signalling(relay)
        await page.add_init_script(KEEP_CONNECTIONS)
        await page.route("**/whip**", signalling.pass_on)
        await page.goto(system.url)
        await page.get_by_test_id("consent").check()
        await page.get_by_test_id("start").click()
        state = page.get_by_test_id("state")
        await expect(state).to_have_attribute("data-state", "live", timeout=15_000)
        relay.start()
        before = await stream(page)
        transcript = page.get_by_test_id("transcript")
        await expect(transcript).to_contain_text("good morning sir", timeout=20_000)

        await expect(state).not_to_have_attribute("data-state", "live", timeout=20_000)
        await expect(state).to_have_attribute("data-state", "live", timeout=20_000)
        after = await stream(page)
        assert signalling.asked[0] == ("POST", 201)
        assert {asked for asked in signalling.asked[1:]} == {("PATCH", 200)}
        assert after["connections"] == 1
        assert (after["ssrc"], after["certificate"]) == (before["ssrc"], before["certificate"])
        assert after["dtls"] == "connected"
        assert after["sent"] > before["sent"]
        # the coach and the transcript go on: what is said after the hole is heard
        await expect(transcript).to_contain_text("ten boxes of cream biscuits", timeout=60_000)
        await browser.close()
