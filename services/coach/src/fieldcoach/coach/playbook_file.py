"""Playbook files: YAML in, a checked playbook out, or every flaw with its line, field and fix."""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from rapidfuzz import process

from .errors import Flaw, PlaybookInvalid
from .lint import lint
from .playbook import Playbook

MAX_BYTES = 512 * 1024
"""A playbook is written by hand; more than this is another file, or an alias bomb."""
MAX_NODES = 50_000


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans only: in 1.1 the key `on` and the value `off` would be booleans too."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:bool"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


@dataclass(frozen=True, slots=True)
class LoadedPlaybook:
    """A playbook that may be used, and what its author should still look at."""

    playbook: Playbook
    warnings: tuple[Flaw, ...]


@dataclass
class _Lines:
    """Where each path of the document stands; lines count from 1."""

    keys: dict[tuple[Hashable, ...], int] = field(default_factory=dict)
    values: dict[tuple[Hashable, ...], int] = field(default_factory=dict)

    def of(self, path: tuple[Hashable, ...]) -> int:
        for length in range(len(path), -1, -1):
            line = self.keys.get(path[:length]) or self.values.get(path[:length])
            if line:
                return line
        return 0


def load_playbook(path: Path) -> LoadedPlaybook:
    """Read, check and lint one file.

    Raises:
        PlaybookInvalid: with every flaw found.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        flaw = Flaw(0, "file", error.strerror or "can't be read", "name a readable playbook file")
        raise PlaybookInvalid(str(path), (flaw,)) from error
    return parse_playbook(raw, str(path))


def parse_playbook(raw: bytes, file: str) -> LoadedPlaybook:
    """Check and lint the bytes of a playbook; `file` stands in messages.

    Raises:
        PlaybookInvalid: with every flaw found.
    """
    document, lines = _read_yaml(raw, file)
    try:
        playbook = Playbook.model_validate(document)
    except ValidationError as error:
        raise PlaybookInvalid(file, tuple(_flaw_of(item, lines) for item in error.errors())) from error
    flaws = [
        Flaw(lines.of(path), _field(path), what, fix, is_error)
        for path, what, fix, is_error in lint(playbook, datetime.now(UTC).date())
    ]
    if any(flaw.is_error for flaw in flaws):
        raise PlaybookInvalid(file, tuple(flaws))
    return LoadedPlaybook(playbook, tuple(flaws))


def _read_yaml(raw: bytes, file: str) -> tuple[dict[Any, Any], _Lines]:
    if len(raw) > MAX_BYTES:
        flaw = Flaw(0, "file", f"longer than {MAX_BYTES // 1024} KiB", "split the playbook")
        raise PlaybookInvalid(file, (flaw,))
    try:
        root = yaml.compose(raw, Loader=_Loader)
        lines, flaws = _Lines(), list[Flaw]()
        if isinstance(root, yaml.MappingNode):
            for seen, twice in enumerate(_walk(root, (), lines)):
                if twice:
                    flaws.append(twice)
                if seen > MAX_NODES:
                    flaws.append(Flaw(0, "file", "too many entries", "use fewer aliases"))
                    break
        if flaws:
            raise PlaybookInvalid(file, tuple(flaws))
        document = yaml.load(raw, Loader=_Loader)  # a SafeLoader with fewer types
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "not YAML"
        flaw = Flaw(mark.line + 1 if mark else 0, "YAML", what, "check indents, quotes and colons there")
        raise PlaybookInvalid(file, (flaw,)) from error
    except (RecursionError, ValueError) as error:
        flaw = Flaw(0, "YAML", "nested too deeply, or a value that is none", "write it as the example does")
        raise PlaybookInvalid(file, (flaw,)) from error
    if not isinstance(document, dict):
        flaw = Flaw(1, "file", "not a playbook", "begin with `schema: coach.playbook/1`")
        raise PlaybookInvalid(file, (flaw,))
    return document, lines


def _walk(node: yaml.Node, path: tuple[Hashable, ...], lines: _Lines) -> Iterator[Flaw | None]:
    lines.values.setdefault(path, node.start_mark.line + 1)
    yield None
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, key.value if isinstance(key, yaml.ScalarNode) else "?")
            line = key.start_mark.line + 1
            if inner in lines.keys:
                # YAML would silently keep the last one
                yield Flaw(
                    line, _field(inner), f"the key is there twice (line {lines.keys[inner]})", "keep one"
                )
            lines.keys[inner] = line
            yield from _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _walk(value, (*path, number), lines)


def _field(path: tuple[Hashable, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text or "file"


def _flaw_of(item: ErrorDetails, lines: _Lines) -> Flaw:
    path = tuple(part for part in item["loc"] if part != "[key]")
    where, line = _field(path), lines.of(path)
    message = item["msg"].removeprefix("Value error, ")
    match item["type"]:
        case "extra_forbidden":
            known = _fields_at(path[:-1])
            found = process.extractOne(str(path[-1]), known, score_cutoff=60) if known else None
            fix = f"did you mean {found[0]!r}?" if found else f"remove it, or use one of {', '.join(known)}"
            return Flaw(line, where, f"unknown key {path[-1]!r}", fix.rstrip("?") if found else fix)
        case "missing":
            return Flaw(line, where, f"{path[-1]!r} is missing", "add it")
        case "string_pattern_mismatch" if path[-1] in {"id", "cue", "objection", "stage_open", "after_stage"}:
            return Flaw(line, where, message, "use lower-case letters, digits, _ and -, a letter first")
        case "value_error":
            return Flaw(line, where, "can't be used so", message)
        case _:
            return Flaw(line, where, f"{_short(item['input'])} does not fit", message)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _fields_at(path: tuple[Hashable, ...]) -> list[str]:
    """The keys that the part at `path` may have."""
    kind: Any = Playbook
    for part in path:
        if isinstance(part, int) or not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            continue
        known = {(info.alias or name): info.annotation for name, info in kind.model_fields.items()}
        kind = _model_in(known.get(str(part)))
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return []
    return [info.alias or name for name, info in kind.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _model_in(part))), None)
