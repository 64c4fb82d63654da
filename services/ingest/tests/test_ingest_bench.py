"""The benchmark of the receivers runs, and both decode what they are sent."""

import asyncio
import json
import sys
from typing import Any

import pytest

from fieldcoach.ingest.bench.sender import datagrams


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
    result = await bench(receiver, "--sessions", "3", "--seconds", "1.2")
    assert result["receiver"] == receiver
    assert result["packets"] == pytest.approx(3 * 50 * result["seconds"], rel=0.3)
    assert result["audio_s"] == pytest.approx(3 * result["seconds"], rel=0.4)
    assert result["datagrams_lost"] == 0
    assert result["us_per_packet"] > 0
    assert (result["threads"] == 1) == (receiver == "ours")


def test_a_phone_that_pauses_sends_few_packets_in_silence() -> None:
    steady, pausing = datagrams(5, 60, False), datagrams(5, 60, True)
    assert len(steady) == 83
    in_silence = [at for at, _ in pausing if at > 3.4]
    assert 2 <= len(in_silence) <= 12  # of 26
    assert len(pausing) < 70
