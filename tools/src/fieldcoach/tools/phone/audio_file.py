"""Any audio file that FFmpeg reads → 16 kHz mono s16 in memory."""

from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from fieldcoach.common.audio import SAMPLE_RATE

from ..errors import AudioUnreadable


def read_pcm(path: Path) -> bytes:
    """Decode the first audio stream: s16 little endian, 16 kHz, mono.

    Raises:
        AudioUnreadable: no such file, no audio in it, or broken.
    """
    if not path.is_file():
        raise AudioUnreadable(f"{path}: no such file; give a recording (flac, wav, ogg, mp3, m4a, ...)")
    pcm = bytearray()
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioUnreadable(f"{path}: there is no audio in it")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            for frame in container.decode(container.streams.audio[0]):
                for piece in resampler.resample(frame):
                    pcm += _samples(piece)
            for piece in resampler.resample(None):
                pcm += _samples(piece)
    except FFmpegError as error:
        raise AudioUnreadable(f"{path}: FFmpeg can't decode it ({type(error).__name__})") from error
    if not pcm:
        raise AudioUnreadable(f"{path}: no samples in it")
    return bytes(pcm)


def _samples(frame: AudioFrame) -> bytes:
    return frame.to_ndarray().tobytes()
