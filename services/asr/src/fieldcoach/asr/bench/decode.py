"""Whole utterances through one engine, one decode each: `python -m fieldcoach.asr.bench.decode`.

No worker, no endpoints, no bus: what the engine itself hears. Settings as of any worker (`ASR_ENGINE`, ...).
Reads one line of JSON from standard input, `{"recordings": [{"path", "language", "turns": [[start, end]]}]}`,
with raw sound (16 kHz mono s16) and seconds; prints one line: engine, model, the text of each turn, CPU
seconds and the seconds decoded.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fieldcoach.common.audio import SAMPLE_RATE

from ..engines.base import Engine, Segment, decode_or_none
from ..engines.choice import open_engine
from ..settings import AsrSettings


def decode_all(engine: Engine, recordings: list[dict[str, Any]]) -> dict[str, Any]:
    """Every turn of every recording; an utterance that the engine gives up on has no text."""
    texts: list[list[str]] = []
    decoded_s = 0.0
    before = time.process_time()
    for recording in recordings:
        pcm = np.frombuffer(Path(recording["path"]).read_bytes(), "<i2").astype(np.float32) / np.float32(
            32_768
        )
        # a model that does not know the language is asked in its own: it has no other words
        language = recording["language"] if recording["language"] in engine.languages else engine.languages[0]
        heard = []
        for start, end in recording["turns"]:
            first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
            segment = Segment("bench", first, pcm[first:last], language, is_final=True)
            hypothesis = decode_or_none(engine, segment)
            heard.append(hypothesis.text if hypothesis else "")
            decoded_s += (last - first) / SAMPLE_RATE
        texts.append(heard)
    return {
        "engine": engine.name,
        "model": engine.model,
        "texts": texts,
        "cpu_s": time.process_time() - before,
        "audio_s": decoded_s,
    }


def main() -> None:
    """Do what standard input asks for."""
    request = json.loads(sys.stdin.readline())
    engine = open_engine(AsrSettings())
    try:
        found = decode_all(engine, request["recordings"])
    finally:
        engine.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
