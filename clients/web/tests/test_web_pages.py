"""The built page in a real Chromium at 360x740, against a gateway that plays a script (`fake/gateway.py`).

Run `npm run build` first. `FIELDCOACH_WEB_SHOTS=DIR` keeps a picture of every state.
"""

import gzip
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fake.gateway import DIST, FakeGateway, checklist, cue, final, partial
from playwright.async_api import Browser, Page, async_playwright, expect

SHOTS = os.environ.get("FIELDCOACH_WEB_SHOTS")
VISITS = Path(__file__).parents[3] / "visits"
LIVE = {"type": "state", "state": "live", "reason": "", "degraded": None, "at": 0.0}

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.timeout(60),
    pytest.mark.leaks_allowed("one Chromium for all, and aiohttp reads files in the loop's own threads"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    assert (DIST / "index.html").is_file(), "the page is not built: npm ci && npm run build in clients/web"
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def gateway() -> AsyncIterator[FakeGateway]:
    fake = FakeGateway()
    await fake.start()
    yield fake
    await fake.stop()


class Violations(list[str]):
    """What the page did that it must not: uncaught errors, and breaches of the content security policy."""


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, gateway: FakeGateway) -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport={"width": 360, "height": 740}, device_scale_factor=2, has_touch=True, is_mobile=True
    )
    page = await context.new_page()
    wrong = Violations()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if "Content Security Policy" in m.text else None)
    await page.goto(gateway.url)
    yield page
    await context.close()
    assert not wrong


async def shoot(page: Page, name: str) -> None:
    if SHOTS:
        await page.wait_for_timeout(300)  # the end of what moves
        await page.screenshot(path=f"{SHOTS}/{name}.png")


async def begin(page: Page, gateway: FakeGateway, *, agreed: bool = True) -> None:
    """From the start screen into a visit that is live."""
    if agreed:
        await page.get_by_test_id("consent").check()
    await page.get_by_test_id("start").click()
    await gateway.until("open the events", lambda: gateway.resumed_after)
    if agreed:
        await gateway.until("offer", lambda: gateway.offers)
        await gateway.say(LIVE)
    await gateway.say(checklist("greet"))
    await expect(page.get_by_test_id("stage-greet")).to_be_visible()


