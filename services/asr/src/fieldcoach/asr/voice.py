"""Voice detection: Silero through onnxruntime, one state per session.

The model inside faster-whisper takes one stream: its first axis is time, 512 new samples a row behind the
64 samples before them. A frame costs 0.09 ms in a call of its own, 0.074 in the two of a chunk of 60 ms; so
40 sessions cost some 9 % of a core and the event loop waits 0.15 ms at a time. The stock graph takes many
sessions in one call, 0.058 ms a frame for 40: 2 % of a core, not worth its package, which needs PyTorch.
"""

from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from .engines.base import Pcm

FRAME: Final = 512
"""Samples, 32 ms: the only size that Silero knows at 16 kHz."""
CONTEXT: Final = 64
_STATE: Final = (1, 1, 128)


class VoiceDetector(Protocol):
    """Speech probabilities of one session's frames, in order."""

    def __call__(self, pcm: Pcm) -> list[float]:
        """One probability for each whole frame in `pcm`, a multiple of `FRAME` samples."""

    def reset(self) -> None:
        """Forget what came before: the next frame follows a hole."""


class Silero:
    """The model, shared by all sessions of the process."""

    def __init__(self) -> None:
        import faster_whisper
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # one small frame at a time: threads of its own would only fight with the decoders
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        path = Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"
        self._session: Any = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"], sess_options=options
        )

    def stream(self) -> "SileroStream":
        """A detector for one more session."""
        return SileroStream(self._session)


class SileroStream:
    """One session's state of the model."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.reset()

    def reset(self) -> None:
        """Start from silence."""
        self._h: npt.NDArray[np.float32] = np.zeros(_STATE, np.float32)
        self._c: npt.NDArray[np.float32] = np.zeros(_STATE, np.float32)
        self._context: Pcm = np.zeros(CONTEXT, np.float32)

    def __call__(self, pcm: Pcm) -> list[float]:
        """Probabilities of the next frames."""
        frames = pcm.reshape(-1, FRAME)
        rows = np.empty((len(frames), CONTEXT + FRAME), np.float32)
        rows[:, CONTEXT:] = frames
        rows[0, :CONTEXT] = self._context
        rows[1:, :CONTEXT] = frames[:-1, -CONTEXT:]
        self._context = frames[-1, -CONTEXT:].copy()
        probabilities, self._h, self._c = self._session.run(None, {"input": rows, "h": self._h, "c": self._c})
        return [float(probability) for probability in probabilities]
