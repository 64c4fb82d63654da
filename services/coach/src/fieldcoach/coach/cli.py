"""Commands for the author of a playbook: `check` a file, `replay` a transcript through it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import CoachError
from .playbook_file import load_playbook
from .replay import read_transcript, replay
from .rules import CompiledPlaybook


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status: 0 good, 1 the file is not, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m fieldcoach.coach")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say what is wrong in a playbook, and where")
    check.add_argument("playbook", type=Path)
    again = commands.add_parser("replay", help="which cues a transcript would fire, when and why")
    again.add_argument("playbook", type=Path)
    again.add_argument("transcript", type=Path)
    again.add_argument("--level", choices=("novice", "standard", "minimal"), default="standard")
    again.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    try:
        loaded = load_playbook(options.playbook)
        for flaw in loaded.warnings:
            sys.stderr.write(flaw.at(str(options.playbook)) + "\n")
        if options.command == "check":
            playbook = loaded.playbook
            sys.stdout.write(
                f"{options.playbook}: good. Playbook {playbook.id} version {playbook.version}: "
                f"{len(playbook.stages)} stages, {len(playbook.objections)} objections, "
                f"{len(playbook.cues)} cues, {len(playbook.vocabulary.skus)} products.\n"
            )
            return 0
        result = replay(CompiledPlaybook(loaded.playbook), read_transcript(options.transcript), options.level)
    except CoachError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    text = json.dumps(result.as_json(), ensure_ascii=False) if options.json else result.as_text()
    sys.stdout.write(text + "\n")
    return 0
