"""`fieldcoach bench network --wire`: what speech costs on the wire at each rung, in a real Chromium.

The page of the product against a stack that holds the rung, and for comparison Chromium's default against
stock aiortc's answer; the phone in Python sends the same speech. The microphone plays the lines of the
visits without the pauses between them, so DTX saves nothing here.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole
from rich.console import Console
from rich.table import Table

from ..phone.profile import LADDER
from ..stack import Stack, StackOptions
from .chromium import CONNECT_LIMIT_MS, IS_SENDING, KEEP_CONNECTIONS, Sent, chromium, write_microphone
from .delivered import sent_audio, wire_kbps
from .gold import load_visit, visits_in
from .long_visit import spoken_only
from .machine import machine
from .network import VISITS
from .network_plot import save_wire_plot

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

SETTLE_S = 4.0
"""The page applies the rung by a renegotiation of its own, within a second of being connected."""
MEASURE_S = 18.0
MICROPHONE_S = 40.0
QUICK_RUNGS = ("L3",)
QUICK_MEASURE_S = 6.0
GOALS = {"L2": 0.60, "L3": 0.74}
"""How much less than Chromium's default; and L3 at most 14 kbps."""
DEFAULT = "default"

_OFFER = """async () => {
  const connection = new RTCPeerConnection();
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  connection.addTrack(stream.getAudioTracks()[0], stream);
  await connection.setLocalDescription(await connection.createOffer());
  while (connection.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
  return connection.localDescription.sdp;
}"""
_ANSWER = "async (sdp) => window.connections[0].setRemoteDescription({ type: 'answer', sdp })"


async def bench_wire(
    root: Path, quick: bool, folder: Path | None, console: Console, plots: Path | None
) -> dict[str, Any]:
    """Measure every rung and the default.

    Raises:
        ToolError: a recording can't be read, there is no browser, or it did not connect.
    """
    before = machine()
    golds = (
        visits_in(folder, len(VISITS))
        if folder is not None
        else [load_visit(root / "visits" / f"{name}.json") for name in VISITS]
    )
    speech = spoken_only(golds, MICROPHONE_S)
    seconds = QUICK_MEASURE_S if quick else MEASURE_S
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="fieldcoach-bench-") as work:
        microphone = Path(work) / "speech.wav"
        write_microphone(microphone, speech)
        async with chromium(microphone) as browser:
            for rung in QUICK_RUNGS if quick else tuple(LADDER):
                options = StackOptions(root, Path(work) / rung, environment={"RUNG": rung})
                async with Stack(options) as stack:
                    if not found:
                        found[DEFAULT] = await _default(browser, stack.gateway_url, seconds)
                        _say(console, DEFAULT, found[DEFAULT])
                    found[rung] = await _page(browser, stack.gateway_url, seconds)
                _say(console, rung, found[rung])
    figures = _figures(found, speech) | {"quick": quick, "machine": before, "seconds": seconds}
    _print(console, figures)
    if plots is not None:
        for path in save_wire_plot(plots, figures):
            console.print(f"plot: {path}", highlight=False, soft_wrap=True)
    return figures


async def _page(browser: "Browser", url: str, seconds: float) -> dict[str, Any]:
    """The product's own page."""
    page = await browser.new_page()
    try:
        await page.add_init_script(KEEP_CONNECTIONS)
        await page.goto(url)
        await page.get_by_test_id("consent").check()
        await page.get_by_test_id("start").click()
        return await _measured(page, seconds)
    finally:
        await page.close()


async def _default(browser: "Browser", origin: str, seconds: float) -> dict[str, Any]:
    """What Chromium sends when nobody asks it for anything. `origin` lends its secure context."""
    far = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    sink = MediaBlackhole()
    far.on("track", sink.addTrack)
    page = await browser.new_page()
    try:
        await page.add_init_script(KEEP_CONNECTIONS)
        await page.goto(origin)
        offer = RTCSessionDescription(await page.evaluate(_OFFER), "offer")
        await far.setRemoteDescription(offer)
        await far.setLocalDescription(await far.createAnswer())
        await sink.start()
        await page.evaluate(_ANSWER, far.localDescription.sdp)
        return await _measured(page, seconds)
    finally:
        await page.close()
        await sink.stop()
        await far.close()


async def _measured(page: "Page", seconds: float) -> dict[str, Any]:
    await page.wait_for_function(IS_SENDING, timeout=CONNECT_LIMIT_MS)
    await asyncio.sleep(SETTLE_S)
    before = await Sent.by(page)
    await asyncio.sleep(seconds)
    return (await Sent.by(page)).since(before)


def _figures(found: dict[str, dict[str, Any]], speech: bytes) -> dict[str, Any]:
    wire = {name: one["wire_kbps"] for name, one in found.items()}
    return {
        "bench": "network",
        "part": "wire",
        "wire_kbps": {name: kbps for name, kbps in wire.items() if name != DEFAULT},
        "default_kbps": wire[DEFAULT],
        "saved": {name: round(1 - kbps / wire[DEFAULT], 3) for name, kbps in wire.items() if name != DEFAULT},
        "goals": {"saved": GOALS, "wire_kbps": {"L3": 14.0}},
        "wire_kbps_phone": {
            rung: round(wire_kbps(sent_audio(speech, profile), MICROPHONE_S), 1)
            for rung, profile in LADDER.items()
        },
        "chromium": found,
    }


def _print(console: Console, figures: dict[str, Any]) -> None:
    table = Table(title="bench network --wire: kbps while speaking", title_justify="left")
    table.add_column("rung")
    for name in ("Chromium", "payload", "packets/s", "RTP header B", "below default", "phone in Python"):
        table.add_column(name, justify="right")
    for name, one in figures["chromium"].items():
        saved, phone = figures["saved"].get(name), figures["wire_kbps_phone"].get(name)
        table.add_row(
            name,
            f"{one['wire_kbps']:.1f}",
            f"{one['payload_kbps']:.1f}",
            f"{one['packets_per_s']:.1f}",
            f"{one['rtp_header_bytes']:.0f}",
            "-" if saved is None else f"{100 * saved:.0f} %",
            "-" if phone is None else f"{phone:.1f}",
        )
    console.print(table)


def _say(console: Console, name: str, one: dict[str, Any]) -> None:
    console.print(f"{name}: {one['wire_kbps']:.1f} kbps", highlight=False)
