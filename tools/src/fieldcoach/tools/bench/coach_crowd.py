"""Many visits at once at one coach: a real process on a real bus, fed with finals at the pace of visits."""

import asyncio
import heapq
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.bus import Bus
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    Cue,
    FinalTranscript,
    SessionCreated,
    SessionEnding,
    Timing,
    decode_event,
)
from fieldcoach.common.numbering import EventNumbers, unix_ms
from fieldcoach.common.telemetry import Headers

from ..errors import BenchError
from ..percentiles import summary_ms
from ..stack.nats import find_nats_server, read_port, write_config
from ..stack.plan import service_command
from ..stack.ports import HOST, free_ports
from ..stack.process import Process
from .asr.workers import cpu_s
from .gold import GoldLine, visits_in

REGION: Final = "bench"
READY_S: Final = 30.0
GRACE_S: Final = 10.0
BETWEEN_S: Final = 1.0
"""From a visit's last line to its first, said again."""
HELD_MS: Final = 1_000.0
"""A cue that comes later after its final was held back by a limit; it is counted and not timed."""


@dataclass
class _Visit:
    """One session: whose lines are said when, and what came back."""

    lines: tuple[GoldLine, ...]
    at: int
    """Index of the next line."""
    session: str = field(default_factory=new_id)
    numbers: EventNumbers = field(default_factory=EventNumbers)
    clock_s: float = 0.0
    cue_ms: list[float] = field(default_factory=list)
    held: int = 0

    def take(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        event = decode_event(payload)
        if isinstance(event, Cue) and event.trigger_timing is not None:
            took = unix_ms() - event.trigger_timing.published_at
            if took > HELD_MS:
                self.held += 1
            else:
                self.cue_ms.append(took)

    def next_final(self) -> tuple[FinalTranscript, float]:
        """The next line as a final, and in how many seconds the one after it is due."""
        line = self.lines[self.at % len(self.lines)]
        self.at += 1
        following = self.lines[self.at % len(self.lines)]
        pause = following.start - line.end if following.start > line.end else BETWEEN_S
        start, self.clock_s = self.clock_s, self.clock_s + line.end - line.start
        now = unix_ms()
        final = FinalTranscript(
            session=self.session,
            epoch=1,
            utterance=self.at,
            n=self.numbers.next(),
            first_sample=round(start * SAMPLE_RATE),
            end_sample=round(self.clock_s * SAMPLE_RATE),
            text=line.text,
            language="en",
            confidence=0.9,
            engine="bench",
            model="script",
            timing=Timing(heard_at=now, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=now),
        )
        self.clock_s += pause
        return final, pause + following.end - following.start


async def coach_crowd(root: Path, visits: int, seconds: float) -> dict[str, Any]:
    """Let so many visits go on at once for so long.

    Raises:
        ToolError: the bus or the coach does not start.
    """
    with tempfile.TemporaryDirectory(prefix="fieldcoach-bench-") as folder:
        nats = Process(
            "nats",
            [str(find_nats_server()), "-c", str(write_config(Path(folder) / "nats"))],
            dict(os.environ),
        )
        await nats.start()
        try:
            port = await read_port(Path(folder) / "nats", nats.ended)
            if port is None:
                raise BenchError(f"nats-server ended: {' '.join(nats.lines)}")
            return await _with_coach(root, f"nats://{HOST}:{port}", visits, seconds)
        finally:
            await nats.stop(GRACE_S)


async def _with_coach(root: Path, nats_url: str, visits: int, seconds: float) -> dict[str, Any]:
    health_port = free_ports(1)[0]
    made = {
        "NATS_URL": nats_url,
        "REGION": REGION,
        "HEALTH_HOST": HOST,
        "HEALTH_PORT": str(health_port),
        "PLAYBOOKS_DIR": str(root / "playbooks"),
        "COACH_MAX_SESSIONS": str(visits),
        "DRAIN_TIMEOUT_S": "3",
    }
    coach = Process("coach", service_command("coach"), {**os.environ, **made})
    await coach.start()
    bus = Bus(nats_url, REGION, "bench")
    try:
        await bus.connect()
        await _ready(f"http://{HOST}:{health_port}/readyz", coach)
        return await _play(bus, coach, _visits(root, visits), seconds)
    finally:
        await bus.drain()
        await coach.stop(GRACE_S)


def _visits(root: Path, number: int) -> list[_Visit]:
    scripts = [visit for visit in visits_in(root / "visits", 100) if visit.language == "en"]
    return [
        _Visit(script.lines, n // len(scripts) % len(script.lines))
        for n, script in ((n, scripts[n % len(scripts)]) for n in range(number))
    ]


async def _ready(url: str, coach: Process) -> None:
    deadline = time.monotonic() + READY_S
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < deadline and not coach.ended.is_set():
            try:
                async with http.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    raise BenchError(f"the coach did not become ready: {' '.join(list(coach.lines)[-3:])}")


async def _play(bus: Bus, coach: Process, visits: list[_Visit], seconds: float) -> dict[str, Any]:
    for visit in visits:
        await bus.subscribe(bus.subjects.cue(visit.session), visit.take)
        created = SessionCreated(
            session=visit.session,
            n=visit.numbers.next(),
            ingest=visit.session,
            playbook="outlet-en",
            created_at=unix_ms(),
        )
        await bus.publish_event(created)
    assert coach.pid is not None
    before, begun, late_s, finals = cpu_s(coach.pid), time.monotonic(), 0.0, 0
    queue = [(begun + 3.0 * n / len(visits), n) for n in range(len(visits))]
    heapq.heapify(queue)
    while queue[0][0] < begun + seconds:
        due, place = queue[0]
        wait = due - time.monotonic()
        late_s = max(late_s, -wait)
        await asyncio.sleep(max(0.0, wait))
        final, pause = visits[place].next_final()
        await bus.publish_event(final)
        finals += 1
        heapq.heapreplace(queue, (due + pause, place))
    used, elapsed = cpu_s(coach.pid) - before, time.monotonic() - begun
    for visit in visits:
        await bus.publish_event(SessionEnding(session=visit.session, n=visit.numbers.next(), reason="user"))
    cue_ms = [one for visit in visits for one in visit.cue_ms]
    return {
        "visits": len(visits),
        "seconds": round(elapsed, 1),
        "finals": finals,
        "cues": len(cue_ms),
        "held_back": sum(visit.held for visit in visits),
        "final_to_cue_ms": summary_ms(cue_ms, 50, 95),
        "cpu_ms_per_visit_s": round(1e3 * used / elapsed / len(visits), 3),
        "cpu_share": round(used / elapsed, 3),
        "worst_send_delay_ms": round(1e3 * late_s, 1),
    }
