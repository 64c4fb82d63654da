# ruff: noqa: F811
"""The page's memory of its sound, in a real Chromium: what it keeps, holds back, sends later and forgets."""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from fake.gateway import FakeGateway
from playwright.async_api import Browser, Page, expect
from test_web_pages import (  # noqa: F401 # fixtures
    LIVE,
    applied,
    begin,
    browser,
    gateway,
    page,
    profile,
    sends_every,
    shoot,
)

from fieldcoach.common.backfill import Record, parse_records

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.timeout(60),
    pytest.mark.leaks_allowed("one Chromium for all, and aiohttp reads files in the loop's own threads"),
]

S = 48_000


def missing(number: int, ssrc: int, first: int, last: int) -> dict[str, object]:
    """One range is missing."""
    wanted = {"range": number, "start": 1.0, "end": 2.0, "ssrc": ssrc}
    wanted |= {"first_timestamp": first % (1 << 32), "last_timestamp": last % (1 << 32)}
    return {"type": "missing", "ranges": [wanted]}


async def records_of(gateway: FakeGateway, number: int) -> list[Record]:
    """What the page sends of a range, when it has sent all of it."""

    def sent() -> list[Record]:
        return [one for body in gateway.uploads for one in parse_records(body) if one.range == number]

    await gateway.until(f"send range {number}", lambda: any(not one.payload for one in sent()))
    return sent()


def largest_step(records: list[Record]) -> int:
    """Between the beginnings of two packets, in ticks."""
    at = [one.timestamp for one in records if one.payload]
    return max((b - a) % (1 << 32) for a, b in itertools.pairwise(at))


async def test_on_the_lowest_rung_the_sound_stays_in_the_memory(
    page: Page,
    gateway: FakeGateway,
) -> None:
    """One packet in two seconds goes out; what was held is sent when it is asked for, without a hole."""
    await begin(page, gateway)
    await gateway.say(profile(1, "L1", 16_000, 40))
    await sends_every(gateway, 40)
    await gateway.say(profile(2, "L5", 6_000, 120))
    await gateway.until("hold", lambda: (2, "L5") in applied(gateway))
    before = len(gateway.sound)
    await gateway.until("send two signs of life", lambda: len(gateway.sound) >= before + 3)
    held = gateway.sound[-2:]
    assert (held[1].timestamp - held[0].timestamp) % (1 << 32) >= 2 * S - 120 * 48
    assert held[1].sequence == (held[0].sequence + 1) & 0xFFFF
    await expect(page.get_by_test_id("network")).to_have_attribute("data-state", "offline")
    await gateway.say(missing(1, held[0].ssrc, held[0].timestamp, held[1].timestamp))
    await gateway.say(profile(3, "L1", 16_000, 40))
    await sends_every(gateway, 40)
    records = await records_of(gateway, 1)
    first, last = records[0].timestamp, records[-2].timestamp
    assert (held[0].timestamp - first) % (1 << 32) >= S, "the margin before it"
    assert (last - held[1].timestamp) % (1 << 32) < 2 * S, "and as much after it as there was"
    assert largest_step(records) <= 120 * 48
    assert records[-1] == Record(1, held[1].timestamp, b"")


async def test_a_fresh_connection_answers_for_the_one_before(
    page: Page,
    gateway: FakeGateway,
) -> None:
    """The hole between two connections is asked for by the clock of the second one."""
    await begin(page, gateway)
    await sends_every(gateway, 40)
    old = gateway.sound[-1]
    await gateway.lose_sound()
    await gateway.until("offer again", lambda: len(gateway.offers) == 2)
    await gateway.until("send again", lambda: gateway.sound[-1].ssrc != old.ssrc)
    new = next(one for one in gateway.sound if one.ssrc != old.ssrc)
    await gateway.say(missing(1, new.ssrc, new.timestamp - S, new.timestamp))
    records = await records_of(gateway, 1)
    assert (new.timestamp - records[0].timestamp) % (1 << 32) >= S
    # a packet, and what the coarse times of capture leave unsure
    assert largest_step(records) <= 120 * 48, "the old connection was heard until the new one began"


async def test_nothing_of_a_pause_is_kept(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    await sends_every(gateway, 40)
    await page.get_by_test_id("pause").click()
    await gateway.until("pause", lambda: any(m["type"] == "pause" for m in gateway.heard))
    paused = gateway.sound[-1]
    # what was captured before the click may be under way
    begun = (paused.timestamp + S // 2) % (1 << 32)

    def has_passed(seconds: float) -> bool:
        last: int = gateway.sound[-1].timestamp
        return (last - begun + (1 << 31)) % (1 << 32) - (1 << 31) > seconds * S

    await gateway.until("send silence", lambda: has_passed(1))
    await gateway.say(missing(1, paused.ssrc, begun, begun + S))
    records = await records_of(gateway, 1)
    inside = [one for one in records if one.payload and (one.timestamp - begun) % (1 << 32) < S]
    assert not inside
    assert len(records) > 1, "what was said before it is kept"


@pytest_asyncio.fixture(loop_scope="module")
async def plain_page(
    browser: Browser,
    gateway: FakeGateway,
) -> AsyncIterator[Page]:
    """A browser that does not show its encoded packets."""
    context = await browser.new_context(viewport={"width": 360, "height": 740}, device_scale_factor=2)
    page = await context.new_page()
    await page.add_init_script("delete window.RTCRtpScriptTransform")
    await page.goto(gateway.url)
    yield page
    await context.close()


async def test_a_browser_that_cannot_says_so_and_goes_on(
    plain_page: Page,
    gateway: FakeGateway,
) -> None:
    await begin(plain_page, gateway)
    await expect(plain_page.get_by_test_id("forgets")).to_contain_text("can’t send lost sound later")
    await shoot(plain_page, "visit-forgets")
    await sends_every(gateway, 40)
    await gateway.say(profile(1, "L5", 6_000, 120))
    await sends_every(gateway, 120)  # who keeps nothing goes on sending, and does not say that it pauses
    await gateway.say(profile(2, "L1", 16_000, 40), missing(4, 1, 0, S))
    assert await records_of(gateway, 4) == [Record(4, S, b"")]
    await gateway.until("follow", lambda: applied(gateway))
    assert applied(gateway) == [(2, "L1")]


async def test_the_end_waits_for_what_is_missing(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    await expect(page.get_by_test_id("forgets")).to_have_count(0)
    await sends_every(gateway, 40)
    last = gateway.sound[-1]
    await gateway.say(
        profile(1, "L3", 10_000, 120), missing(1, last.ssrc, last.timestamp - S, last.timestamp)
    )
    await gateway.until("follow", lambda: (1, "L3") in applied(gateway))
    assert not gateway.uploads, "this link has no room for it"
    await page.get_by_test_id("end").click()
    await records_of(gateway, 1)
    await expect(page.get_by_test_id("closing")).to_have_text("Sending what the network lost…")
    await shoot(page, "visit-filling")
    assert {"type": "POST end"} not in gateway.heard
    await gateway.say({"type": "missing", "ranges": []}, LIVE)
    await expect(page.get_by_test_id("summary")).to_be_visible()
