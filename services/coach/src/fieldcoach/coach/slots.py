"""The slots of a rule's text: `{sku}`, `{scheme}` and `{scheme.say}`, filled from the playbook's own data.

They stand for the product last spoken of and the scheme that it has; where that says nothing, for the first
must-sell product with a scheme in force, or the first scheme in force.
"""

import re
from datetime import date
from typing import Final

from .playbook import Playbook, Scheme, Sku, Texts

RULE_SLOTS: Final = ("sku", "scheme", "scheme.say")
_SLOT: Final = re.compile(r"\{([^{}]*)\}")


def filled(playbook: Playbook, texts: Texts, language: str, sku_id: str | None, today: date) -> str | None:
    """The text in that language with its slots filled; None where the data has nothing to fill one with.

    `sku_id`: the product last spoken of.
    """
    text = playbook.say(texts, language)
    if "{" not in text:
        return text
    skus = {sku.id: sku for sku in playbook.vocabulary.skus}
    scheme = _scheme_of(playbook, skus.get(sku_id or ""), today)
    values = {
        "sku": sku_id or next((sku.id for sku in skus.values() if sku.must_sell), None),
        "scheme": scheme.id if scheme else None,
        "scheme.say": playbook.say(scheme.say, language) if scheme else None,
    }
    wanted = set(_SLOT.findall(text))
    if not all(values.get(slot) for slot in wanted):
        return None
    return _SLOT.sub(lambda match: values[match[1]] or "", text)


def longest_filled(playbook: Playbook, text: str, language: str) -> int:
    """Characters of the text when each slot has its longest value."""
    vocabulary = playbook.vocabulary
    longest = {
        "sku": max((len(sku.id) for sku in vocabulary.skus), default=0),
        "scheme": max((len(scheme.id) for scheme in vocabulary.schemes), default=0),
        "scheme.say": max((len(playbook.say(s.say, language)) for s in vocabulary.schemes), default=0),
    }
    return len(_SLOT.sub("", text)) + sum(longest.get(slot, 0) for slot in _SLOT.findall(text))


def _scheme_of(playbook: Playbook, sku: Sku | None, today: date) -> Scheme | None:
    in_force = {s.id: s for s in playbook.vocabulary.schemes if s.valid is None or s.valid >= today}
    must_sell = (other for other in playbook.vocabulary.skus if other.must_sell)
    for product in (sku, *must_sell):
        if product and product.scheme in in_force:
            return in_force[product.scheme]
    return next(iter(in_force.values()), None)
