"""The order as it grows out of the conversation: lines, corrections, offers that a yes accepts.

Who speaks is unknown, so what a quantity means is told by the phrase before it (`send me`, `shall i
write`); the phrases are the playbook's (`ordering`).
"""

from dataclasses import dataclass, replace
from typing import Final

from .quantities import Quantity, products, quantities
from .reading import Reading, Span
from .rules import CompiledPlaybook

PENDING_S: Final = 10.0
"""An offer that nobody answered for so long is forgotten: the next yes is about something else."""
_REACH: Final = 6
"""Words between `send me` and its quantity, as in `i will take the new golden washing powder ten packets`."""
_CONNECTIVES: Final = frozenset(
    {"and", "also", "of", "plus", "then", "with", "or", "another", "aur", "bhi", "ke"}
)
_OPENERS: Final = frozenset({"and", "of", "plus", "also"})
_BROKEN_OFF: Final = 2
"""Words after the last number or unit when a product's name is cut through: `ten boxes of cream`."""
_FILLERS: Final = frozenset(
    {"please", "sir", "madam", "ji", "then", "now", "only", "just", "no", "so", "it", "that"}
)
_NEGATIONS: Final = frozenset({"no", "not", "never", "nahi", "mat"})
_CONDITION_REACH: Final = 3
_PRECEDENCE: Final = ("condition", "ignore", "propose", "ask", "cancel", "change", "confirm", "order")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the order."""

    sku: str
    qty: int
    unit: str


@dataclass(frozen=True, slots=True)
class OrderState:
    """The order and what is needed to understand the next words about it."""

    lines: tuple[Line, ...] = ()
    discussed: str | None = None
    """The product last named."""
    last: str | None = None
    """The product of the line last set."""
    offered: tuple[Line, ...] = ()
    is_asked: bool = False
    """A bare quantity would be an answer."""
    pending_until: float = 0.0
    unplaced: int = 0
    """Quantities ordered while no product had been named."""

    def line_of(self, sku: str | None) -> Line | None:
        """The line of that product."""
        return next((line for line in self.lines if line.sku == sku), None)

    def with_line(self, line: Line) -> "OrderState":
        """That product's line set; its place in the order stays."""
        if self.line_of(line.sku):
            lines = tuple(line if old.sku == line.sku else old for old in self.lines)
        else:
            lines = (*self.lines, line)
        return replace(self, lines=lines, last=line.sku, discussed=line.sku)


