"""Where the checkout is: the folder that holds `playbooks`, `models` and `visits`."""

import os
from pathlib import Path

from .errors import ProjectNotFound

_MARKS = ("playbooks", "services", "visits")
DEFAULT_PLAYBOOK = "outlet-en"
DEFAULT_VISIT = "biscuits-no-space"


def project_root(start: Path | None = None) -> Path:
    """The checkout at or above `start` (default: the working directory), else the one this file is in.

    Raises:
        ProjectNotFound: neither; the environment variable FIELDCOACH_ROOT can name it.
    """
    named = os.environ.get("FIELDCOACH_ROOT")
    begin = Path(named) if named else start or Path.cwd()
    for folder in (begin, *begin.parents, *Path(__file__).resolve().parents):
        if all((folder / mark).is_dir() for mark in _MARKS):
            return folder
    raise ProjectNotFound(
        f"no FieldCoach checkout at or above {begin}; run this inside one, or set FIELDCOACH_ROOT to it"
    )
