"""Finding, fetching and refusing models; the choice of the engine."""

import logging
from pathlib import Path
from threading import Event

import pytest
from pydantic import ValidationError

from fieldcoach.asr.engines import models
from fieldcoach.asr.engines.choice import open_engine
from fieldcoach.asr.engines.models import find_model
from fieldcoach.asr.errors import EngineBroken, ModelMissing
from fieldcoach.asr.settings import AsrSettings
from fieldcoach.common.errors import SettingsInvalid
from fieldcoach.common.settings import load_settings

from .asr_bench import ROOT


def offline(name: str, _cache: str | None, only_cached: bool) -> str:
    raise ConnectionError("no network")


def settings(**changes: object) -> AsrSettings:
    return AsrSettings(asr_models_dir=ROOT / "models", asr_threads=1, **changes)  # type: ignore[arg-type]


def test_the_embedded_model_is_found_by_name() -> None:
    found = find_model("outlet-en", ROOT / "models", None)
    assert found.is_embedded
    assert (found.directory / "model.bin").is_file()


def test_a_directory_is_taken_as_it_is() -> None:
    found = find_model(str(ROOT / "models" / "outlet-en"), Path("nowhere"), None)
    assert not found.is_embedded
    assert found.name == "outlet-en"


def test_an_incomplete_directory_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelMissing, match=r"has no model\.bin; set ASR_MODEL"):
        find_model(str(tmp_path), tmp_path, None)


@pytest.mark.parametrize("name", ["outlet-xx", "/nowhere/at/all"])
def test_an_unknown_name_says_what_to_set(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"ASR_MODEL=.*ASR_MODELS_DIR=.*set ASR_MODEL to a dir.*tiny"):
        find_model(name, tmp_path, None, offline)


def test_a_cached_model_is_not_fetched(tmp_path: Path) -> None:
    asked = []

    def fetch(name: str, cache: str | None, only_cached: bool) -> str:
        asked.append((name, cache, only_cached))
        return str(tmp_path)

    assert find_model("small", tmp_path / "models", tmp_path, fetch).directory == tmp_path
    assert asked == [("small", str(tmp_path), True)]


def test_a_download_tells_its_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(models, "PROGRESS_S", 0.01)
    monkeypatch.setattr(models, "_total_bytes", lambda name: 4_000)
    told, seen = [], Event()

    def fetch(name: str, cache: str | None, only_cached: bool) -> str:
        if only_cached:
            raise FileNotFoundError
        (tmp_path / "model.bin").write_bytes(bytes(1_000))
        assert seen.wait(5)
        return str(tmp_path)

    def progress(come: str) -> None:
        told.append(come)
        if come == "25 %":
            seen.set()

    with caplog.at_level(logging.INFO):
        find_model("small", tmp_path / "models", tmp_path, fetch, progress)
    lines = [record for record in caplog.records if getattr(record, "percent", None) == 25]
    assert lines
    assert lines[0].__dict__["bytes"] == 1_000
    assert caplog.records[-1].getMessage() == "downloaded the model"


def test_without_a_network_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_total_bytes", lambda name: None)
    with pytest.raises(ModelMissing, match=r"ASR_MODEL=small: can't be.*check the network.*outlet-en"):
        find_model("small", tmp_path, tmp_path, offline)


def test_auto_takes_whisper_when_its_model_is_at_hand() -> None:
    engine = open_engine(settings())
    assert (engine.name, engine.model) == ("whisper", "outlet-en")
    engine.close()


def test_auto_falls_back_to_sphinx_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_total_bytes", lambda name: None)
    with caplog.at_level(logging.WARNING):
        engine = open_engine(settings(asr_model="small"), offline)
    assert engine.name == "sphinx"
    assert "falls back to sphinx" in caplog.text


def test_whisper_without_its_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_total_bytes", lambda name: None)
    with pytest.raises(ModelMissing):
        open_engine(settings(asr_model="small", asr_engine="whisper"), offline)


def test_a_broken_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"nonsense")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EngineBroken, match="ASR_MODEL"):
        open_engine(settings(asr_model=str(tmp_path), asr_engine="whisper"))


def test_settings_name_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_ENGINE", "siri")
    with pytest.raises(SettingsInvalid, match="ASR_ENGINE"):
        load_settings(AsrSettings)
    monkeypatch.delenv("ASR_ENGINE")
    with pytest.raises(ValidationError, match="ASR_SPECULATE_MS must not exceed ASR_COMMIT_MS"):
        AsrSettings(asr_speculate_ms=500, asr_commit_ms=400)
    with pytest.raises(ValidationError, match="name a model"):
        AsrSettings(asr_model=" ")


def test_settings_become_samples() -> None:
    rules = AsrSettings(asr_commit_ms=480).rules_for(("en",))
    assert rules.endpoint.commit == 480 * 16
    assert AsrSettings(asr_threads=0).threads >= 1
    assert AsrSettings(asr_languages="en, hi").languages == ("en", "hi")