async def test_the_first_load_is_small() -> None:
    files = [path for path in DIST.rglob("*") if path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 80_000


async def test_a_whole_visit(page: Page, gateway: FakeGateway) -> None:
    await shoot(page, "start")
    await expect(page.get_by_test_id("start")).to_have_text("Start checklist only")
    await begin(page, gateway)
    assert gateway.user_tokens == ["Bearer user-token"]
    assert gateway.requests == [
        {"languages": ["en"], "consent": {"given": True, "language": "en", "version": "2026-11"}}
    ]
    await expect(page.get_by_test_id("state")).to_have_text("Listening")
    await expect(page.get_by_test_id("mic-state")).to_contain_text("Mic on")
    await expect(page.get_by_test_id("asr-note")).to_contain_text("a real Whisper model (ASR_MODEL=small)")
    await shoot(page, "visit-begins")

    await gateway.say(
        final(0, 0.8, 3.7, "good morning sir how is your business today"),
        {"type": "gap", "start": 3.8, "duration": 0.9, "reason": "lost"},
        final(1, 4.9, 6.7, "there is no space on my shelf", low_confidence=True),
        checklist("greet", "stock_check"),
        partial(2, 7.0, 8.1, "i understand your", "concern"),
    )
    await expect(page.get_by_test_id("final")).to_have_count(2)
    await expect(page.get_by_test_id("partial")).to_have_text("i understand your concern")
    await expect(page.get_by_test_id("stage-stock_check")).to_have_attribute("data-done", "true")
    await expect(page.get_by_test_id("stage-thanks")).to_have_attribute("data-done", "false")

    await gateway.say(cue("c1", "Offer a counter strip: 6 pieces to start", title="No space?"))
    await expect(page.get_by_test_id("cue-text")).to_have_text("Offer a counter strip: 6 pieces to start")
    await gateway.until("show the cue", lambda: gateway.acknowledged("c1") == ["shown"])
    await shoot(page, "visit-cue")
    await page.get_by_test_id("cue-acted").click()
    await expect(page.get_by_test_id("cue")).to_have_count(0)
    await gateway.until("do the cue", lambda: gateway.acknowledged("c1") == ["shown", "acted"])

    await page.get_by_test_id("pause").click()
    await expect(page.get_by_test_id("state")).to_have_text("Paused")
    await expect(page.get_by_test_id("partial")).to_have_count(0)
    await shoot(page, "visit-paused")
    await page.get_by_test_id("pause").click()
    said = ["pause", "resume"]
    await gateway.until("pause and go on", lambda: [m["type"] for m in gateway.heard][-2:] == said)

    await page.get_by_test_id("end").click()
    await expect(page.get_by_test_id("summary")).to_be_visible()
    await expect(page.get_by_test_id("score")).to_have_text("78")
    order = ["10 boxes cream biscuits", "2 cartons noodles"]
    await expect(page.get_by_test_id("order-line")).to_have_text(order)
    await shoot(page, "summary")
    assert {"type": "DELETE"} not in gateway.heard
    await page.get_by_test_id("new-visit").click()
    await expect(page.get_by_test_id("start")).to_be_visible()


async def test_the_offer_is_opus_only_and_mono(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    offer = gateway.offers[0]
    assert offer.count("a=rtpmap:") == 1
    assert "opus/48000/2" in offer
    assert "sprop-stereo=0" in offer
    assert "a=sendonly" in offer


def profile(command: int, rung: str, bitrate: int, ptime_ms: int) -> dict[str, Any]:
    return {
        "type": "profile", "command": command, "rung": rung, "max_bitrate": bitrate, "ptime_ms": ptime_ms,
        "fec": True, "dtx": True, "nack": True,
    }  # fmt: skip


async def sends_every(gateway: FakeGateway, milliseconds: int) -> None:
    """Wait until the page sends packets of this length, one after another."""

    def is_so() -> bool:
        last = gateway.sound[-6:]
        steps = [(b.timestamp - a.timestamp) % (1 << 32) for a, b in itertools.pairwise(last)]
        return steps == [48 * milliseconds] * 5

    await gateway.until(f"send a packet every {milliseconds} ms", is_so)


def applied(gateway: FakeGateway) -> list[tuple[int, str]]:
    return [(m["command"], m["rung"]) for m in gateway.heard if m["type"] == "applied"]


async def test_the_sound_follows_the_profile(page: Page, gateway: FakeGateway) -> None:
    """The packet time changes on the wire without the server; the page acknowledges, and says how it goes."""
    await begin(page, gateway)
    assert "nack" in gateway.offers[0]
    await expect(page.get_by_test_id("state")).to_have_text("Listening")
    await gateway.say(profile(1, "L1", 16_000, 40))
    await gateway.until("acknowledge L1", lambda: applied(gateway) == [(1, "L1")])
    await expect(page.get_by_test_id("network")).to_contain_text("Good link")
    await sends_every(gateway, 40)
    await gateway.ask_again(3)
    await gateway.say(profile(2, "L2", 12_000, 60), profile(3, "L3", 10_000, 120))
    await gateway.until("acknowledge L3", lambda: (3, "L3") in applied(gateway))
    await expect(page.get_by_test_id("network")).to_contain_text("Poor link")
    await sends_every(gateway, 120)
    await gateway.say(profile(2, "L2", 12_000, 60), profile(3, "L3", 10_000, 120))
    await gateway.until("acknowledge again", lambda: applied(gateway).count((3, "L3")) == 2)
    assert applied(gateway).count((2, "L2")) <= 1, "an older command is not obeyed"

    def reports() -> list[dict[str, Any]]:
        return [m for m in gateway.heard if m["type"] == "stats" and m.get("retransmitted") == 3]

    await gateway.until("report what was repeated", lambda: bool(reports()))
    told = next(m for m in reversed(gateway.heard) if m["type"] == "applied")
    assert told["stats"]["packets_sent"] > 0
    assert reports()[0]["header_bytes_sent"] > 500
    await expect(page.get_by_test_id("data-used")).to_contain_text("kB")
    await shoot(page, "visit-poor-link")
    await gateway.say(profile(4, "L0", 24_000, 20))
    await gateway.until("acknowledge L0", lambda: (4, "L0") in applied(gateway))
    await sends_every(gateway, 20)
    await expect(page.get_by_test_id("network")).to_contain_text("Good link")
    await shoot(page, "visit-good-link")


async def test_a_cue_expires_or_is_replaced_by_a_newer_one(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    await gateway.say(cue("c1", "first"))
    await gateway.until("show", lambda: gateway.acknowledged("c1"))
    await gateway.say(cue("c2", "second", ttl_ms=700))
    await gateway.until("replace", lambda: gateway.acknowledged("c1") == ["shown", "expired"])
    await gateway.until("let expire", lambda: gateway.acknowledged("c2") == ["shown", "expired"])
    await expect(page.get_by_test_id("cue")).to_have_count(0)
    late = cue("c3", "third") | {"expires_at": 0}
    await gateway.say(late)
    await gateway.until("refuse a late one", lambda: gateway.acknowledged("c3") == ["expired"])


async def test_a_cue_is_tapped_swiped_or_dismissed(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    await gateway.say(cue("c1", "tap me"))
    await page.get_by_test_id("cue-text").click()
    await gateway.until("take the tap", lambda: gateway.acknowledged("c1")[-1:] == ["acted"])

    await gateway.say(cue("c2", "swipe me", severity="warn"))
    box = await page.get_by_test_id("cue-text").bounding_box()
    assert box
    await gateway.until("show", lambda: gateway.acknowledged("c2"))
    await shoot(page, "visit-cue-warn")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + 50, y, steps=5)
    await page.mouse.up()
    await expect(page.get_by_test_id("cue")).to_be_visible()
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x - 140, y, steps=5)
    await page.mouse.up()
    await gateway.until("take the swipe", lambda: gateway.acknowledged("c2") == ["shown", "dismissed"])

    await gateway.say(cue("c3", "not now", severity="info"))
    await page.get_by_test_id("cue-dismiss").click()
    await gateway.until("dismiss", lambda: gateway.acknowledged("c3")[-1:] == ["dismissed"])


async def test_without_consent_there_is_no_microphone_and_no_offer(page: Page, gateway: FakeGateway) -> None:
    await page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => { throw new Error('asked') } }")
    await begin(page, gateway, agreed=False)
    assert gateway.requests[0]["consent"]["given"] is False
    await expect(page.get_by_test_id("transcript")).to_have_count(0)
    await page.get_by_test_id("stage-claims").get_by_role("button").click()
    await expect(page.get_by_test_id("stage-claims")).to_have_attribute("data-done", "true")
    await shoot(page, "checklist-only")
    await page.reload()
    await expect(page.get_by_test_id("stage-claims")).to_have_attribute("data-done", "true")
    await page.get_by_test_id("end").click()
    await expect(page.get_by_test_id("summary")).to_be_visible()
    await expect(page.get_by_test_id("stage-claims")).to_have_attribute("data-done", "true")
    assert not gateway.offers


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("NotAllowedError", "The microphone is blocked"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "The microphone is in use"),
    ],
)
async def test_no_microphone(page: Page, gateway: FakeGateway, fault: str, words: str) -> None:
    await page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name) } }",
        fault,
    )
    await page.get_by_test_id("consent").check()
    await page.get_by_test_id("start").click()
    await expect(page.get_by_test_id("error")).to_contain_text(words)
    await shoot(page, f"microphone-{fault}")
    assert not gateway.requests


