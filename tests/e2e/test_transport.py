"""UDP blocked: the sound finds another way, and the visit is the same."""

import asyncio
import json
import subprocess
import time
from pathlib import Path

import pytest

from fieldcoach.tools.phone.audio_file import read_pcm
from fieldcoach.tools.phone.visit import Visit, VisitPlan

from .conftest import FIELDCOACH, ROOT, VISITS, Running, gold, word_errors, words_of

SECONDS = 12.0
"""The first lines of a visit."""


class Blocked:
    """A network that lets no UDP through: nobody learns an address of the other."""

    def hide(self, offer: str) -> str:
        return "".join(line for line in offer.splitlines(True) if not line.startswith("a=candidate"))

    async def rewrite(self, answer: str) -> str:
        return self.hide(answer)

    def start(self) -> None:
        pass


def said(seconds: float) -> list[str]:
    lines = [line for line in gold("enough-stock")["lines"] if line["end"] < seconds]
    assert len(lines) >= 2
    return words_of(" ".join(line["text"] for line in lines))


@pytest.mark.stack
def test_a_visit_by_websocket(system: Running, tmp_path: Path) -> None:
    import av

    pcm = read_pcm(VISITS / "enough-stock.flac")[: int(SECONDS * 32_000)]
    path = tmp_path / "cut.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        import numpy as np

        frame = av.AudioFrame.from_ndarray(
            np.frombuffer(pcm, np.int16).reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    done = subprocess.run(
        [FIELDCOACH, "visit", "--json", "--audio", path, "--gateway", system.url, "--transport", "websocket"],
        text=True,
        capture_output=True,
        cwd=ROOT,
        env={"FIELDCOACH_TOKEN": system.token(), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "sound by WebSocket" in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    finals = [event for event in events if event["type"] == "final"]
    wanted = said(SECONDS)
    heard = words_of(" ".join(event["text"] for event in finals))[: len(wanted)]
    assert word_errors(wanted, heard) / len(wanted) <= 0.10
    assert sum(event["concealed_ms"] for event in finals) == 0


@pytest.mark.stack
def test_blocked_udp_is_noticed_within_ten_seconds(system: Running) -> None:
    pcm = read_pcm(VISITS / "enough-stock.flac")[: int(SECONDS * 32_000)]
    plan = VisitPlan(system.url, system.token(), pcm, network=Blocked(), transport="auto")
    begun = time.monotonic()
    result = asyncio.run(Visit(plan).run())
    assert result.transports == ("websocket",)
    assert result.started_at - begun < 10
    wanted = said(SECONDS)
    finals = [event for _, event in result.events if event["type"] == "final"]
    heard = words_of(" ".join(event["text"] for event in finals))[: len(wanted)]
    assert word_errors(wanted, heard) / len(wanted) <= 0.10
