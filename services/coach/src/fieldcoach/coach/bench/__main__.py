"""`python -m fieldcoach.coach.bench VISITS PLAYBOOKS [--seeds N]`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import CoachError
from ..playbook_file import load_playbook
from ..rules import CompiledPlaybook
from .gold import MarkedLine, MarkedVisit, gold_of, visits_in
from .noise import WordNoise, flipped, without_halves
from .score import Counts, Score, score_visit

PLAYBOOK: Final = "outlet-en"
PLAYBOOKS: Final = {"hi": "outlet-hi", "hi-Latn": "outlet-hi"}
"""By the visit's language, where that playbook is there; else `outlet-en`."""
RATES: Final = (0.1, 0.2, 0.3)
LOST: Final = 0.2
LONG_S: Final = 20 * 60.0

Changed = Callable[[MarkedVisit, int], MarkedVisit]


def main() -> int:
    """Measure and print; 1 where a file is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m fieldcoach.coach.bench")
    parser.add_argument("visits", type=Path)
    parser.add_argument("playbooks", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each noise")
    options = parser.parse_args()
    try:
        figures = measure(visits_in(options.visits), options.playbooks, options.seeds)
    except CoachError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def measure(visits: Sequence[MarkedVisit], playbooks: Path, seeds: int) -> dict[str, Any]:
    """All figures of a set of visits.

    Raises:
        PlaybookInvalid: a playbook is not one.
    """
    rules: dict[str, CompiledPlaybook] = {}
    for visit in visits:
        name = PLAYBOOKS.get(visit.language, PLAYBOOK)
        path = playbooks / f"{name}.yaml"
        path = path if path.is_file() else playbooks / f"{PLAYBOOK}.yaml"
        if visit.language not in rules:
            rules[visit.language] = CompiledPlaybook(load_playbook(path).playbook)
    vocabulary = sorted({word for visit in visits for line in visit.lines for word in line.text.split()})

    def scored(chosen: Sequence[MarkedVisit], change: Changed, runs: int) -> Score:
        total = Score()
        for seed in range(runs):
            for visit in chosen:
                total.add(score_visit(rules[visit.language], change(visit, seed), gold_of(visit)))
        return total

    def as_said(visit: MarkedVisit, _seed: int) -> MarkedVisit:
        return visit

    clean = scored(visits, as_said, 1)

    def misheard(chosen: Sequence[MarkedVisit], rate: float) -> Score:
        return scored(chosen, lambda visit, seed: WordNoise(rate, seed, vocabulary).applied(visit), seeds)

    def in_noise(chosen: Sequence[MarkedVisit]) -> dict[str, Any]:
        return {f"{round(100 * rate)}": _told(misheard(chosen, rate)) for rate in RATES}

    def lost(visit: MarkedVisit, seed: int) -> MarkedVisit:
        return without_halves(visit, LOST, seed)

    def in_language(language: str) -> dict[str, Any]:
        own = [visit for visit in visits if visit.language == language]
        return _told(scored(own, as_said, 1)) | {
            "playbook": rules[language].playbook.id,
            "noise": in_noise(own),
        }

    return {
        **_told(clean),
        "small_talk_cues": _small_talk(rules, visits),
        "noise": in_noise(visits),
        "lost_words": _told(scored(visits, lost, seeds)),
        "flipped_speakers": _told(scored(visits, flipped, 1)),
        "by_language": {language: in_language(language) for language in sorted(rules)},
        "visits": {visit.id: _told(scored([visit], as_said, 1)) for visit in visits},
        "compute_ms": _percentiles([1e3 * took for took in clean.raising_update_s], 50, 99),
        "update_ms": _long_visit(rules, visits),
    }


def _told(score: Score) -> dict[str, Any]:
    return {
        "precision": _rounded(score.objections.precision),
        "recall": _rounded(score.objections.recall),
        "false_per_10min": _rounded(600 * score.objections.invented / score.seconds),
        "time_to_cue_ms": _percentiles([1e3 * wait for wait in score.cue_waits_s], 50, 95),
        "order_f1": _rounded(score.orders.f1),
        "stage_f1": _rounded(score.stages.f1),
        "objections": _counted(score.objections),
        "orders": _counted(score.orders),
        "stages": _counted(score.stages),
    }


def _counted(counts: Counts) -> dict[str, int]:
    return {"right": counts.right, "invented": counts.invented, "missed": counts.missed}


def _small_talk(rules: dict[str, CompiledPlaybook], visits: Sequence[MarkedVisit]) -> int:
    """Objections raised in visits in which nobody objects."""
    total = Score()
    for visit in visits:
        if not (gold := gold_of(visit)).objections:
            total.add(score_visit(rules[visit.language], visit, gold))
    return total.objections.invented


def _long_visit(rules: dict[str, CompiledPlaybook], visits: Sequence[MarkedVisit]) -> dict[str, float | None]:
    """Compute of an update in the last quarter of a visit of twenty minutes: all lines, again and again."""
    took: list[float] = []
    for language, compiled in rules.items():
        lines: list[MarkedLine] = []
        own = [line for visit in visits if visit.language == language for line in visit.lines]
        at = 0.0
        while at < LONG_S:
            line = own[len(lines) % len(own)]
            length = max(0.5, line.end - line.start)
            lines.append(line.model_copy(update={"start": at, "end": at + length}))
            at += length + 0.5
        long = MarkedVisit(id="long", language=language, lines=tuple(lines))
        updates = score_visit(compiled, long, gold_of(long)).update_s
        took += updates[3 * len(updates) // 4 :]
    return _percentiles([1e3 * one for one in took], 50, 99)


def _percentiles(values: list[float], *percents: int) -> dict[str, float | None]:
    ordered = sorted(values)
    return {
        f"p{percent}": round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2)
        if ordered
        else None
        for percent in percents
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


if __name__ == "__main__":
    sys.exit(main())
