"""Where a session stands whose ingest is gone, from what the event stream remembers of it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.messages import (
    EventMessage,
    FinalTranscript,
    Gap,
    SessionEnding,
    SessionState,
    TranscriptComplete,
)

EPOCH_STEP: Final = 1_000
"""The last epoch with a final is known, the last one claimed is not. An ingest raises it once per change of
worker, of which a visit has few; readers only compare."""
_SAMPLES_PER_MS: Final = SAMPLE_RATE // 1_000


@dataclass(frozen=True, slots=True)
class Resumption:
    """Continue after `sample`, above `epoch`; `origin_ms` is the wall clock at sample 0, None if unknown."""

    sample: int = 0
    origin_ms: float | None = None
    epoch: int = 0
    has_ended: bool = False


def resumption(events: Iterable[EventMessage]) -> Resumption:
    """What these events of one session say.

    An event's number is the wall clock when it was made (`EventNumbers`), and its sample was captured before
    that; the event that tells its sample soonest gives the origin best.
    """
    sample, epoch, has_ended = 0, 0, False
    origin: float | None = None
    for event in events:
        match event:
            case SessionState():
                end = event.sample
                has_ended = has_ended or event.state == "ended"
                is_known = end > 0 or event.state == "live"  # before that nothing was captured
            case Gap():
                end, is_known = event.first_sample + event.n_samples, True
            case FinalTranscript() | TranscriptComplete():
                end, is_known = event.end_sample, True
                epoch = max(epoch, event.epoch)
            case SessionEnding():
                has_ended = True
                continue
            case _:
                continue
        sample = max(sample, end)
        if is_known:
            told = event.n - end / _SAMPLES_PER_MS
            origin = told if origin is None else min(origin, told)
    return Resumption(sample, origin, epoch + EPOCH_STEP, has_ended)
