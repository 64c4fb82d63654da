"""How the speech of a visit came over: which share of it by each flag. Pure: stretches in, shares out.

speech      the samples that travel in packets which do not announce silence (DTX), on whichever rung
by flag     `ok nack red fec dtx plc gap` as the timeline says in time; `none`: never on the timeline.
            The best of them, if a sample was published more than once
backfill    of `plc`, `gap` and `none`, what was transcribed afterwards. A range's silence, where the phone
            had no packet either, is not counted: the sound of its frames of 20 ms must not be all zeros
missing     of `gap` and `none`, what was not

After a reconnect the timeline stands later than the phone's clock by what its first packet took. So what
fills a hole of seconds is moved, as one and by half a second at most, to where its sound fits the speech.

The timeline begins with the first packet that arrived, which need not be the first one sent. How much later
it begins is found by where its announced silences fit the phone's best.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fieldcoach.common.audio import SAMPLE_RATE, Flag

from .delivered import Samples, Stretch

KINDS = ("none", "gap", "plc", "dtx", "fec", "red", "nack", "ok")
"""From the worst to the best."""
_OF_FLAG = ((Flag.GAP, 1), (Flag.PLC, 2), (Flag.DTX, 3), (Flag.FEC, 4), (Flag.RED, 5), (Flag.NACK, 6))
_WORST_HEARD = 3
FRAME = SAMPLE_RATE // 50
LATEST_BEGIN_S = 10
LONG_HOLE = 3 * SAMPLE_RATE
MOST_MOVED = SAMPLE_RATE // 2
_NOT_SOUND = Flag.GAP | Flag.PLC | Flag.BACKFILL | Flag.END


def shares(speech: Samples, stretches: Iterable[Stretch], late: Iterable[Stretch]) -> dict[str, float]:
    """By flag, summing to 1; besides, `backfill` and `missing`. Empty if there was no speech."""
    total = int(speech.sum())
    if not total:
        return {}
    kinds, filled = _kinds(len(speech), stretches), _filled(len(speech), late)
    found = {name: (kinds == number) & speech for number, name in enumerate(KINDS)}
    unheard = (kinds < _WORST_HEARD) & speech
    lost = (found["none"] | found["gap"]) & ~filled
    counts = {name: int(which.sum()) for name, which in reversed(found.items())}
    counts |= {"backfill": int((unheard & filled).sum()), "missing": int(lost.sum())}
    return {name: round(count / total, 5) for name, count in counts.items()}


def begun_late(speech: Samples, stretches: Iterable[Stretch]) -> int:
    """Samples of the visit before the timeline's first one, in steps of 20 ms, at most 10 s."""
    stretches = list(stretches)
    kinds = _kinds(max((s.start + s.n_samples for s in stretches), default=0), stretches)[::FRAME]
    told = np.zeros(len(kinds))
    told[kinds > _WORST_HEARD] = 1
    told[kinds == _WORST_HEARD] = -1
    wanted = np.where(speech[::FRAME], 1, -1)
    fits = [
        float(np.dot(told[: len(wanted) - lag], wanted[lag : lag + len(told)]))
        for lag in range(min(LATEST_BEGIN_S * SAMPLE_RATE // FRAME, len(wanted)))
    ]
    return int(np.argmax(fits)) * FRAME if fits else 0


def shifted(stretches: Iterable[Stretch], samples: int) -> list[Stretch]:
    """The same, so much later on the timeline."""
    return [replace(stretch, start=stretch.start + samples) for stretch in stretches]


def fitted(speech: Samples, stretches: Iterable[Stretch], late: Iterable[Stretch]) -> list[Stretch]:
    """Back-fill of each long hole, moved as one to where its sound fits the speech best."""
    late = sorted(late, key=lambda stretch: stretch.start)
    heard = np.concatenate(([0], np.cumsum(speech)))
    moved: list[Stretch] = []
    for begin, end in _runs(_kinds(len(speech), stretches) < _WORST_HEARD):
        if end - begin < LONG_HOLE:
            continue
        inside = [s for s in late if begin <= s.start < end]
        late = [s for s in late if not begin <= s.start < end]
        starts = np.array([s.start for s in inside], dtype=np.int64)
        ends = starts + np.array([s.n_samples for s in inside], dtype=np.int64)

        def fit(lag: int, starts: NDArray[np.int64] = starts, ends: NDArray[np.int64] = ends) -> int:
            first, last = (np.clip(edge + lag, 0, len(speech)) for edge in (starts, ends))
            return int(np.sum(heard[last] - heard[first]))

        moved += shifted(inside, max(sorted(range(-MOST_MOVED, MOST_MOVED + 1, FRAME), key=abs), key=fit))
    return sorted([*late, *moved], key=lambda stretch: stretch.start)


def longest_hole_s(stretches: Iterable[Stretch]) -> float:
    """The longest run of the timeline on which nothing was heard in time, in seconds."""
    stretches = list(stretches)
    end = max((s.start + s.n_samples for s in stretches), default=0)
    return _longest_s(_kinds(end, stretches) < _WORST_HEARD)


def longest_missing_s(speech: Samples, stretches: Iterable[Stretch], late: Iterable[Stretch]) -> float:
    """The longest run of speech in `missing`, in seconds."""
    is_lost = _kinds(len(speech), stretches) < KINDS.index("plc")
    return _longest_s(is_lost & ~_filled(len(speech), late) & speech)


def first_sound_s(stretches: Iterable[Stretch], since: float) -> float | None:
    """From a moment (monotonic seconds) to the first publication of sound, or of announced silence, after it.

    None if there was none.
    """
    arrivals = [s.arrival for s in stretches if s.arrival >= since and not s.flags & _NOT_SOUND]
    return min(arrivals) - since if arrivals else None


def sounding(first_sample: int, pcm: bytes, arrival: float) -> list[Stretch]:
    """The frames of a back-filled piece that are not all zeros."""
    sound = np.frombuffer(pcm, dtype="<i2")
    return [
        Stretch(first_sample + at, len(frame), Flag.BACKFILL, arrival)
        for at in range(0, len(sound), FRAME)
        if (frame := sound[at : at + FRAME]).any()
    ]


def _longest_s(which: Samples) -> float:
    return max((end - begin for begin, end in _runs(which)), default=0) / SAMPLE_RATE


def _runs(which: Samples) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], which.astype(np.int8), [0]))))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _filled(length: int, late: Iterable[Stretch]) -> Samples:
    filled = np.zeros(length, dtype=np.bool_)
    for stretch in late:
        filled[stretch.start : stretch.start + stretch.n_samples] = True
    return filled


def _kinds(length: int, stretches: Iterable[Stretch]) -> NDArray[np.uint8]:
    kinds = np.zeros(length, dtype=np.uint8)
    for stretch in stretches:
        if stretch.flags & (Flag.BACKFILL | Flag.END):
            continue
        number = next((number for flag, number in _OF_FLAG if stretch.flags & flag), len(KINDS) - 1)
        part = kinds[stretch.start : stretch.start + stretch.n_samples]
        np.maximum(part, number, out=part)
    return kinds
