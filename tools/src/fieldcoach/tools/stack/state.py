"""Who runs from this run directory: a lock that dies with its holder, and a private file about it."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from ..errors import AlreadyRunning, NoStack

STATE_FILE = "stack.json"
LOCK_FILE = "stack.lock"


@dataclass(frozen=True, slots=True)
class RunningStack:
    """What another command of the same user needs to know."""

    gateway_url: str
    pid: int
    user_token_key: str = field(repr=False)
    health_urls: dict[str, str] = field(default_factory=dict)
    nats_url: str = ""


class RunDirectory:
    """Held by one stack at a time. The kernel frees the lock when its holder dies, however it dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: IO[str] | None = None

    def hold(self) -> None:
        """Take it.

        Raises:
            AlreadyRunning: a live stack holds it; the message says where it is.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / LOCK_FILE).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise AlreadyRunning(self._who()) from error
        self._lock = lock

    def write(self, state: RunningStack) -> None:
        """Describe the stack; readable by this user only, since it holds the key of its user tokens."""
        target = self._folder / STATE_FILE
        target.unlink(missing_ok=True)  # so that the mode below is that of a new file
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(state), file)

    def release(self) -> None:
        """Forget the stack and let the next one in."""
        if self._lock is None:
            return
        (self._folder / STATE_FILE).unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def _who(self) -> str:
        where = f"a stack is running already (run directory {self._folder})"
        try:
            state = _read(self._folder)
        except (OSError, ValueError, TypeError):
            return f"{where}, or just starting; stop it first, or give this one its own --run-dir and PORT"
        return (
            f"{where}: {state.gateway_url}, process {state.pid};"
            " stop it with Ctrl-C there, or give this one its own --run-dir and PORT"
        )


def read_running(folder: Path) -> RunningStack:
    """The stack that runs from `folder`.

    Raises:
        NoStack: none does.
    """
    try:
        with (folder / LOCK_FILE).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        is_held = False
    except FileNotFoundError:
        is_held = False
    except OSError:
        is_held = True
    if is_held:
        try:
            return _read(folder)
        except (OSError, ValueError, TypeError):
            raise NoStack(
                f"the stack of {folder} is still starting; wait until it says it is ready"
            ) from None
    raise NoStack(f"no stack runs from {folder}; start one with `make up` (or: fieldcoach up)")


def _read(folder: Path) -> RunningStack:
    return RunningStack(**json.loads((folder / STATE_FILE).read_text()))
