"""Everything that takes long at start: the engine, voice detection, and what one decode costs here."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from .engines.base import Engine, Segment
from .engines.choice import open_engine
from .engines.models import Progress
from .errors import AsrError
from .hot_words import load_hot_words
from .settings import AsrSettings
from .voice import Silero

log = logging.getLogger(__name__)

RELOAD_S: Final = 5.0
"""Between two tries to reach an engine that computes elsewhere."""
ROUNDS: Final = 3
LENGTH_S: Final = 3.0
"""A typical utterance."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker needs before it can take a session."""

    engine: Engine
    silero: Silero
    decode_s: float
    hot_words: dict[str, tuple[str, ...]]
    """By playbook; none for an engine that takes none."""


async def load(settings: AsrSettings, progress: Progress, not_yet: Callable[[str], None]) -> Loaded:
    """Load; while the engine is away, say why and try again.

    Raises:
        AsrError: as `open_engine`, but for `EngineAway`.
    """
    while True:
        try:
            return await _load_once(settings, progress)
        except AsrError as error:
            if not error.retryable:
                raise
            log.warning("not ready yet", extra={"error": str(error)})
            not_yet(str(error))
        await asyncio.sleep(RELOAD_S)


async def _load_once(settings: AsrSettings, progress: Progress) -> Loaded:
    """Load in a thread of its own, which a shutdown need not wait for: a download may take minutes.

    Raises:
        AsrError: as `open_engine`.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Loaded] = loop.create_future()

    def settle(result: Loaded | BaseException) -> None:
        if future.done():
            return
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)

    def work() -> None:
        result: Loaded | BaseException
        try:
            engine = open_engine(settings, None, progress)
            hot_words = load_hot_words(settings.playbooks_dir) if engine.takes_hot_words else {}
            result = Loaded(engine, Silero(), calibrate(engine), hot_words)
        except BaseException as error:  # it goes to whoever awaits
            result = error
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=work, name="load", daemon=True).start()
    return await future


def calibrate(engine: Engine) -> float:
    """CPU seconds of one decode of 3 s of noise; the process must be otherwise at rest.

    Of an engine that computes elsewhere the time it takes.
    """
    clock = time.monotonic if engine.is_remote else time.process_time
    noise = np.random.default_rng(0).standard_normal(int(LENGTH_S * SAMPLE_RATE)).astype(np.float32) * 0.05
    segment = Segment("", 0, noise, engine.languages[0], is_final=False)
    before = clock()
    for _ in range(ROUNDS):
        engine.decode(segment)
    return (clock() - before) / ROUNDS
