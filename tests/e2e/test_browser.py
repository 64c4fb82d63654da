"""The web page in a real Chromium, whose fake microphone plays a visit."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from fieldcoach.tools.bench.chromium import FLAGS, microphone_flags, write_microphone
from fieldcoach.tools.phone.audio_file import read_pcm

from .conftest import ROOT, VISITS, Running

SHOTS = Path(os.environ.get("FIELDCOACH_SCREENSHOTS", ""))
"""Set it to `docs/images` to renew the pictures of the docs."""


def microphone_file(visit: str, folder: Path) -> Path:
    """The visit as the WAV file that Chromium plays into its fake microphone (48 kHz mono)."""
    path = folder / f"{visit}.wav"
    write_microphone(path, read_pcm(VISITS / f"{visit}.flac"))
    return path


def shoot(page: Page, name: str) -> None:
    if str(SHOTS) not in ("", "."):
        page.screenshot(path=str(ROOT / SHOTS / f"{name}.png"))


@pytest.fixture
def browser(chromium: str, tmp_path: Path) -> Iterator[Browser]:
    wav = microphone_file("biscuits-no-space", tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            headless=True,
            args=[
                *FLAGS,
                *microphone_flags(wav),
            ],
        )
        yield browser
        browser.close()


def phone_page(browser: Browser, errors: list[str]) -> Page:
    page = browser.new_context(
        viewport={"width": 360, "height": 740}, device_scale_factor=2, has_touch=True, is_mobile=True
    ).new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return page


@pytest.mark.browser
@pytest.mark.stack
@pytest.mark.timeout(180)
def test_a_visit_on_the_page(system: Running, browser: Browser) -> None:
    errors: list[str] = []
    page = phone_page(browser, errors)
    page.goto(system.url)
    shoot(page, "start")
    page.get_by_test_id("consent").check()
    page.get_by_test_id("start").click()

    transcript = page.get_by_test_id("transcript")
    expect(page.get_by_test_id("visit")).to_be_visible(timeout=15_000)
    expect(transcript).to_contain_text("good morning sir how is your business today", timeout=20_000)
    expect(page.get_by_test_id("stage-greet")).to_have_attribute("data-done", "true", timeout=10_000)
    expect(page.get_by_test_id("asr-note")).to_contain_text("synthetic")
    expect(page.get_by_test_id("cue")).to_be_visible(timeout=40_000)
    assert page.get_by_test_id("cue-text").inner_text().strip()
    shoot(page, "visit")
    expect(page.get_by_test_id("final").last).to_contain_text("see you next week", timeout=60_000)
    page.get_by_test_id("end").click()

    expect(page.get_by_test_id("summary")).to_be_visible(timeout=20_000)
    lines = page.get_by_test_id("order-line")
    expect(lines).to_have_count(2)
    expect(page.get_by_test_id("orders")).to_contain_text("cream biscuits")
    shoot(page, "summary")
    assert not errors


@pytest.mark.browser
@pytest.mark.stack
def test_a_visit_without_consent_has_no_audio(system: Running, browser: Browser) -> None:
    errors: list[str] = []
    page = phone_page(browser, errors)
    offers: list[str] = []
    page.on("request", lambda request: offers.append(request.url) if request.url.endswith("/whip") else None)
    page.goto(system.url)
    page.get_by_test_id("start").click()
    expect(page.get_by_test_id("checklist")).to_be_visible(timeout=15_000)
    expect(page.get_by_test_id("stage-greet")).to_be_visible()
    assert not offers
    assert not errors
