"""The whole ingest service with its phones inside the process: they speak whatever becomes of the bus.

`python -m fieldcoach.ingest.bench.phones --audio visits/x.flac --sessions 60`, settings as of any ingest.
Each session plays the visit in a loop from its own place (`common.looped`), in Opus packets of 40 ms
through `OpusSource`, so that everything behind the socket is the real thing. A line of JSON says when all are
heard by a worker; another one, at the end (SIGTERM), when each session's chunks went to whom.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import av
import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.bus import Bus
from fieldcoach.common.ids import new_id
from fieldcoach.common.lifecycle import run
from fieldcoach.common.looped import LoopedScript
from fieldcoach.common.messages import OpusFrames, OpusPacket, SignalReply, SignalRequest
from fieldcoach.common.opus import OpusEncoder

from ..opus_source import take
from ..service import IngestService
from ..session import Session
from ..settings import IngestSettings

log = logging.getLogger(__name__)

PACKET_MS: Final = 40
PACKET_S: Final = PACKET_MS / 1e3
TICKS: Final = 48 * PACKET_MS
TURN_S: Final = 0.01
GAP_S: Final = 0.3
"""A live session sends a chunk every 60 or 80 ms; a longer pause between two is told."""


def encode(audio: Path, script: LoopedScript) -> list[bytes]:
    """The recording as Opus packets, cut to the length of the loop."""
    with av.open(str(audio)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    pcm = np.concatenate(frames, axis=1)[0][: script.length].astype("<i2")
    encoder = OpusEncoder(sample_rate=SAMPLE_RATE, bitrate=16_000, frame_ms=PACKET_MS)
    step = SAMPLE_RATE * PACKET_MS // 1_000
    packets = [encoder.encode(pcm[at : at + step].tobytes()) for at in range(0, len(pcm) - step + 1, step)]
    encoder.close()
    return packets


class Phone:
    """One session's microphone."""

    def __init__(self, packets: list[bytes], offset: int, began: float) -> None:
        self._packets = packets
        self._place = offset * 1_000 // (SAMPLE_RATE * PACKET_MS)
        self._began = began
        self._sent = 0

    def due(self, now: float) -> list[OpusPacket]:
        """What has been spoken since the last call."""
        spoken = int((now - self._began) / PACKET_S)
        numbers = range(self._sent, max(self._sent, spoken))
        self._sent = max(self._sent, spoken)
        return [
            OpusPacket(
                sequence=number & 0xFFFF,
                timestamp=number * TICKS & 0xFFFFFFFF,
                payload=self._packets[(self._place + number) % len(self._packets)],
            )
            for number in numbers
        ]


class Course:
    """When a session's chunks went out, where that changed: another worker, or after a pause."""

    def __init__(self, session: Session) -> None:
        self.changes: list[tuple[float, str, int]] = []
        self._last = (0.0, "")
        self._delivery = session.delivery
        # the one path by which chunks leave is the place to watch; it is wrapped, not changed
        self._sent: Callable[[float], None] = session.delivery.sent
        session.delivery.sent = self._watch  # type: ignore[method-assign]

    def _watch(self, now: float) -> None:
        at, worker = self._last
        present = self._delivery.worker or ""
        if present != worker or now - at > GAP_S:
            self.changes.append((round(now, 4), present, self._delivery.epoch))
        self._last = now, present
        self._sent(now)


class Phones:
    """The service, and who speaks into it."""

    def __init__(self, settings: IngestSettings, bus: Bus, options: argparse.Namespace) -> None:
        self._service = IngestService(settings, bus)
        self._bus = bus
        self._count: int = options.sessions
        script = LoopedScript.from_json(options.audio.with_suffix(".json").read_text())
        self._script = script
        self._packets = encode(options.audio, script)
        self._courses: dict[str, Course] = {}
        self._speaking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the service and all phones."""
        await self._service.start()
        self._speaking = asyncio.create_task(self._speak())
        self._speaking.add_done_callback(_tell_failure)

    def why_not_ready(self) -> str | None:
        """As the service's."""
        return self._service.why_not_ready()

    async def drain(self) -> None:
        """Stop the phones, tell what was seen, stop the service."""
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)
        self._say({"courses": {name: course.changes for name, course in self._courses.items()}})
        await self._service.drain()

    async def _speak(self) -> None:
        phones: dict[str, tuple[str, Phone]] = {}
        for number in range(self._count):
            session, source = new_id(), new_id()
            request = SignalRequest(action="audio", session=session, resource=source)
            subject = self._bus.subjects.signal(self._service.id)
            reply = await self._bus.request(subject, request, SignalReply, timeout_s=5)
            assert reply.problem is None, reply.problem
            began = time.monotonic() + number * PACKET_S / self._count
            phones[session] = source, Phone(self._packets, self._script.offset(session), began)
            self._courses[session] = Course(self._service.sessions[session])
        is_told = False
        while True:
            now = time.monotonic()
            for session, (source, phone) in phones.items():
                packets = phone.due(now)
                here = self._service.sessions.get(session)
                if packets and here is not None:
                    frames = OpusFrames(
                        session=session, source=source, purpose="live", packets=tuple(packets)
                    )
                    take(here, frames, now, self._service.telemetry.packets.add)
            if not is_told and all(course.changes for course in self._courses.values()):
                is_told = True
                self._say({"ingest": self._service.id, "sessions": list(phones)})
            await asyncio.sleep(TURN_S)

    @staticmethod
    def _say(what: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("the phones fell silent", exc_info=task.exception())


def main() -> None:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog="fieldcoach.ingest.bench.phones")
    parser.add_argument("--audio", type=Path, required=True, help="a recorded visit, its .json beside it")
    parser.add_argument("--sessions", type=int, default=60)
    options = parser.parse_args()

    def build(settings: IngestSettings, bus: Bus) -> Phones:
        return Phones(settings, bus, options)

    run("ingest", IngestSettings, build)


if __name__ == "__main__":
    main()
