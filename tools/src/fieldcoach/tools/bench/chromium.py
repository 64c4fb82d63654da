"""A real Chromium whose microphone plays what it is given, and what its connection has sent, as it counts."""

import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import BenchError

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Headless on a machine without a screen, and silent towards the internet."""
MICROPHONE_RATE = 48_000
CONNECT_LIMIT_MS = 20_000
KEEP_CONNECTIONS = """
const Plain = RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = class extends Plain {
  constructor(...given) { super(...given); window.connections.push(this); }
};
"""
"""Before the page's own script: its connections can be asked for their statistics."""
IS_SENDING = "() => window.connections.some((one) => one.connectionState === 'connected')"
_SENT = """async () => {
  const found = { bytes: 0, header_bytes: 0, packets: 0, at_ms: 0 };
  for (const connection of window.connections) {
    (await connection.getStats()).forEach((entry) => {
      if (entry.type !== "outbound-rtp" || entry.kind !== "audio") return;
      found.bytes += entry.bytesSent;
      found.header_bytes += entry.headerBytesSent;
      found.packets += entry.packetsSent;
      found.at_ms = Math.max(found.at_ms, entry.timestamp);
    });
  }
  return found;
}"""
IP_UDP_TAG_BYTES = 38
"""IPv4 20, UDP 8, and the authentication tag of SRTP 10."""


def microphone_flags(wav: Path, loop: bool = False) -> tuple[str, ...]:
    """A microphone that plays this file (48 kHz mono), once or for ever, and is allowed unasked."""
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={wav}{'' if loop else '%noloop'}",
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """What a page's audio senders have sent so far: of RTP, payload and headers apart."""

    bytes: int
    header_bytes: int
    packets: int
    at_ms: float

    @classmethod
    async def by(cls, page: "Page") -> Self:
        """Ask the page."""
        return cls(**await page.evaluate(_SENT))

    def since(self, before: "Sent") -> dict[str, Any]:
        """Rates between the two moments.

        Raises:
            BenchError: nothing was sent.
        """
        packets, ms = self.packets - before.packets, self.at_ms - before.at_ms
        if packets <= 0 or ms <= 0:
            raise BenchError("the browser sent no audio; look at its console")
        payload, header = self.bytes - before.bytes, self.header_bytes - before.header_bytes
        return {
            "wire_kbps": round(8 * (payload + header + IP_UDP_TAG_BYTES * packets) / ms, 1),
            "payload_kbps": round(8 * payload / ms, 1),
            "packets_per_s": round(1e3 * packets / ms, 1),
            "rtp_header_bytes": round(header / packets, 1),
        }


@asynccontextmanager
async def chromium(microphone: Path) -> "AsyncIterator[Browser]":
    """Start one that plays this WAV file over and over.

    Raises:
        BenchError: no Chromium on this machine, or no Playwright to drive it.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise BenchError(f"--wire: none of {', '.join(PROGRAMS)} on the PATH; install Chromium")
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        raise BenchError("--wire: Playwright is not installed; run `uv sync`") from None
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            headless=True,
            args=[*FLAGS, *microphone_flags(microphone, loop=True)],
        )
        try:
            yield browser
        finally:
            await browser.close()


def write_microphone(path: Path, pcm: bytes) -> None:
    """16 kHz mono s16 as the WAV file that Chromium's fake microphone takes (48 kHz mono)."""
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, dtype="<i2")[None, :], "s16", "mono")
    frame.sample_rate = SAMPLE_RATE
    resampler = av.AudioResampler("s16", "mono", MICROPHONE_RATE)
    with wave.open(str(path), "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(MICROPHONE_RATE)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            sink.writeframes(piece.to_ndarray().tobytes())