async def test_the_microphone_is_silenced_and_lost(page: Page, gateway: FakeGateway) -> None:
    await page.evaluate(
        """() => {
          const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
          navigator.mediaDevices.getUserMedia = async wanted => {
            const stream = await open(wanted)
            window.microphone = stream.getAudioTracks()[0]
            return stream
          }
        }"""
    )
    await begin(page, gateway)
    await page.evaluate("() => microphone.dispatchEvent(new Event('mute'))")
    await expect(page.get_by_test_id("banner")).to_contain_text("silenced the microphone")
    await page.evaluate("() => microphone.dispatchEvent(new Event('unmute'))")
    await expect(page.get_by_test_id("banner")).to_have_count(0)
    await page.evaluate("() => microphone.dispatchEvent(new Event('ended'))")
    await expect(page.get_by_test_id("mic-state")).to_have_text("Mic lost")
    await gateway.until("tell that no sound comes", lambda: {"type": "DELETE"} in gateway.heard)
    await shoot(page, "microphone-lost")
    await page.get_by_test_id("continue").click()
    await gateway.until("offer again", lambda: len(gateway.offers) == 2)
    await expect(page.get_by_test_id("state")).to_have_text("Listening")


async def test_a_file_in_the_place_of_the_microphone(page: Page, gateway: FakeGateway) -> None:
    unreadable = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no sound"}
    await page.get_by_test_id("consent").check()
    await page.get_by_test_id("file-input").set_input_files(unreadable)  # type: ignore[arg-type]  # a FilePayload
    await page.get_by_test_id("start").click()
    await expect(page.get_by_test_id("error")).to_contain_text("This file can't be played")
    await page.get_by_role("button", name="Close: notes.txt").click()

    await page.get_by_test_id("file-input").set_input_files(VISITS / "quick-order.flac")
    await begin(page, gateway)
    await expect(page.get_by_test_id("mic-state")).to_contain_text("quick-order.flac")
    await page.wait_for_function(
        "() => parseFloat(document.querySelector('.level').style.getPropertyValue('--level')) > 0.2"
    )
    await shoot(page, "visit-file")


