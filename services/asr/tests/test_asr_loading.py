"""An engine that computes elsewhere and is away when the worker starts."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from fieldcoach.asr import loading
from fieldcoach.asr.errors import EngineBroken
from fieldcoach.asr.settings import AsrSettings

from .asr_bench import ROOT
from .asr_replay import TranscriptionServer


@pytest.fixture
def server() -> Iterator[TranscriptionServer]:
    started = TranscriptionServer("quick-order")
    yield started
    started.stop()


def settings_of(server: TranscriptionServer) -> AsrSettings:
    return AsrSettings(
        asr_engine="openai",
        asr_openai_url=server.url,
        asr_openai_key=SecretStr("k"),
        asr_languages="en,hi",
        playbooks_dir=ROOT / "playbooks",
    )


async def test_it_is_waited_for_and_the_reason_is_told(
    server: TranscriptionServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "RELOAD_S", 0.01)
    server.mood = "busy"
    told: list[str] = []

    def not_yet(reason: str) -> None:
        told.append(reason)
        if len(told) == 2:
            server.mood = "good"

    loaded = await loading.load(settings_of(server), lambda _: None, not_yet)
    assert len(told) == 2
    assert "429" in told[0]
    assert loaded.engine.name == "openai"
    assert loaded.engine.languages == ("en", "hi")
    assert loaded.decode_s > 0  # time on the wire: what it costs is not our CPU
    assert "biscuits" in loaded.hot_words["outlet-en"]
    loaded.engine.close()


async def test_one_that_refuses_us_is_not_waited_for(server: TranscriptionServer) -> None:
    server.mood = "refusing"
    with pytest.raises(EngineBroken, match="ASR_OPENAI_KEY"):
        await loading.load(settings_of(server), lambda _: None, lambda _: None)
