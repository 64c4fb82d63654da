"""The summary by rules alone: score, order, objections, at most two tips, a few sentences."""

from collections.abc import Sequence

from .orders import Line
from .playbook import Playbook


def score_of(playbook: Playbook, done: frozenset[str]) -> int:
    """0 to 100: the weights of the stages that were done."""
    return min(100, sum(stage.weight for stage in playbook.stages if stage.id in done))


def tips_of(playbook: Playbook, done: frozenset[str], language: str) -> tuple[str, ...]:
    """The tips of the weightiest stages that were missed."""
    missed = sorted(
        (stage for stage in playbook.stages if stage.id not in done and stage.tip),
        key=lambda stage: -stage.weight,
    )
    return tuple(playbook.say(stage.tip, language) for stage in missed[: playbook.summary.tips_max])


def text_of(
    playbook: Playbook,
    done: frozenset[str],
    lines: Sequence[Line],
    objections: Sequence[str],
    language: str,
) -> str:
    """What happened, from the engine's own facts."""
    ordered = ", ".join(f"{line.qty} {line.unit} of {line.sku}" for line in lines) or "nothing"
    titles = {item.id: playbook.say(item.title, language) or item.id for item in playbook.objections}
    heard = ", ".join(dict.fromkeys(titles.get(item, item) for item in objections)) or "none"
    count = f"{len(done)} of {len(playbook.stages)}"
    return f"Steps done: {count}. Order: {ordered}. Objections: {heard}."
