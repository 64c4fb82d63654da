"""The fixtures of the asr tests; their doubles are in `asr_bench`."""

import pytest

from .asr_bench import Bench, ScriptedEngine


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def bench(engine: ScriptedEngine) -> Bench:
    return Bench(engine)
