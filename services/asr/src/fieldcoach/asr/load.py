"""How many sessions this worker can carry, and how often each may have a partial. Both by measured cost.

Cost is CPU time of the whole process, not wall time: neighbours on the same machine make a decode longer,
but not dearer. The pace of partials goes by how busy the decoders are, which neighbours do change.
"""

from math import exp, inf
from typing import Final

TARGET: Final = 0.7
"""New sessions come while the expected work stays under 70 % of the cores (`ASR_LOAD_TARGET`)."""
SPEECH_SHARE: Final = 0.6
"""Of a visit is speech."""
SLOWED_PARTIALS_S: Final = 2.4
"""Partials slow down before sessions are refused, so admission counts them at this pace."""
UTTERANCE_S: Final = 3.0
LISTENING: Final = 0.01
"""Cores per session for voice detection and the bus (measured: 0.004 and 0.003)."""
PARTIAL_INTERVAL_S: Final = 0.6
_PRIOR_DECODES: Final = 20.0
"""What the calibration at start counts for, in measured decodes."""
_MEMORY_DECODES: Final = 500.0
"""After so many decodes an old measurement counts half as much as a new one."""
_SMOOTH_S: Final = 5.0

_LADDER: Final = ((0.5, 1.0), (0.7, 2.0), (0.85, 4.0))
"""Up to this share of busy decoders, partials come at this multiple of their interval; beyond, not at all."""


class Capacity:
    """Slots by the cost of a decode in CPU seconds."""

    def __init__(self, cores: int, most: int, target: float = TARGET) -> None:
        self._cores = cores
        self._target = target
        self._most = most
        self._calibrated: float | None = None
        self._cpu_s = 0.0
        self._decodes = 0.0

    def calibrate(self, decode_s: float) -> None:
        """Start from the CPU time of one decode of a typical utterance."""
        self._calibrated = decode_s

    def observe(self, cpu_s: float, session_s: float, decodes: int) -> None:
        """Add a stretch in which the process used `cpu_s` for `decodes` and for `session_s` of sessions."""
        fade = 0.5 ** (decodes / _MEMORY_DECODES)
        self._cpu_s = self._cpu_s * fade + max(0.0, cpu_s - LISTENING * session_s)
        self._decodes = self._decodes * fade + decodes

    @property
    def cost(self) -> float:
        """Cores that one more session needs when partials are slow."""
        if self._calibrated is None:
            return inf
        decode_s = (self._calibrated * _PRIOR_DECODES + self._cpu_s) / (_PRIOR_DECODES + self._decodes)
        return LISTENING + SPEECH_SHARE * (1 / UTTERANCE_S + 1 / SLOWED_PARTIALS_S) * decode_s

    def slots(self, used: int) -> int:
        """Sessions that may be here at once; never fewer than are.

        At least one, however dear the calibration: without a session nothing truer would ever be measured.
        """
        if self.cost == inf:
            return 0
        return max(used, min(self._most, max(1, int(self._target * self._cores / self.cost))))


class Pace:
    """The interval of partials by how busy the decoders are."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.busy = 0.0
        """Share of the decoders' time that is used, smoothed over 5 s."""

    def observe(self, decode_s: float, elapsed_s: float) -> None:
        """Add a stretch in which decoders worked `decode_s` together."""
        if elapsed_s <= 0:
            return
        keep = exp(-elapsed_s / _SMOOTH_S)
        self.busy = keep * self.busy + (1 - keep) * min(1.0, decode_s / (self._threads * elapsed_s))

    def interval_s(self, last_cost_s: float) -> float:
        """Audio between two partials of a session whose last decode took `last_cost_s`; `inf` is never."""
        for limit, factor in _LADDER:
            if self.busy <= limit:
                return max(PARTIAL_INTERVAL_S, 2 * last_cost_s) * factor
        return inf
