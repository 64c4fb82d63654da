"""The fixtures of the asr tests; their doubles are in `asr_bench`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from asr_bench import Bench, ScriptedEngine  # only now on the path


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def bench(engine: ScriptedEngine) -> Bench:
    return Bench(engine)
