"""The phones of a soak: they come, speak for as long as they stay, and go, some of them without a word."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final

from aiortc import RTCCertificate

from fieldcoach.common.opus import OpusEncoder, is_dtx

from ..errors import Refused, ToolError
from ..phone.api import GatewayApi
from ..phone.channel import EventChannel
from ..phone.clocks import WallClock
from ..phone.profile import SendProfile
from .light_phone import LightPhone

PTIME_MS: Final = 60
BITRATE: Final = 12_000
"""Rung L2, as most phones are on; the phones stay on it, as `fieldcoach visit --profile L2` does."""
TICKS: Final = 48 * PTIME_MS


def speech_packets(pcm: bytes) -> list[tuple[int, bytes]]:
    """(frame number, Opus packet) of a recording; of a silence the first packet only, as a browser."""
    encoder = OpusEncoder(bitrate=BITRATE, frame_ms=PTIME_MS)
    size = 2 * encoder.frame_samples
    found: list[tuple[int, bytes]] = []
    was_dtx = False
    for number in range(len(pcm) // size):
        payload = encoder.encode(pcm[number * size : (number + 1) * size])
        silent = is_dtx(payload)
        if not (silent and was_dtx):
            found.append((number, payload))
        was_dtx = silent
    encoder.close()
    return found


class SoakPhone:
    """One visit: session, media, events channel."""

    def __init__(self, api: GatewayApi, certificate: RTCCertificate) -> None:
        self._api = api
        self._light = LightPhone(certificate)
        self._channel: EventChannel | None = None
        self._listening: asyncio.Task[None] | None = None
        self._session: dict[str, Any] = {}
        self._answers: set[asyncio.Task[None]] = set()

    async def begin(self, token: str) -> None:
        """Signalling through the gateway, then media.

        Raises:
            ToolError: no place, or no media.
        """
        request = {"consent": {"given": True, "language": "en", "version": "soak"}}
        self._session = session = await self._api.create_session(token, request)
        self._channel = EventChannel(
            self._api, session["events_url"], session["session_token"], self._on_event, WallClock()
        )
        self._listening = asyncio.create_task(self._channel.run())
        answer, _ = await self._api.offer(
            session["whip_url"], session["session_token"], await self._light.offer()
        )
        await self._light.connect(answer)

    def _on_event(self, event: dict[str, Any]) -> None:
        if event.get("type") == "profile" and self._channel is not None:
            applied = {"type": "applied", "command": event.get("command"), "rung": _rung(event)}
            task = asyncio.create_task(self._channel.send(applied))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def speak(self, tick: int, payload: bytes) -> None:
        """One packet."""
        with suppress(ConnectionError):
            await self._light.send_audio(tick, payload)

    @property
    def packets(self) -> int:
        """Sent so far."""
        return self._light.packets

    async def end(self) -> None:
        """The user ends the visit."""
        assert self._channel is not None
        with suppress(ToolError):
            await self._api.end_session(self._session["end_url"], self._channel.token)
        await self._light.hang_up()
        await self._stop_listening()

    async def vanish(self) -> None:
        """The phone is gone without a word."""
        await self._stop_listening()
        await self._light.vanish()

    async def _stop_listening(self) -> None:
        tasks = [*self._answers, *([self._listening] if self._listening else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reason(error: ToolError) -> str:
    if isinstance(error, Refused):
        return f"{error.status}-{str(error.problem.get('type')).rpartition(':')[2]}"
    return type(error).__name__


def _rung(event: dict[str, Any]) -> str:
    return SendProfile.from_fields(event).rung


class SoakPhones:
    """All of them, and the clock that they speak by."""

    def __init__(self, api: GatewayApi, token: str, packets: list[tuple[int, bytes]]) -> None:
        self._api = api
        self._token = token
        self._packets = packets
        self._frames = packets[-1][0] + 1
        self._certificate = RTCCertificate.generateCertificate()
        self._phones: list[SoakPhone] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.sent = 0
        self.late_s = 0.0
        """The worst delay of a frame against its moment: above a packet time the machine is too busy."""

    @property
    def live(self) -> int:
        """Phones that speak."""
        return len(self._phones)

    async def add(self) -> None:
        """A visit begins."""
        phone = SoakPhone(self._api, self._certificate)
        try:
            await phone.begin(self._token)
        except ToolError as error:
            why = _reason(error)
            self.counts[f"failed-{why}"] += 1
            await phone.vanish()
            return
        except asyncio.CancelledError:  # the run is over
            await phone.vanish()
            raise
        self.counts["begun"] += 1
        self._phones.append(phone)

    async def leave(self, is_silent: bool) -> None:
        """The oldest visit ends, or its phone vanishes."""
        if not self._phones:
            return
        phone = self._phones.pop(0)
        self.sent += phone.packets
        self.counts["vanished" if is_silent else "ended"] += 1
        await (phone.vanish() if is_silent else phone.end())

    async def speak(self) -> None:
        """All speak, spread over the packet time, until cancelled. The recording is said again and again."""
        at = dict(self._packets)
        begun = time.monotonic()
        frame = 0
        while True:
            payload = at.get(frame % self._frames)
            phones = list(self._phones)
            for number, phone in enumerate(phones):
                if number % 10 == 0:  # a tenth of the phones at a time, so that they do not fall together
                    due = begun + PTIME_MS / 1e3 * (frame + number / len(phones))
                    wait = due - time.monotonic()
                    self.late_s = max(self.late_s, -wait)
                    await asyncio.sleep(max(0.0, wait))
                if payload is not None:
                    await phone.speak(frame * TICKS, payload)
            frame += 1
            await asyncio.sleep(max(0.0, begun + PTIME_MS / 1e3 * frame - time.monotonic()))

    async def close(self) -> None:
        """Everybody hangs up."""
        while self._phones:
            await asyncio.gather(*(self.leave(is_silent=False) for _ in range(10)))
