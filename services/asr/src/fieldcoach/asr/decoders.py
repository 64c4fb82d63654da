"""The threads that decode: a bounded pool fed by the scheduler, one job per thread at a time.

Nothing waits inside the pool, so the next job is always chosen with what is known now.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .engines.base import Engine, Segment
from .errors import DecodeFailed
from .jobs import Decoded, Job
from .scheduler import Scheduler

log = logging.getLogger(__name__)

Begin = Callable[[Job], Segment | None]
End = Callable[[Job, Decoded], None]


class Decoders:
    """Runs the scheduler's jobs. Everything but `engine.decode` happens in the event loop."""

    def __init__(self, engine: Engine, threads: int, scheduler: Scheduler, begin: Begin, end: End) -> None:
        self._engine = engine
        self._threads = threads
        self._scheduler = scheduler
        self._begin = begin
        self._end = end
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._running: set[asyncio.Future[Decoded]] = set()
        self.started = 0
        """Decodes so far."""
        self.worked_s = 0.0
        """Their time together."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._running and not len(self._scheduler)

    def dispatch(self) -> None:
        """Start what can be started."""
        while len(self._running) < self._threads:
            job = self._scheduler.next(time.monotonic())
            if job is None:
                return
            segment = self._begin(job)
            if segment is not None:
                self._start(job, segment)

    def _start(self, job: Job, segment: Segment) -> None:
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._decode, segment)
        self._running.add(future)
        self.started += 1

        def done(finished: asyncio.Future[Decoded]) -> None:
            self._running.discard(finished)
            if finished.cancelled():
                return
            decoded = finished.result()
            self.worked_s += decoded.ended_at - decoded.started_at
            self._end(job, decoded)
            self.dispatch()

        future.add_done_callback(done)

    def _decode(self, segment: Segment) -> Decoded:
        started_at = time.monotonic()
        try:
            hypothesis = self._engine.decode(segment)
        except DecodeFailed as error:
            log.warning("decode failed", extra={"error": str(error), "session": segment.session})
            hypothesis = None
        except Exception as error:  # an engine's bug must not cost the other sessions their decoder
            log.error("engine broke", extra={"error": type(error).__name__, "session": segment.session})
            hypothesis = None
        return Decoded(hypothesis, started_at, time.monotonic())

    def stop(self) -> None:
        """Start nothing more and let the threads end. What runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
