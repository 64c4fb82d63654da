"""Starts the service; with an argument runs a command on a playbook instead (`check`, `replay`)."""

import sys

from fieldcoach.common.lifecycle import run

from .cli import main
from .service import CoachService
from .settings import CoachSettings

if __name__ == "__main__":
    if len(sys.argv) > 1:
        raise SystemExit(main(sys.argv[1:]))
    run("coach", CoachSettings, CoachService)
