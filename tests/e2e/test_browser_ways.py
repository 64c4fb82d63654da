"""A real Chromium where UDP is blocked: it finds another way, and says which."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect, sync_playwright

from fieldcoach.tools.bench.chromium import FLAGS, microphone_flags

from .conftest import Running
from .test_browser import microphone_file, phone_page

NO_UDP = ("--force-webrtc-ip-handling-policy", "--webrtc-ip-handling-policy=disable_non_proxied_udp")
"""As on a network that passes TCP to known ports only: no candidate but of TCP and relays."""


@contextmanager
def chromium_with(chromium: str, tmp_path: Path, *flags: str) -> Iterator[Browser]:
    wav = microphone_file("biscuits-no-space", tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                *FLAGS,
                *flags,
                *microphone_flags(wav),
            ],
        )
        yield browser
        browser.close()


def begin(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_test_id("consent").check()
    page.get_by_test_id("start").click()


@pytest.mark.browser
@pytest.mark.stack
@pytest.mark.timeout(120)
def test_without_udp_the_page_sends_by_websocket(system: Running, chromium: str, tmp_path: Path) -> None:
    errors: list[str] = []
    with chromium_with(chromium, tmp_path, *NO_UDP) as browser:
        page = phone_page(browser, errors)
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        begin(page, system.url)
        expect(page.get_by_test_id("path")).to_have_attribute("data-state", "websocket", timeout=15_000)
        assert any(url.endswith("/audio") for url in sockets)
        transcript = page.get_by_test_id("transcript")
        expect(transcript).to_contain_text("let me check your stock first", timeout=30_000)
        expect(page.get_by_test_id("cue")).to_be_visible(timeout=40_000)
        expect(page.get_by_test_id("state")).to_have_attribute("data-state", "live")
        assert not errors


@pytest.mark.browser
@pytest.mark.stack
@pytest.mark.timeout(60)
def test_when_nothing_works_the_page_says_so(system: Running, chromium: str, tmp_path: Path) -> None:
    def refuse(socket: WebSocketRoute) -> None:
        socket.close()

    with chromium_with(chromium, tmp_path, *NO_UDP) as browser:
        page = phone_page(browser, [])
        page.route_web_socket(re.compile(r".*/audio$"), refuse)
        begin(page, system.url)
        banner = page.get_by_test_id("banner")
        expect(banner).to_contain_text("Tried: directly (UDP), by WebSocket", timeout=15_000)
        expect(banner).to_contain_text("another network")
        expect(page.get_by_test_id("path")).to_have_count(0)
