"""The README's visit by curl and a foreign WHIP client (FFmpeg's muxer), word for word."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT, Running, gold, word_errors, words_of


@pytest.mark.stack
@pytest.mark.timeout(180)
def test_a_visit_by_curl_and_ffmpeg(system: Running, tmp_path: Path) -> None:
    sample = re.search(r"<!-- sample: curl -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert sample
    script = sample[1].replace(
        ".venv/bin/fieldcoach token", f".venv/bin/fieldcoach token --run-dir {system.run_dir}"
    )
    script = script.replace("summary.json", str(tmp_path / "summary.json"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        text=True,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"GATEWAY": system.url},
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["orders"] == [
        {"sku": "cola", "qty": 6, "unit": "cases"},
        {"sku": "orange juice", "qty": 2, "unit": "cases"},
    ]
    events = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("data:")]
    heard = words_of(" ".join(event["text"] for event in events if event["type"] == "final"))
    said = words_of(" ".join(line["text"] for line in gold("quick-order")["lines"]))
    assert word_errors(said, heard) / len(said) <= 0.10
