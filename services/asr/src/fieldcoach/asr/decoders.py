"""The threads that decode: a bounded pool fed by the scheduler, one job or one batch per thread at a time.

Nothing waits inside the pool, so the next job is always chosen with what is known now.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .engines.base import Engine, Hypothesis, Segment, decode_or_none
from .jobs import Decoded, Job
from .scheduler import Scheduler

log = logging.getLogger(__name__)

Begin = Callable[[Job], Segment | None]
End = Callable[[Job, Decoded], None]


class Decoders:
    """Runs the scheduler's jobs. Everything but `engine.decode` happens in the event loop."""

    def __init__(
        self,
        engine: Engine,
        threads: int,
        scheduler: Scheduler,
        begin: Begin,
        end: End,
        *,
        batch: int = 1,
    ) -> None:
        self._engine = engine
        self._threads = threads
        self._scheduler = scheduler
        self._begin = begin
        self._end = end
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._batch = batch
        self._running: set[asyncio.Future[list[Decoded]]] = set()
        self.started = 0
        """Decodes so far."""
        self.worked_s = 0.0
        """Their time together."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._running and not len(self._scheduler)

    def dispatch(self) -> None:
        """Start what can be started.

        With batches, what has come together while all threads were busy goes out in one call: nobody waits
        for company while a thread is free.
        """
        while len(self._running) < self._threads:
            work: list[tuple[Job, Segment]] = []
            while len(work) < self._batch:
                job = self._scheduler.next(time.monotonic())
                if job is None:
                    break
                segment = self._begin(job)
                if segment is not None:
                    work.append((job, segment))
            if not work:
                return
            self._start(work)

    def _start(self, work: list[tuple[Job, Segment]]) -> None:
        segments = [segment for _, segment in work]
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._decode, segments)
        self._running.add(future)
        self.started += len(work)

        def done(finished: asyncio.Future[list[Decoded]]) -> None:
            self._running.discard(finished)
            if finished.cancelled():
                return
            for (job, _), decoded in zip(work, finished.result(), strict=True):
                self.worked_s += decoded.cost_s
                self._end(job, decoded)
            self.dispatch()

        future.add_done_callback(done)

    def _decode(self, segments: list[Segment]) -> list[Decoded]:
        started_at = time.monotonic()
        found: list[Hypothesis | None]
        try:
            if len(segments) == 1:
                found = [decode_or_none(self._engine, segments[0])]
            else:
                found = self._engine.decode_many(segments)
        except Exception as error:  # an engine's bug must not cost the other sessions their decoder
            log.error("engine broke", extra={"error": type(error).__name__, "session": segments[0].session})
            found = [None] * len(segments)
        ended_at = time.monotonic()
        return [Decoded(hypothesis, started_at, ended_at, len(segments)) for hypothesis in found]

    def stop(self) -> None:
        """Start nothing more and let the threads end. What runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
