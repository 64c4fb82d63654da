"""Quantities in an utterance: `ten boxes of cream biscuits`, `cola six cases`, `two more packets`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .reading import Mention, Reading, Span

_MEASURES: Final = frozenset(
    {"rupee", "rupees", "percent", "day", "days", "week", "weeks", "month", "months", "gram", "grams", "kilo"}
    | {"and", "of", "or", "to", "o'clock", "times", "shelf", "more"}
)
"""After a number these say that it counts something else than the unit that follows."""
_BEFORE_NUMBER: Final = frozenset(
    {"only", "just", "about", "say", "please", "also", "around", "of", "sirf", "bas", "ke"}
)
_SKU_REACH: Final = 4
"""`of the new golden` may stand between the unit and the product."""
_DOZEN: Final = 12


@dataclass(frozen=True, slots=True)
class Quantity:
    """So many units of a product; `sku` and `unit` are None where they were not said."""

    span: Span
    number: int
    unit: str | None
    sku: str | None
    is_more: bool = False


def quantities(reading: Reading) -> list[Quantity]:
    """The quantities from left to right. A number counts only with a unit or a product after it."""
    found: list[Quantity] = []
    taken = 0
    for place, mention in enumerate(reading.mentions):
        if mention.first < taken:
            continue
        quantity = _read(reading, place, taken)
        if quantity:
            found.append(quantity)
            taken = quantity.span.end
    return found


def _read(reading: Reading, place: int, taken: int) -> Quantity | None:
    words, mention = reading.words, reading.mentions[place]
    if mention.kind == "number":
        first, number, after = mention.first, mention.number, mention.end
    elif mention.kind == "unit" and mention.first > taken and words[mention.first - 1] == "a":
        first, number, after = mention.first - 1, 1, mention.first
    else:
        return None
    is_more = after < len(words) and words[after] in {"more", "extra"}
    if is_more:
        after += 1
    following = [m for m in reading.mentions[place:] if m.first >= after]
    unit = following[0] if following and following[0].kind == "unit" else None
    # one word may describe the unit (`ten small packets`), but not one that is itself a measure
    near = unit is not None and (
        unit.first == after or (unit.first == after + 1 and words[after] not in _MEASURES)
    )
    if unit is None or not near:
        sku = following[0] if following and following[0].kind == "sku" else None
        if sku is None or sku.first != after:
            return None
        return Quantity(Span(first, sku.end), number, None, sku.value, is_more)
    if len(following) > 1 and following[1].kind == "unit" and following[1].first == unit.end:
        if unit.value == "dozen":
            number *= _DOZEN
        unit = following[1]
    return _with_product(reading, Quantity(Span(first, unit.end), number, unit.value, None, is_more), taken)


def _with_product(reading: Reading, quantity: Quantity, taken: int) -> Quantity:
    words, end = reading.words, quantity.span.end
    after = _product_after(reading, end)
    says_of = end < len(words) and words[end] == "of"
    if not (after and says_of):
        before = _product_before(reading, quantity.span.first, taken)
        if before:
            return Quantity(quantity.span, quantity.number, quantity.unit, before.value, quantity.is_more)
    if after:
        span = Span(quantity.span.first, after.end)
        return Quantity(span, quantity.number, quantity.unit, after.value, quantity.is_more)
    return quantity


def _product_after(reading: Reading, end: int) -> Mention | None:
    for mention in reading.mentions:
        if mention.first >= end:
            between = reading.words[end : mention.first]
            is_near = len(between) <= _SKU_REACH and not {"and", "on", "for", "with"} & set(between)
            return mention if mention.kind == "sku" and is_near else None
    return None


def _product_before(reading: Reading, first: int, taken: int) -> Mention | None:
    while first > taken and reading.words[first - 1] in _BEFORE_NUMBER:
        first -= 1
    return next(
        (m for m in reading.mentions if m.kind == "sku" and m.end == first and m.first >= taken), None
    )


def products(reading: Reading) -> Iterator[Mention]:
    """Every product that is named."""
    return (mention for mention in reading.mentions if mention.kind == "sku")
