"""Visits by the phone in Python: what a user of the command sees."""

import concurrent.futures
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import FIELDCOACH, ROOT, VISITS, Running, gold, word_errors, words_of

TYPES = {"state", "profile", "partial", "final", "cue", "checklist", "metrics", "gap", "summary"}


def visit(system: Running, audio: Path, timeout_s: float = 110) -> list[dict[str, Any]]:
    done = subprocess.run(
        [FIELDCOACH, "visit", "--audio", str(audio), "--gateway", system.url, "--json"],
        text=True,
        capture_output=True,
        cwd=ROOT,
        env={"FIELDCOACH_TOKEN": system.token(), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.stack
def test_a_visit_from_speech_to_summary(system: Running) -> None:
    events = visit(system, VISITS / "enough-stock.flac")
    marks = gold("enough-stock")

    assert {event["type"] for event in events} <= TYPES
    assert all(isinstance(event["t"], float) for event in events)
    finals = [event for event in events if event["type"] == "final"]
    assert all(event["start"] < event["end"] for event in finals)
    assert [event["start"] for event in finals] == sorted(event["start"] for event in finals)
    said = words_of(" ".join(line["text"] for line in marks["lines"]))
    heard = words_of(" ".join(event["text"] for event in finals))
    assert word_errors(said, heard) / len(said) <= 0.10

    partials = [event for event in events if event["type"] == "partial"]
    assert partials
    committed: dict[int, str] = {}
    for event in partials:
        assert event["committed"].startswith(committed.get(event["utterance"], ""))
        committed[event["utterance"]] = event["committed"]

    cues = [event for event in events if event["type"] == "cue"]
    assert {cue["objection"] for cue in cues} <= {"enough_stock", "slow_mover", "price_margin"}
    assert cues
    assert all(0 < len(cue["text"]) <= 60 for cue in cues)

    summary = (
        events[-1] if events[-1]["type"] == "summary" else [e for e in events if e["type"] == "summary"][-1]
    )
    assert summary["objections"] == ["enough_stock", "slow_mover", "price_margin"]
    assert summary["orders"] == [{"sku": "hair oil", "qty": 3, "unit": "bottles"}]
    assert {"greet", "stock_check", "confirm_order", "thanks"} <= set(summary["stages"])
    assert 0 < summary["score"] <= 100


@pytest.mark.stack
def test_twenty_visits_at_once_do_not_mix(system: Running, tmp_path: Path) -> None:
    import av

    cuts: list[tuple[Path, list[str]]] = []
    sources = ["biscuits-no-space", "soap-margin", "quick-order", "enough-stock", "expired-stock"]
    for name in sources:
        with av.open(str(VISITS / f"{name}.flac")) as file:
            pcm = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        lines = gold(name)["lines"]
        for first in (0, 3, 6, 8):  # four different stretches of each visit
            chosen = lines[first : first + 4]
            begin, end = int((chosen[0]["start"] - 0.3) * 16_000), int((chosen[-1]["end"] + 0.3) * 16_000)
            path = tmp_path / f"{name}-{first}.wav"
            with av.open(str(path), "w") as out:
                stream = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
                frame = av.AudioFrame.from_ndarray(pcm[begin:end].reshape(1, -1), format="s16", layout="mono")
                frame.sample_rate = 16_000
                out.mux(stream.encode(frame))
                out.mux(stream.encode(None))
            cuts.append((path, words_of(" ".join(line["text"] for line in chosen))))

    with concurrent.futures.ThreadPoolExecutor(len(cuts)) as pool:
        results = list(pool.map(lambda cut: visit(system, cut[0]), cuts))

    sessions = [{event["session"] for event in events if "session" in event} for events in results]
    assert all(len(ids) == 1 for ids in sessions), "an event of another session"
    assert len(set.union(*sessions)) == len(cuts)
    errors = total = 0
    for (path, said), events in zip(cuts, results, strict=True):
        heard = words_of(" ".join(event["text"] for event in events if event["type"] == "final"))
        wrong = word_errors(said, heard)
        assert wrong / len(said) < 0.5, f"{path.name}: these are not its words"
        errors, total = errors + wrong, total + len(said)
        assert [event for event in events if event["type"] == "summary"]
    assert errors / total <= 0.10


@pytest.mark.stack
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--audio", "nowhere.flac", "--token", "x"], "nowhere.flac"),
        (["--audio", "README.md", "--token", "x"], "README.md"),
        (["--audio", "visits/quick-order.flac", "--token", "x"], "token"),
        (
            ["--audio", "visits/quick-order.flac", "--gateway", "http://127.0.0.1:9", "--token", "x"],
            "127.0.0.1:9",
        ),
    ],
)
def test_a_mistake_is_told_in_a_sentence(system: Running, arguments: list[str], said: str) -> None:
    arguments = arguments if "--gateway" in arguments else [*arguments, "--gateway", system.url]
    done = subprocess.run(
        [FIELDCOACH, "visit", *arguments], text=True, capture_output=True, cwd=ROOT, check=False
    )
    assert done.returncode not in (0, -6, -11)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
