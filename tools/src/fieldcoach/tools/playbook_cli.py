"""The `fieldcoach playbook` commands, for the author of a playbook. The coach itself does the work."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

COACH: Final = (sys.executable, "-m", "fieldcoach.coach")

playbook = typer.Typer(help="Check a playbook, and try it on a transcript.", no_args_is_help=True)

PlaybookFile = Annotated[Path, typer.Argument(metavar="FILE", help="A playbook (*.yaml)")]


@playbook.command()
def lint(file: PlaybookFile) -> None:
    """Say what is wrong in a playbook: file, line, field, fix. Status 1 if it can't be used."""
    _coach("lint", str(file))


@playbook.command(name="try")
def try_(
    file: PlaybookFile,
    transcript: Annotated[Path, typer.Argument(help="A visit's JSON, as in visits/")],
    level: Annotated[str, typer.Option(help="novice, standard or minimal")] = "standard",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False,
) -> None:
    """Which cues a transcript would fire, when and why, and which rule held the others back."""
    _coach("try", str(file), str(transcript), "--level", level, *(("--json",) if as_json else ()))


@playbook.command()
def schema() -> None:
    """Print the JSON Schema of playbooks, for editors."""
    _coach("schema")


def _coach(*arguments: str) -> None:
    status = subprocess.run([*COACH, *arguments], check=False).returncode
    if status:
        raise typer.Exit(status)