class OrderReader:
    """Reads one utterance after the other. Holds no state: give it the one that it returned."""

    def __init__(self, playbook: CompiledPlaybook) -> None:
        self._ordering = playbook.ordering
        self._sku_unit = playbook.sku_unit
        self._is_verb_last = playbook.playbook.ordering.verb_last

    def read(self, state: OrderState, reading: Reading, at: float) -> OrderState:
        """The state after these words, said at second `at` of the visit."""
        if at > state.pending_until:
            state = replace(state, offered=(), is_asked=False)
        found = quantities(reading)
        phrases = self._phrases(reading)
        if not found:
            state = self._agreed(state, reading)
        kinds = self._kinds(state, reading, found, phrases)
        # first, so that `do not send ten boxes of cola, send five` ends with five
        state = self._cancel(state, reading, phrases)
        offered: list[Line] = []
        named = list(products(reading))
        for quantity, kind in zip(found, kinds, strict=True):
            for mention in named:
                if mention.end <= quantity.span.first:
                    state = replace(state, discussed=mention.value)
            state = self._take(state, quantity, kind, offered)
        state = self._change(state, reading, found, phrases)
        if named:
            state = replace(state, discussed=named[-1].value)
        is_asked = any(kind == "ask" for kind, _ in phrases)
        if offered or is_asked:
            state = replace(state, offered=tuple(offered), is_asked=is_asked, pending_until=at + PENDING_S)
        elif found:
            state = replace(state, offered=(), is_asked=False)
        return state

    def continues(self, before: Reading, words: tuple[str, ...]) -> bool:
        """Whether new words go on with an order broken off by a pause: `give me six` / `cases of cola`."""
        end = len(before.words)
        if words[0] in _OPENERS and len(words) > 1:
            return True
        if before.words and before.words[-1] in _CONNECTIVES:
            return True
        if any(span.end >= end for _, span in self._phrases(before)):
            return True
        counted = [mention for mention in before.mentions if mention.kind in {"number", "unit"}]
        return bool(counted) and counted[-1].end >= end - _BROKEN_OFF

    # ── what a quantity means ────────────────────────────────────────────────────────────────────────────

    def _phrases(self, reading: Reading) -> list[tuple[str, Span]]:
        """The ordering phrases from left to right; of overlapping ones the longest."""
        found = sorted(
            self._ordering.cues(reading),
            key=lambda entry: (entry[1].first - entry[1].end, _PRECEDENCE.index(entry[0])),
        )
        kept: list[tuple[str, Span]] = []
        for kind, span in found:
            if not any(span.overlaps(other) for _, other in kept):
                kept.append((kind, span))
        return sorted(kept, key=lambda entry: entry[1].first)

    def _kinds(
        self, state: OrderState, reading: Reading, found: list[Quantity], phrases: list[tuple[str, Span]]
    ) -> list[str]:
        kinds: list[str] = []
        is_bare = self._is_bare(reading, found)
        following = self._following(reading, found, phrases) if self._is_verb_last else [""] * len(found)
        for place, quantity in enumerate(found):
            kind = following[place] or self._governing(reading, quantity.span, found[:place], kinds, phrases)
            if not kind and is_bare and (state.is_asked or state.offered):
                kind = "order"
            kinds.append(kind)
        for kind, span in phrases:
            if kind != "condition":
                continue
            # `i will take five packets if you give three percent`: the whole list before it is a bid
            end = span.first
            for place in reversed(range(len(found))):
                if not 0 <= end - found[place].span.end <= _CONDITION_REACH:
                    continue
                kinds[place], end = "ignore", found[place].span.first
        return kinds

    @staticmethod
    def _following(reading: Reading, found: list[Quantity], phrases: list[tuple[str, Span]]) -> list[str]:
        """The kinds by the phrase after each quantity, or after the list that it stands in."""
        kinds = [""] * len(found)
        named = {at for mention in products(reading) for at in range(mention.first, mention.end)}
        for place in reversed(range(len(found))):
            span = found[place].span
            end = found[place + 1].span.first if place + 1 < len(found) else len(reading.words)
            after = next((entry for entry in phrases if span.end <= entry[1].first < end), None)
            if any(kind == "condition" and 0 <= span.first - said.end <= 1 for kind, said in phrases):
                kinds[place] = "ignore"  # a bid: `teen percent doge to paanch peti loonga`
            elif after and after[1].first - span.end <= _REACH:
                kinds[place] = after[0]
            elif place + 1 < len(found) and all(
                reading.words[at] in _CONNECTIVES or at in named for at in range(span.end, end)
            ):
                kinds[place] = kinds[place + 1]
        return kinds

    @staticmethod
    def _governing(
        reading: Reading,
        span: Span,
        before: list[Quantity],
        kinds: list[str],
        phrases: list[tuple[str, Span]],
    ) -> str:
        for kind, phrase in phrases:
            if phrase.overlaps(span):
                return kind
        nearest = next(((k, p) for k, p in reversed(phrases) if p.end <= span.first), None)
        if before and (nearest is None or nearest[1].end <= before[-1].span.first):
            between = reading.words[before[-1].span.end : span.first]
            named = {word for m in products(reading) for word in reading.words[m.first : m.end]}
            if all(word in _CONNECTIVES or word in named for word in between):
                return kinds[-1]
        if nearest is None or span.first - nearest[1].end > _REACH or nearest[0] == "condition":
            return ""
        return nearest[0]

    def _is_bare(self, reading: Reading, found: list[Quantity]) -> bool:
        covered = {at for quantity in found for at in range(quantity.span.first, quantity.span.end)}
        covered |= {at for mention in products(reading) for at in range(mention.first, mention.end)}
        allowed = _FILLERS | _CONNECTIVES | self._ordering.agree_words
        rest = (word for at, word in enumerate(reading.words) if at not in covered and at >= reading.cut)
        return bool(found) and all(word in allowed for word in rest)

    # ── what it does ─────────────────────────────────────────────────────────────────────────────────────

    def _take(self, state: OrderState, quantity: Quantity, kind: str, offered: list[Line]) -> OrderState:
        if kind not in {"order", "confirm", "propose", "change"}:
            return state if quantity.sku is None else replace(state, discussed=quantity.sku)
        sku = quantity.sku or self._meant(state, quantity, kind)
        unit = quantity.unit or self._unit(state, sku)
        if sku is None or unit is None:
            return state if kind == "propose" else replace(state, unplaced=state.unplaced + 1)
        if kind == "propose":
            offered.append(Line(sku, quantity.number, unit))
            return replace(state, discussed=sku)
        old = state.line_of(sku)
        number = quantity.number
        if quantity.is_more and old and old.unit == unit and kind == "order":
            number += old.qty
        return state.with_line(Line(sku, number, unit))

    @staticmethod
    def _meant(state: OrderState, quantity: Quantity, kind: str) -> str | None:
        """The product of a quantity said without one."""
        if kind == "change" and state.last and not state.offered:
            return state.last
        if state.offered:
            return state.offered[-1].sku
        if state.line_of(state.discussed):
            for line in state.lines:
                # `only six cases` when a line has six cases already says that line again
                if (line.qty, line.unit) == (quantity.number, quantity.unit):
                    return line.sku
        return state.discussed

    def _unit(self, state: OrderState, sku: str | None) -> str | None:
        known = (*(line for line in state.lines if line.sku == sku), *state.offered)
        return next((line.unit for line in known if line.sku == sku), self._sku_unit.get(sku or ""))

    def _agreed(self, state: OrderState, reading: Reading) -> OrderState:
        fresh = reading.words[reading.cut :]
        if not state.offered or not self._ordering.is_agreement(reading, _FILLERS) or _NEGATIONS & set(fresh):
            return state
        for line in state.offered:
            state = state.with_line(line)
        return replace(state, offered=(), is_asked=False)

    def _change(
        self,
        state: OrderState,
        reading: Reading,
        found: list[Quantity],
        phrases: list[tuple[str, Span]],
    ) -> OrderState:
        """`make it six`: a number without unit or product."""
        for kind, span in phrases:
            if kind != "change":
                continue
            numbers = [mention for mention in reading.mentions if mention.kind == "number"]
            number = next((m for m in numbers if 0 <= m.first - span.end <= 1), None)
            if number is None and self._is_verb_last:
                number = next((m for m in numbers if 0 <= span.first - m.end <= 1), None)
            if number is None:
                continue
            if any(quantity.span.first == number.first for quantity in found):
                continue
            if number.end < len(reading.words) and reading.words[number.end] in {"percent", "rupees", "days"}:
                continue
            basis = state.offered[-1] if state.offered else state.line_of(state.last)
            if basis:
                state = replace(state.with_line(replace(basis, qty=number.number)), offered=())
        return state

    def _cancel(self, state: OrderState, reading: Reading, phrases: list[tuple[str, Span]]) -> OrderState:
        for kind, span in phrases:
            if kind != "cancel":
                continue
            named = list(products(reading))
            sku = next((m for m in named if 0 <= m.first - span.end <= _REACH), None)
            if self._is_verb_last:
                sku = next((m for m in reversed(named) if 0 <= span.first - m.end <= _REACH), sku)
            if sku:
                lines = tuple(line for line in state.lines if line.sku != sku.value)
                state = replace(state, lines=lines, discussed=sku.value)
        return state
