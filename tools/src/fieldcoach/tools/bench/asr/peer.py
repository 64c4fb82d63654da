"""The peer in a process of its own, so that its CPU time is its own: `python -m …bench.asr.peer`.

Reads JSON from standard input (model directory; recordings with their turns), prints one line of JSON: for
each recording the text, and CPU seconds and audio seconds in all. The sound is paced by the algorithm's own
clock (a decode a second) and not by ours: only its cost is asked for, and that does not depend on the pace.

What differs from whisper_streaming's defaults is in its favour. It is told where each turn begins and ends,
at no cost, in place of its voice activity controller (`--vac`); the end of a turn is decoded and not only
flushed; the search is greedy, not a beam of 5; there is no previous text, which `outlet-en` has never seen.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..measured_process import run_measured

BEAM: Final = 1
BEFORE_S: Final = 0.3
AFTER_S: Final = 0.5
"""Of sound around a turn: what its voice activity controller leaves on."""


@dataclass(frozen=True, slots=True)
class PeerRecording:
    """Raw sound (16 kHz mono s16) and its turns in seconds."""

    path: Path
    turns: list[tuple[float, float]]


def main() -> None:
    """Do what standard input asks for."""
    import time

    request = json.loads(sys.stdin.read())
    decode = _decoder(request["model"])
    texts = []
    seconds = 0.0
    before = time.process_time()
    for recording in request["recordings"]:
        text, length = _transcribe(decode, Path(recording["path"]), recording["turns"])
        texts.append(text)
        seconds += length
    print(json.dumps({"texts": texts, "cpu_s": time.process_time() - before, "audio_s": seconds}))


def _decoder(model: str) -> Any:
    """The whole 30 s window, with word times, as its backend for faster-whisper does; no previous text."""
    from faster_whisper import WhisperModel

    from .local_agreement import Decoded, TimedWord

    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1, num_workers=1)

    def decode(pcm: Any) -> Decoded:
        segments, _ = whisper.transcribe(
            pcm,
            language="en",
            beam_size=BEAM,
            temperature=0.0,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        found = list(segments)
        return Decoded(
            [
                TimedWord(word.start, word.end, word.word.strip())
                for segment in found
                for word in segment.words or ()
            ],
            [segment.end for segment in found],
        )

    return decode


def _transcribe(decode: Any, path: Path, turns: list[tuple[float, float]]) -> tuple[str, float]:
    import numpy as np

    from .local_agreement import SAMPLE_RATE, STEP_S, LocalAgreement2

    pcm = np.frombuffer(path.read_bytes(), "<i2").astype(np.float32) / np.float32(32_768)
    step = round(STEP_S * SAMPLE_RATE)
    texts = []
    for start, end in turns:
        first, last = round((start - BEFORE_S) * SAMPLE_RATE), round((end + AFTER_S) * SAMPLE_RATE)
        turn = pcm[max(0, first) : last]
        session = LocalAgreement2(decode)
        for at in range(0, len(turn), step):
            session.hear(turn[at : at + step])
        texts.append(session.finish())
    return " ".join(texts), len(pcm) / SAMPLE_RATE


async def run_peer(model: Path, recordings: list[PeerRecording]) -> dict[str, Any]:
    """Run it.

    Raises:
        BenchError: it failed; with its last words.
    """
    request = {
        "model": str(model),
        "recordings": [{"path": str(one.path), "turns": one.turns} for one in recordings],
    }
    return await run_measured("fieldcoach.tools.bench.asr.peer", "the peer", request)


if __name__ == "__main__":
    main()
