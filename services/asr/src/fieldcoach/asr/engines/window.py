"""How much sound an encoder is given: as little as holds the utterance."""

from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE

FULL_WINDOW_S: Final = 30
COARSE_S: Final = (5, 8, 15, FULL_WINDOW_S)
"""For a model that was trained on 30 s: Whisper is told to loop in windows under 3.5 s."""
FINE_S: Final = (2, 3, 4, 5, 6, 8, 10, 12, 15, FULL_WINDOW_S)
"""For one that was trained on short windows: a tenth less to compute than 3 / 5 / 8 / 15 / 30."""
TRAILING_SILENCE_S: Final = 1.0
"""Without it Whisper cuts or repeats the last word."""


def window_seconds(n_samples: int, buckets: tuple[int, ...]) -> int:
    """The first bucket that holds a segment and the trailing silence, at most 30 s."""
    needed = n_samples / SAMPLE_RATE + TRAILING_SILENCE_S
    return next((bucket for bucket in buckets if bucket >= needed), FULL_WINDOW_S)
