"""Whole visits through a real coturn only: by TLS in a browser, by TCP from the scripted phone."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.support import installed

from .conftest import Running, start_system, stop_system
from .test_browser import phone_page
from .test_browser_ways import begin, chromium_with
from .test_turn import SECRET, free_port, running_turnserver

RELAY_ONLY = """
const Plain = RTCPeerConnection;
window.RTCPeerConnection = class extends Plain {
  constructor({ iceServers }) {
    const byTls = iceServers.map((one) => ({ ...one, urls: one.urls.filter((url) => /^turns:/.test(url)) }));
    super({ iceServers: byTls, iceTransportPolicy: "relay" });
  }
};
"""


@pytest.fixture(scope="module")
def turn_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """By TLS and by TCP."""
    folder = tmp_path_factory.mktemp("turn")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(installed("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", certificate, "-keyout", key),
        ],
        check=True,
        capture_output=True,
    )
    tls, tcp = free_port(), free_port()
    with running_turnserver(
        folder, tcp, tls_listening_port=tls, cert=certificate, pkey=key, allowed_peer_ip="127.0.0.1"
    ):
        yield f"turns:127.0.0.1:{tls}?transport=tcp", f"turn:127.0.0.1:{tcp}?transport=tcp"


@pytest.fixture(scope="module")
def relayed_system(turn_urls: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_system(tmp_path_factory.mktemp("run"), TURN_URLS=",".join(turn_urls), TURN_SECRET=SECRET)
    yield running
    assert stop_system(running) == 0


@pytest.mark.browser
@pytest.mark.stack
@pytest.mark.timeout(120)
def test_a_visit_of_a_browser_by_turn_over_tls(
    turn_urls: tuple[str, str], relayed_system: Running, chromium: str, tmp_path: Path
) -> None:
    with chromium_with(chromium, tmp_path, "--ignore-certificate-errors") as browser:
        page = phone_page(browser, [])
        page.add_init_script(RELAY_ONLY)
        begin(page, relayed_system.url)
        expect(page.get_by_test_id("path")).to_have_attribute("data-state", "relay", timeout=15_000)
        expect(page.get_by_test_id("transcript")).to_contain_text(
            "let me check your stock first", timeout=30_000
        )
