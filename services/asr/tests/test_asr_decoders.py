"""The decoding threads: what goes out together, and what an engine that breaks costs."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.support import until

from fieldcoach.asr.decoders import Decoders
from fieldcoach.asr.engines.base import Hypothesis, Segment
from fieldcoach.asr.engines.whisper import WhisperEngine, WhisperOptions
from fieldcoach.asr.jobs import Decoded, Job, Kind
from fieldcoach.asr.scheduler import Scheduler

from .asr_bench import ROOT, ScriptedEngine, load_visit


class Gate(ScriptedEngine):
    """Fake: each call waits until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self.gate = threading.Semaphore(0)
        self.breaks = False

    def decode(self, segment: Segment) -> Hypothesis:
        return self._answer([segment])[0]

    def decode_many(self, segments: Sequence[Segment]) -> list[Hypothesis | None]:
        return [*self._answer(segments)]

    def _answer(self, segments: Sequence[Segment]) -> list[Hypothesis]:
        self.calls.append([segment.session for segment in segments])
        assert self.gate.acquire(timeout=10)
        if self.breaks:
            raise ZeroDivisionError
        return [Hypothesis(segment.session) for segment in segments]


class Rig:
    def __init__(self, batch: int) -> None:
        self.engine = Gate()
        self.ended: list[tuple[str, Decoded]] = []
        self.scheduler = Scheduler()
        self.decoders = Decoders(self.engine, 1, self.scheduler, self._begin, self._end, batch=batch)

    def _begin(self, job: Job) -> Segment | None:
        if job.session == "gone":
            return None
        return Segment(job.session, 0, np.zeros(16, np.float32), "en", is_final=True)

    def _end(self, job: Job, decoded: Decoded) -> None:
        self.ended.append((job.session, decoded))

    async def ask(self, *sessions: str) -> None:
        for n, session in enumerate(sessions):
            self.scheduler.submit(Job(session, 1, n, Kind.FINAL, deadline=1e9 + n))
        self.decoders.dispatch()

    async def finish(self, ended: int) -> None:
        for _ in range(10):
            self.engine.gate.release()
        await until(lambda: len(self.ended) == ended)
        self.decoders.stop()


async def test_what_came_together_while_all_were_busy_is_one_call() -> None:
    rig = Rig(batch=3)
    await rig.ask("a")
    await until(lambda: rig.engine.calls == [["a"]])  # a free thread waits for nobody
    await rig.ask("b", "gone", "c", "d", "e")
    await rig.finish(5)
    assert rig.engine.calls == [["a"], ["b", "c", "d"], ["e"]]
    texts = [(session, decoded.hypothesis and decoded.hypothesis.text) for session, decoded in rig.ended]
    assert texts == [(name, name) for name in "abcde"]
    shared = rig.ended[1][1]
    assert shared.cost_s == pytest.approx((shared.ended_at - shared.started_at) / 3)
    assert rig.decoders.started == 5
    assert rig.decoders.is_idle


async def test_without_batches_each_is_one_call() -> None:
    rig = Rig(batch=1)
    await rig.ask("a", "b", "c")
    await rig.finish(3)
    assert rig.engine.calls == [["a"], ["b"], ["c"]]


async def test_an_engine_that_breaks_costs_what_it_held_and_no_more() -> None:
    rig = Rig(batch=2)
    rig.engine.breaks = True
    await rig.ask("a", "b")
    rig.engine.gate.release()
    await until(lambda: len(rig.ended) == 2)
    assert [decoded.hypothesis for _, decoded in rig.ended] == [None, None]
    rig.engine.breaks = False
    await rig.ask("c")
    await rig.finish(3)
    assert rig.ended[2][1].hypothesis == Hypothesis("c")
    await asyncio.sleep(0)


def test_a_batch_of_several_sessions_says_what_each_alone_says() -> None:
    engine = WhisperEngine(ROOT / "models" / "outlet-en", "outlet-en", WhisperOptions(word_times=False))
    engine.open()
    samples, lines = load_visit("quick-order")
    segments = []
    for number, line in enumerate(lines[:6]):
        first, end = round(float(line["start"]) * 16_000), round(float(line["end"]) * 16_000)  # type: ignore[arg-type]
        pcm = samples[first - 3_200 : end + 3_200].astype(np.float32) / np.float32(32_768)
        segments.append(Segment(f"s{number}", first, pcm, "en", is_final=True))
    alone = [engine.decode(segment).text for segment in segments]
    bad = replace(segments[0], pcm=np.zeros((2, 2), np.float32))
    heard = engine.decode_many([*segments, bad])
    assert [found and found.text for found in heard] == [*alone, None]
    # previous texts of different lengths can't stand in one batch: there they are left out
    told = [replace(segment, context="hello " * n) for n, segment in enumerate(segments)]
    assert [found and found.text for found in engine.decode_many(told)] == alone
    retries = [replace(segment, is_retry=True) for segment in segments[:2]]
    assert [found and found.text for found in engine.decode_many(retries)] == alone[:2]
    engine.close()
