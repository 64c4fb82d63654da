"""The benchmark of the receivers runs, and both decode what they are sent."""

import asyncio
import json
import resource
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.ingest.bench.__main__ import raise_file_limit
from fieldcoach.ingest.bench.sender import datagrams, recording
from fieldcoach.ingest.service import OTHER_FILES


async def bench(*arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fieldcoach.ingest.bench", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("receiver", ["ours", "stock"])
async def test_a_receiver_is_measured(receiver: str) -> None:
    """By packets and not by the clock, so that it holds on a machine that is late."""
    result = await bench(receiver, "--sessions", "3", "--seconds", "1.2")
    assert result["receiver"] == receiver
    # all but the second of warming up, and what came of the rest until that was noticed
    assert 0 < result["packets"] <= 3 * 60
    assert result["audio_s"] == pytest.approx(result["packets"] * 0.02, abs=3 * 0.4)
    assert result["datagrams_lost"] == 0
    assert result["us_per_packet"] > 0
    assert (result["threads"] == 1) == (receiver == "ours")


def test_a_recording_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * SAMPLE_RATE))
    assert recording(path, 2.5) == bytes(2 * SAMPLE_RATE * 5 // 2)


def test_more_sessions_than_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (256, 512))
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: raised.append(limits))
    raise_file_limit(50)
    assert raised == []
    raise_file_limit(200)
    assert raised == [(2 * 200 + OTHER_FILES, 512)]
    with pytest.raises(SystemExit, match="the limit is 512"):
        raise_file_limit(300)


def test_a_phone_that_pauses_sends_few_packets_in_silence() -> None:
    steady, pausing = datagrams(5, 60, False), datagrams(5, 60, True)
    assert len(steady) == 83
    in_silence = [at for at, _ in pausing if at > 3.4]
    assert 2 <= len(in_silence) <= 12  # of 26
    assert len(pausing) < 70
