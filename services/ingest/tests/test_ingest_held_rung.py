"""A rung that is held for a measurement: the setting, and a link that would move any other ladder."""

import pytest

from fieldcoach.common.errors import FieldCoachError
from fieldcoach.common.settings import load_settings
from fieldcoach.ingest.adaptation import LOOK_S, Adaptation
from fieldcoach.ingest.settings import IngestSettings


@pytest.mark.parametrize("held", ["L0", "L3"])
def test_the_rung_stays_when_nothing_comes_and_after_a_new_connection(held: str) -> None:
    adaptation = Adaptation(0.0, lambda _outcome: None, held)  # type: ignore[arg-type]
    assert adaptation.first_profile.rung == adaptation.profile.rung == held
    command = adaptation.connected(0.0)
    assert command.profile.rung == held
    adaptation.commands.applied(command.number, command.profile.rung)
    assert not [at for at in range(1, 60) if adaptation.poll(2.0, at * LOOK_S) is not None]
    assert adaptation.connected(40.0).profile.rung == held


def test_the_setting_takes_a_rung_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNG", raising=False)
    assert load_settings(IngestSettings).rung == ""
    monkeypatch.setenv("RUNG", "L2")
    assert load_settings(IngestSettings).rung == "L2"
    monkeypatch.setenv("RUNG", "L5")
    with pytest.raises(FieldCoachError, match="RUNG"):
        load_settings(IngestSettings)