async def test_the_link_is_lost_and_resumes_after_the_last_event(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    gateway.refuse_sockets = True
    await gateway.cut()
    await expect(page.get_by_test_id("banner")).to_contain_text("Connection lost")
    await shoot(page, "visit-link-lost")
    await gateway.say(final(0, 1, 2, "said while away"))
    gateway.refuse_sockets = False
    await page.evaluate("() => dispatchEvent(new Event('online'))")
    await gateway.until("come back", lambda: len(gateway.resumed_after) == 2)
    assert gateway.resumed_after == [None, f"e{len(gateway.events) - 1}"]
    await expect(page.get_by_test_id("final")).to_have_text(["said while away"])
    await expect(page.get_by_test_id("banner")).to_have_count(0)


async def test_a_reload_goes_on_with_the_visit(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    await gateway.say(final(0, 1, 2, "good morning"), cue("c1", "Say the scheme"))
    await page.get_by_test_id("cue-dismiss").click()
    await gateway.until("dismiss", lambda: len(gateway.acknowledged("c1")) == 2)
    await page.reload()
    await expect(page.get_by_test_id("final")).to_have_text(["good morning"])
    await expect(page.get_by_test_id("state")).to_have_text("Not listening")
    await expect(page.get_by_test_id("cue")).to_have_count(0)
    await shoot(page, "visit-reloaded")
    await page.get_by_test_id("continue").click()
    await gateway.until("offer again", lambda: len(gateway.offers) == 2)
    await expect(page.get_by_test_id("state")).to_have_text("Listening")
    assert gateway.acknowledged("c1") == ["shown", "dismissed"]


async def test_a_visit_that_another_tab_took(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    await gateway.cut(4409)
    await expect(page.get_by_test_id("error")).to_contain_text("open in another tab")
    await shoot(page, "visit-replaced")
    await expect(page.get_by_test_id("mic-state")).to_have_text("Mic off")
    await page.get_by_role("button", name="Use it here").click()
    await gateway.until("come back", lambda: len(gateway.resumed_after) == 2)
    await expect(page.get_by_test_id("error")).to_have_count(0)
    await page.get_by_test_id("continue").click()
    await gateway.until("offer again", lambda: len(gateway.offers) == 2)


@pytest.mark.parametrize(("code", "words"), [(4401, "access has expired"), (4403, "This visit is closed")])
async def test_a_visit_that_is_over(page: Page, gateway: FakeGateway, code: int, words: str) -> None:
    await begin(page, gateway)
    await gateway.cut(code)
    await expect(page.get_by_test_id("error")).to_contain_text(words)
    await page.get_by_test_id("new-visit").click()
    await expect(page.get_by_test_id("start")).to_be_visible()


async def test_the_summary_is_asked_for_when_it_does_not_come(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    gateway.end_makes_summary = False
    await page.get_by_test_id("end").click()
    await gateway.until("end", lambda: {"type": "POST end"} in gateway.heard)
    await expect(page.get_by_text("Making the summary")).to_be_visible()
    await shoot(page, "visit-ending")
    gateway.refuse_sockets = True
    await gateway.cut()
    gateway.make_summary()
    await expect(page.get_by_test_id("summary")).to_be_visible(timeout=10_000)


async def test_a_summary_that_is_refused_ends_in_a_new_visit(page: Page, gateway: FakeGateway) -> None:
    await begin(page, gateway)
    gateway.end_makes_summary = False
    gateway.summary_problem = (403, problem("not-yours", "Not your session", ""), {})
    await page.get_by_test_id("end").click()
    await expect(page.get_by_test_id("error")).to_contain_text("Not your session")
    await page.get_by_test_id("new-visit").click()
    await expect(page.get_by_test_id("start")).to_be_visible()


async def test_the_token_comes_from_the_address(page: Page, gateway: FakeGateway) -> None:
    gateway.dev_login = False
    await page.goto(f"{gateway.url}/#token=pasted.by.link")
    await page.reload()
    assert page.url == f"{gateway.url}/"
    await begin(page, gateway, agreed=False)
    assert gateway.user_tokens == ["Bearer pasted.by.link"]


async def test_a_token_is_asked_for_where_there_is_no_local_login(page: Page, gateway: FakeGateway) -> None:
    gateway.dev_login = False
    gateway.session_problem = (401, problem("token-expired", "The token has expired", "Get a new one."), {})
    await page.get_by_test_id("start").click()
    await shoot(page, "token")
    await page.get_by_test_id("token").fill(" old ")
    await page.get_by_test_id("use-token").click()
    await page.get_by_test_id("start").click()
    await expect(page.get_by_test_id("error")).to_contain_text("The token has expired")
    await expect(page.get_by_test_id("token")).to_be_visible()
    await shoot(page, "token-expired")
    assert gateway.user_tokens == ["Bearer old"]


async def test_a_server_without_a_place(page: Page, gateway: FakeGateway) -> None:
    busy = problem("no-capacity", "Every recogniser is busy", "Try again.")
    gateway.session_problem = (503, busy, {"Retry-After": "5"})
    await page.get_by_test_id("start").click()
    await expect(page.get_by_test_id("error")).to_contain_text("Every recogniser is busy")
    await expect(page.get_by_test_id("error")).to_contain_text("in 5 s")
    await shoot(page, "no-capacity")
    gateway.session_problem = None
    await begin(page, gateway, agreed=False)


async def test_a_server_that_is_away(page: Page, gateway: FakeGateway) -> None:
    await gateway.stop()
    await page.get_by_test_id("start").click()
    await expect(page.get_by_test_id("error")).to_contain_text("The server can't be reached")


async def test_every_target_is_large_enough_and_nothing_is_cut_off(page: Page, gateway: FakeGateway) -> None:
    async def check() -> None:
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        small: list[Any] = await page.evaluate(
            """() => [...document.querySelectorAll('button, label, input:not(.unseen):not([type=checkbox])')]
              .map(e => [e.textContent, e.getBoundingClientRect().height]).filter(([, h]) => h < 48)"""
        )
        assert small == []

    longest = "Sixty characters are the most that a line of advice may have"
    await check()
    await begin(page, gateway)
    await gateway.say(cue("c1", longest, title="No space?"))
    await page.get_by_test_id("cue").wait_for()
    await check()
    await page.get_by_test_id("end").click()
    await page.get_by_test_id("summary").wait_for()
    await check()


def problem(word: str, title: str, fix: str) -> dict[str, Any]:
    return {"type": f"urn:fieldcoach:problem:{word}", "title": title, "detail": "", "fix": fix}
