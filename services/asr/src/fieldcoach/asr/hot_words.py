"""The words that a playbook expects to hear: its products, units and what else its vocabulary names.

Read from the same files as the coach's, and only their vocabulary: names are all that a recogniser can use.
"""

import logging
from pathlib import Path
from typing import Any, Final

import yaml

log = logging.getLogger(__name__)

MOST: Final = 200
"""Names of one playbook. An engine takes as many of the first as its prompt holds."""


def load_hot_words(folder: Path) -> dict[str, tuple[str, ...]]:
    """By playbook id. A file that can't be read costs its own hot words only, and is told of."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            playbook = yaml.safe_load(path.read_text())
            found[str(playbook["id"])] = names_in(playbook.get("vocabulary") or {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            log.warning("no hot words", extra={"file": path.name, "error": type(error).__name__})
    return found


def names_in(vocabulary: dict[str, Any]) -> tuple[str, ...]:
    """Every first name in a playbook's vocabulary: what an item is called, not how else it may be said."""
    names: dict[str, None] = {}
    for items in vocabulary.values():
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and "id" in item:
                name = next(iter(item.get("names") or ()), item["id"])
                names[str(name)] = None
    return tuple(names)[:MOST]
