"""The playbooks of a folder, by id, read again when a file changes.

A file that can't be used any more leaves its last good version in force. A visit holds the compiled playbook
with which it began, so a new version is for new visits only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import PlaybookInvalid
from .playbook_file import load_playbook
from .rules import CompiledPlaybook

Signature = tuple[int, int]
"""Time of change in ns and size in bytes: what tells that a file may have changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a look at the folder brought. `detail` names file, line, field and fix of what is wrong."""

    kind: Literal["loaded", "reloaded", "rejected", "kept-last-good", "warned", "removed"]
    file: str
    detail: str = ""


@dataclass(slots=True)
class _Entry:
    """One file: what was seen of it last, what is in force, what is wrong with it now."""

    seen: Signature
    good: CompiledPlaybook | None = None
    flaw: str = ""


class PlaybookShelf:
    """The playbooks of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[Path, _Entry] = {}

    @classmethod
    def read(cls, folder: Path) -> "PlaybookShelf":
        """Read every `*.yaml` of the folder; what is wrong ends up in `flaws`, not in an exception."""
        shelf = cls(folder)
        shelf.refresh()
        return shelf

    @property
    def flaws(self) -> list[str]:
        """What is wrong now, with file, line, field and fix."""
        if not self._entries:
            return [f"{self._folder}: no playbooks (*.yaml) there. Fix: set PLAYBOOKS_DIR to their folder."]
        return [entry.flaw for entry in self._entries.values() if entry.flaw]

    def find(self, id_: str) -> CompiledPlaybook | None:
        """The playbook of that id in its last good version."""
        return next((good for good in self._good() if good.playbook.id == id_), None)

    def __len__(self) -> int:
        return len(self._good())

    def has_changed(self) -> bool:
        """Whether `refresh` would read anything; costs a look at each file."""
        return self._signatures() != {path: entry.seen for path, entry in self._entries.items()}

    def refresh(self) -> list[Change]:
        """Read what is new or has changed, and let go of files that are gone."""
        signatures = self._signatures()
        changes = [Change("removed", str(path)) for path in self._entries if path not in signatures]
        self._entries = {path: entry for path, entry in self._entries.items() if path in signatures}
        for path, seen in signatures.items():
            entry = self._entries.get(path)
            may_be_good_now = entry is not None and entry.flaw and changes  # its id may be free again
            if entry is None or entry.seen != seen or may_be_good_now:
                changes += self._read(path, seen, entry)
        return changes

    def _read(self, path: Path, seen: Signature, before: _Entry | None) -> list[Change]:
        good, file = before.good if before else None, str(path)
        try:
            loaded = load_playbook(path)
            others = [other.playbook.id for place, other in self._places() if place != path]
            if loaded.playbook.id in others:
                raise PlaybookInvalid.of_id(file, loaded.playbook.id)
        except PlaybookInvalid as error:
            self._entries[path] = _Entry(seen, good, str(error))
            return [Change("kept-last-good" if good else "rejected", file, str(error))]
        self._entries[path] = _Entry(seen, CompiledPlaybook(loaded.playbook))
        warnings = [flaw.at(file) for flaw in loaded.warnings]
        if good and good.playbook != loaded.playbook and good.playbook.version == loaded.playbook.version:
            warnings.append(f"{file}: version: changed without a new version. Fix: count it up.")
        told = [Change("warned", file, warning) for warning in warnings]
        return [Change("reloaded" if good else "loaded", file), *told]

    def _signatures(self) -> dict[Path, Signature]:
        found = {}
        for path in sorted(self._folder.glob("*.yaml")) if self._folder.is_dir() else []:
            try:
                status = path.stat()
            except OSError:
                continue  # an editor has just moved it away
            found[path] = (status.st_mtime_ns, status.st_size)
        return found

    def _places(self) -> list[tuple[Path, CompiledPlaybook]]:
        return [(path, entry.good) for path, entry in self._entries.items() if entry.good]

    def _good(self) -> list[CompiledPlaybook]:
        return [good for _, good in self._places()]
