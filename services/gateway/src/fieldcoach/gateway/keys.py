"""Make the two keys of an installation, once: `python -m fieldcoach.gateway.keys DIRECTORY`.

The files are named as the settings read them from `/run/secrets`. What is there already stays.
"""

import os
import secrets
import sys
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 48
NAMES: Final = ("user_token_key", "session_token_key")
_MODE: Final = 0o444
"""The service runs as another user than the one who makes the keys; the directory keeps others out."""


def make_keys(directory: Path) -> list[str]:
    """Create the missing keys; returns the names of the new ones."""
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for name in NAMES:
        try:
            handle = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        except FileExistsError:
            continue
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(KEY_BYTES))
        made.append(name)
    return made


def main(arguments: list[str]) -> int:
    """The command; status 2 when it is called wrongly."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m fieldcoach.gateway.keys DIRECTORY\n")
        return 2
    made = make_keys(Path(arguments[0]))
    sys.stdout.write(f"made: {', '.join(made) or 'nothing, all keys are there'}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
