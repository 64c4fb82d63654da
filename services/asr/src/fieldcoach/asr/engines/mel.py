"""Whisper's log mel spectrogram, of the speech alone: the silence behind it is a constant.

The same figures as faster-whisper's `FeatureExtractor` on the padded waveform (to rounding), in a fraction of
the time: in single precision, one pass, no frame of the padding.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .base import Pcm

N_FFT: Final = 400
HOP: Final = 160
"""Samples: 25 ms windows every 10 ms."""
FLOOR: Final = 1e-10
DYNAMIC_RANGE: Final = 8.0
"""In decades, below the loudest."""


class LogMel:
    """The transform of one model; `filters` is its `(n_mels, 201)` mel matrix."""

    def __init__(self, filters: npt.NDArray[np.float32]) -> None:
        self._filters = np.ascontiguousarray(filters, np.float32)
        self._window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)

    @classmethod
    def of(cls, extractor: Any) -> "LogMel":
        """The same as faster-whisper's extractor of the model.

        Raises:
            ValueError: the model wants another framing than Whisper's.
        """
        if (extractor.n_fft, extractor.hop_length) != (N_FFT, HOP):
            raise ValueError(
                f"windows of {extractor.n_fft} samples every {extractor.hop_length} are not Whisper's"
            )
        return cls(extractor.mel_filters)

    def __call__(self, pcm: Pcm, n_samples: int) -> npt.NDArray[np.float32]:
        """`(n_mels, n_samples / 160)` of `pcm` and silence up to `n_samples`; what is beyond is left out."""
        pcm = pcm[:n_samples]
        frames = n_samples // HOP
        spoken = min(frames, (len(pcm) + N_FFT // 2 - 1) // HOP + 1)
        half = N_FFT // 2
        padded = np.zeros(half + max(n_samples + half, N_FFT), np.float32)
        padded[half : half + len(pcm)] = pcm
        padded[:half] = padded[half + 1 : 2 * half + 1][::-1]  # reflected, as the model was trained
        padded[half + n_samples : 2 * half + n_samples] = padded[n_samples - 1 : n_samples + half - 1][::-1]
        rows = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[: spoken * HOP : HOP]
        spectrum = np.fft.rfft(rows * self._window, axis=-1)
        power = spectrum.real**2 + spectrum.imag**2
        mel = np.full((len(self._filters), frames), FLOOR, np.float32)
        np.maximum(self._filters @ power.astype(np.float32, copy=False).T, FLOOR, out=mel[:, :spoken])
        np.log10(mel, out=mel)
        np.maximum(mel, mel.max() - DYNAMIC_RANGE, out=mel)
        mel += 4.0
        mel /= 4.0
        return mel
