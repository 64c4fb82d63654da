"""How much one decode costs here, measured once at start, before anybody speaks."""

import time
from typing import Final

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from .engines.base import Engine, Segment

ROUNDS: Final = 3
LENGTH_S: Final = 3.0
"""A typical utterance."""


def calibrate(engine: Engine) -> float:
    """CPU seconds of one decode of 3 s of noise; the process must be otherwise at rest."""
    noise = np.random.default_rng(0).standard_normal(int(LENGTH_S * SAMPLE_RATE)).astype(np.float32) * 0.05
    segment = Segment("", 0, noise, engine.languages[0], is_final=False)
    before = time.process_time()
    for _ in range(ROUNDS):
        engine.decode(segment)
    return (time.process_time() - before) / ROUNDS
