"""A range that came late, of a session that goes elsewhere meanwhile."""

import asyncio
from typing import Any, cast

import pytest

from fieldcoach.asr.actions import Action
from fieldcoach.asr.late import Filled, LateRanges, Outbound
from fieldcoach.asr.recogniser import SessionRecogniser
from fieldcoach.asr.scheduler import Scheduler
from fieldcoach.asr.session import Session
from fieldcoach.asr.telemetry import AsrTelemetry
from fieldcoach.common.messages import BackfillAudio, BackfillReply, ClaimRequest

from .asr_bench import RULES, SESSION, LoudnessDetector, ScriptedEngine, chunks_of, silence

EPOCH = 1


class Detectors:
    """In the model's place."""

    def stream(self) -> LoudnessDetector:
        return LoudnessDetector()


class Idle:
    """In the decoders' place: silence needs none."""

    def dispatch(self) -> None:
        pass


class LateBench:
    """One session that has heard 60 ms, and a range that lies behind them."""

    def __init__(self) -> None:
        claim = ClaimRequest(session=SESSION, epoch=EPOCH, from_seq=0, ingest="i" * 26)
        recogniser = SessionRecogniser(SESSION, ("en",), RULES, LoudnessDetector())
        self.session = Session(claim, recogniser, 0.0)
        self.hear(0)
        self.sessions = {SESSION: self.session}
        self.outbound: Outbound = asyncio.Queue()
        self.telemetry = AsrTelemetry()
        self.late = LateRanges(
            cast(Any, None), lambda _: RULES, self.sessions, Scheduler(), self.outbound, self.telemetry
        )
        self.late.open(ScriptedEngine(), cast(Any, Detectors()), cast(Any, Idle()))

    def hear(self, seq: int) -> list[Action]:
        self.session.receive(chunks_of(silence(0.12), epoch=EPOCH)[seq], 0.0)
        return self.session.listen()

    async def serve(self) -> BackfillReply:
        audio = BackfillAudio(
            session=SESSION,
            range=1,
            first_sample=0,
            hole_first_sample=0,
            hole_end_sample=1_920,
            late_ms=0,
            pcm=bytes(3_840),
        )
        return await asyncio.wait_for(self.late.serve(audio.encode()), 10)


async def taken(bench: LateBench) -> None:
    while not bench.session.backfills:
        await asyncio.sleep(0)


async def heard(bench: LateBench) -> None:
    while not bench.session.late:
        await asyncio.sleep(0)


async def test_it_is_answered_when_the_live_transcript_is_past_it() -> None:
    bench = LateBench()
    served = asyncio.ensure_future(bench.serve())
    await asyncio.wait_for(heard(bench), 10)
    assert bench.outbound.empty()
    bench.hear(1)
    bench.late.tell(bench.session)
    _, filled = bench.outbound.get_nowait()
    assert isinstance(filled, Filled)
    filled.done.set()
    assert await served == BackfillReply(accepted=True)


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_session_that_is_released_leaves_no_range_waiting(is_heard: bool) -> None:
    bench = LateBench()
    served = asyncio.ensure_future(bench.serve())
    async with asyncio.timeout(10):
        await (heard if is_heard else taken)(bench)
    assert bool(bench.session.late) is is_heard
    del bench.sessions[SESSION]
    bench.late.release(bench.session)
    assert await served == BackfillReply(accepted=False, reason="unclaimed")
    assert bench.outbound.empty()
