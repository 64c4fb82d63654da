"""bench visit asks the coach, as another process, which objection cues its limits allow."""

from pathlib import Path

import pytest

from fieldcoach.tools.bench.gold import load_visit
from fieldcoach.tools.bench.replay import allowed_objection_cues
from fieldcoach.tools.errors import BenchError

ROOT = Path(__file__).parents[2]
PLAYBOOK = ROOT / "playbooks" / "outlet-en.yaml"


async def test_the_coach_says_how_many_objection_cues_are_allowed() -> None:
    visit = load_visit(ROOT / "visits" / "biscuits-no-space.json")
    assert await allowed_objection_cues(PLAYBOOK, visit) == 1
    assert await allowed_objection_cues(PLAYBOOK, visit.until(17.0)) == 0


async def test_a_replay_that_fails_is_told_in_the_coachs_words(tmp_path: Path) -> None:
    visit = load_visit(ROOT / "visits" / "biscuits-no-space.json")
    playbook = tmp_path / "broken.yaml"
    playbook.write_text("id: broken\nsurprise: 1\n")
    with pytest.raises(BenchError, match=r"biscuits-no-space: the coach's replay failed(.|\n)*surprise"):
        await allowed_objection_cues(playbook, visit)
