"""Commands for the author of a playbook: `lint` a file, `try` it on a transcript, print its `schema`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import CoachError
from .playbook import Playbook
from .playbook_file import LoadedPlaybook, load_playbook
from .replay import read_transcript, replay
from .rules import CompiledPlaybook


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status: 0 good, 1 the file is not, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m fieldcoach.coach")
    commands = parser.add_subparsers(dest="command", required=True)
    lint = commands.add_parser("lint", aliases=["check"], help="say what is wrong in a playbook, and where")
    lint.add_argument("playbook", type=Path)
    lint.set_defaults(run=_lint)
    again = commands.add_parser(
        "try", aliases=["replay"], help="which cues a transcript would fire, when and why"
    )
    again.add_argument("playbook", type=Path)
    again.add_argument("transcript", type=Path)
    again.add_argument("--level", choices=("novice", "standard", "minimal"), default="standard")
    again.add_argument("--json", action="store_true", help="one JSON object")
    again.set_defaults(run=_try)
    commands.add_parser("schema", help="print the JSON Schema of playbooks, for editors").set_defaults(
        run=lambda _options: playbook_schema()
    )
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(options.run(options) + "\n")
    except CoachError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def playbook_schema() -> str:
    """The JSON Schema of a playbook file, as `playbooks/playbook.schema.json` holds it."""
    schema: dict[str, Any] = Playbook.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False)


def _load(path: Path) -> LoadedPlaybook:
    loaded = load_playbook(path)
    for flaw in loaded.warnings:
        sys.stderr.write(flaw.at(str(path)) + "\n")
    return loaded


def _lint(options: argparse.Namespace) -> str:
    playbook = _load(options.playbook).playbook
    return (
        f"{options.playbook}: good. Playbook {playbook.id} version {playbook.version}: "
        f"{len(playbook.stages)} stages, {len(playbook.objections)} objections, "
        f"{len(playbook.cues)} cues, {len(playbook.vocabulary.skus)} products."
    )


def _try(options: argparse.Namespace) -> str:
    rules = CompiledPlaybook(_load(options.playbook).playbook)
    result = replay(rules, read_transcript(options.transcript), options.level)
    return json.dumps(result.as_json(), ensure_ascii=False) if options.json else result.as_text()
