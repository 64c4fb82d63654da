"""The same with processes: a real nats-server, the ingest with its phones, two workers that hear by script.

One visit with a chain of faults; `fieldcoach bench failover` has each fault by itself, with sixty sessions.
"""

import asyncio
import os
import signal
from pathlib import Path

from fieldcoach.common.looped import LoopedScript
from fieldcoach.tools.bench.failover_counts import Cost, cost_of
from fieldcoach.tools.bench.failover_stage import Stage

AUDIO = Path(__file__).parents[2] / "visits" / "biscuits-no-space.flac"
SESSIONS = 6


async def test_no_fault_costs_a_word() -> None:
    script = LoopedScript.from_json(AUDIO.with_suffix(".json").read_text())
    async with Stage(AUDIO, SESSIONS) as stage:
        first, second = list(stage.workers.values())
        assert first.pid is not None
        assert second.pid is not None

        async def hear(finals: int) -> None:
            """Until every session has told so many lines more."""
            due = {name: len(reading.finals) + finals for name, reading in stage.readings.items()}
            async with asyncio.timeout(30):
                while any(len(stage.readings[name].finals) < count for name, count in due.items()):
                    await stage.changed()

        await hear(1)
        os.kill(first.pid, signal.SIGSTOP)
        await hear(1)
        os.kill(first.pid, signal.SIGCONT)
        await stage.kill_nats()
        await stage.start_nats()
        await hear(1)
        os.kill(second.pid, signal.SIGKILL)
        await hear(1)
        await stage.end_sessions()
        courses = await stage.courses()
        cost = sum((cost_of(script, reading) for reading in stage.readings.values()), Cost())
    assert cost.lines >= 3 * SESSIONS
    assert cost == Cost(lines=cost.lines)
    workers = list(stage.workers)
    assert {course[-1][1] for course in courses} == {workers[0]}, "the one that was stopped is as good as new"
