"""`check` and `replay`: exit status, messages, the stable JSON."""

import json
from pathlib import Path

import pytest

from fieldcoach.coach.cli import main

ROOT = Path(__file__).parents[3]
PLAYBOOK = str(ROOT / "playbooks/outlet-en.yaml")


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", PLAYBOOK]) == 0
    assert "9 stages, 7 objections" in capsys.readouterr().out
    bad = tmp_path / "bad.yaml"
    bad.write_text("schema: coach.playbook/1\nid: bad\nversion: 1\nstagez: []\n")
    assert main(["check", str(bad)]) == 1
    assert capsys.readouterr().err == (
        f"{bad}:4: stagez: unknown key 'stagez'. Fix: did you mean 'stages'.\n"
    )
    old = tmp_path / "old.yaml"
    old.write_text(
        "schema: coach.playbook/1\nid: old\nversion: 1\nvocabulary: {schemes: [{id: S, valid: 2020-01-01}]}\n"
    )
    assert main(["check", str(old)]) == 0
    assert "warning: vocabulary.schemes[0].valid" in capsys.readouterr().err


def test_replay_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", PLAYBOOK, str(ROOT / "visits/expired-stock.json"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [(d["at"], d["cue"], d["objection"], d["shown"], d["reason"]) for d in result["decisions"]] == [
        (8.077, "obj_damaged_expired", "damaged_expired", True, "fired"),
        (14.911, "obj_damaged_expired", "damaged_expired", False, "cooldown"),
        (32.479, "obj_slow_mover", "slow_mover", True, "fired"),
    ]
    assert set(result) >= {"decisions", "orders", "stages", "objections", "score", "tips"}
    assert result["objections"][0] == {"id": "damaged_expired", "at": 8.077}
    assert result["score"] == 35
    assert len(result["tips"]) == 2


def test_replay_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", PLAYBOOK, str(ROOT / "visits/quick-order.json")]) == 0
    out = capsys.readouterr().out
    assert "order: 6 cases of cola" in out
    assert main(["replay", PLAYBOOK, str(ROOT / "visits/enough-stock.json"), "--level", "minimal"]) == 0
    assert "show  obj_enough_stock" in capsys.readouterr().out


def test_replay_waits_and_expires(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("there is no space", "the margin is very low", "it is not selling", "i need ten days credit")
    lines = [{"start": 3.0 * n, "end": 3.0 * n + 2, "text": text} for n, text in enumerate(texts)]
    path = tmp_path / "visit.json"
    path.write_text(json.dumps({"seconds": 90, "lines": lines}))
    assert main(["replay", PLAYBOOK, str(path), "--json"]) == 0
    decisions = json.loads(capsys.readouterr().out)["decisions"]
    assert [(d["cue"], round(d["at"], 1), d["shown"], d["reason"], d["waited_for"]) for d in decisions] == [
        ("obj_no_space", 2, True, "fired", None),
        ("obj_price_margin", 7, True, "fired", "min_gap"),
        ("obj_credit", 12, True, "fired", "min_gap"),
        ("obj_slow_mover", 16.0, False, "expired", "min_gap"),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ("{}", "lines: Field required. Fix: give lines"),
        ('{"lines": [{"start": 1, "end": "x", "text": ""}]}', "lines.0.end"),
        ("[]", "file: "),
    ],
)
def test_a_bad_transcript(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, told: str
) -> None:
    path = tmp_path / "visit.json"
    path.write_text(content)
    assert main(["replay", PLAYBOOK, str(path)]) == 1
    assert told in capsys.readouterr().err
    assert main(["replay", PLAYBOOK, str(tmp_path / "away.json")]) == 1
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["dance"])
