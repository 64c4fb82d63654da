"""`bench engines` with the real engines: a model's own words score well, and what it gives up on counts."""

import json
from pathlib import Path

from rich.console import Console

from fieldcoach.tools.bench.asr.engines import bench_engines

ROOT = Path(__file__).resolve().parents[2]


async def test_scores_each_engine_by_language(tmp_path: Path) -> None:
    visit = json.loads((ROOT / "visits" / "quick-order.json").read_text())
    visit["lines"] = visit["lines"][:3]
    (tmp_path / "quick-order.json").write_text(json.dumps(visit))
    (tmp_path / "quick-order.flac").symlink_to(ROOT / "visits" / "quick-order.flac")
    figures = await bench_engines(ROOT, False, tmp_path, None, Console(quiet=True))
    by_engine = {row["engine"]: row for row in figures["rows"]}
    assert set(by_engine) == {"whisper", "sphinx"}
    assert all(
        (row["set"], row["language"], row["utterances"]) == ("visits", "en", 3) for row in figures["rows"]
    )
    assert by_engine["whisper"]["wer"] < 0.1
    assert by_engine["whisper"]["wer"] <= by_engine["sphinx"]["wer"] < 1
    assert all(row["cpu_per_audio_s"] > 0 for row in figures["rows"])
