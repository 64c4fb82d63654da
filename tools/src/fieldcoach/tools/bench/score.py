"""What one visit is worth against its script. Pure: events and gold lines in, figures out.

Definitions (all times on the client):

wer            edits over all words of the finals, in their order, against the script's text
objections     sets of ids a visit: heard is what the summary or a cue names
orders         right: sku, qty and unit as last agreed; wrong: any other, missing or too many
eos_to_final   from the script's end of a line to the arrival of the final that covers that end
cue            from the script's end of the line that fired it to the arrival of the cue
overhead       what is neither endpoint wait nor ASR compute: from the microphone to the worker, and from the
               final's publishing to the client. Counted from what the *worker* takes for the last speech
               sample, since its wait counts from there: a speaker's fading last sound may lie after it, and
               then eos_to_final is less than overhead, wait and compute together
services       of the overhead, the bus and the services' own work: from the ingest's publishing of the chunk
               to the worker's receiving it, and from the final's publishing to its arrival at the client
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .gold import GoldLine, GoldOrder, GoldVisit
from .words import WordErrors, word_errors, words_of

MIN_SHARE = 0.25
"""Of a line's length that a final must overlap to be about it; pre-roll of the next one overlaps less."""
LINE_SLACK_S = 1.0
"""How far the end of a trigger may lie from the end of the line that holds it."""

Event = dict[str, Any]
Received = tuple[float, Event]


@dataclass(frozen=True, slots=True)
class LineScore:
    """One line and the final that covers its end; `eos_to_final_ms` is None if there is none."""

    end: float
    eos_to_final_ms: float | None
    is_merged: bool
    """The same final covers the end of the next line too: the recogniser heard no pause between them."""


@dataclass(frozen=True, slots=True)
class ObjectionScore:
    """By id."""

    found: frozenset[str]
    missed: frozenset[str]
    invented: frozenset[str]


@dataclass(frozen=True, slots=True)
class OrderScore:
    """Counts of order lines."""

    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class VisitScore:
    """Everything that is counted in one visit."""

    words: WordErrors
    lines: tuple[LineScore, ...]
    objections: ObjectionScore
    orders: OrderScore
    cue_ms: tuple[float, ...]
    objection_cues: int

    @property
    def eos_to_final_ms(self) -> list[float]:
        """Of each line that has a final."""
        return [line.eos_to_final_ms for line in self.lines if line.eos_to_final_ms is not None]


def score_visit(gold: GoldVisit, events: Sequence[Received], summary: Event) -> VisitScore:
    """Score what came (seconds since the first sample, event) and the summary against the script."""
    finals = [(t, event) for t, event in events if event.get("type") == "final"]
    cues = [(t, event) for t, event in events if event.get("type") == "cue"]
    said = [word for line in gold.lines for word in words_of(line.text)]
    heard = [
        word
        for _, event in sorted(finals, key=lambda received: float(received[1].get("start", 0)))
        for word in words_of(str(event.get("text", "")))
    ]
    named = {str(name) for name in summary.get("objections") or ()}
    named |= {str(event["objection"]) for _, event in cues if event.get("objection")}
    return VisitScore(
        words=word_errors(said, heard),
        lines=tuple(score_lines(gold.lines, finals)),
        objections=ObjectionScore(
            found=frozenset(named & gold.objections),
            missed=frozenset(gold.objections - named),
            invented=frozenset(named - gold.objections),
        ),
        orders=score_orders(gold.orders, summary.get("orders") or ()),
        cue_ms=tuple(_cue_times(gold.lines, cues)),
        objection_cues=sum(1 for _, event in cues if event.get("objection")),
    )


def score_lines(lines: Sequence[GoldLine], finals: Sequence[Received]) -> list[LineScore]:
    """Match each line's end to the final that covers it."""
    matched = [final_of(line, finals) for line in lines]
    scores = []
    for place, (line, final) in enumerate(zip(lines, matched, strict=True)):
        following = matched[place + 1] if place + 1 < len(matched) else None
        is_merged = final is not None and following is not None and final[1] is following[1]
        eos_ms = None if final is None else (final[0] - line.end) * 1e3
        scores.append(LineScore(line.end, eos_ms, is_merged))
    return scores


def final_of(line: GoldLine, finals: Iterable[Received]) -> Received | None:
    """The last final that is about the line: it overlaps a quarter of it, or lies within it."""
    about = []
    for received in finals:
        start, end = float(received[1].get("start", 0)), float(received[1].get("end", 0))
        overlap = min(end, line.end) - max(start, line.start)
        if overlap <= 0:
            continue
        if overlap >= MIN_SHARE * (line.end - line.start) or line.start <= (start + end) / 2 <= line.end:
            about.append(received)
    return max(about, key=lambda received: float(received[1]["end"]), default=None)


def score_orders(gold: dict[str, GoldOrder], lines: Iterable[Event]) -> OrderScore:
    """Compare by SKU; a SKU counts once."""
    heard: dict[str, Event] = {str(line.get("sku", "")).casefold(): line for line in lines}
    right = sum(
        1
        for sku, order in gold.items()
        if sku in heard
        and heard[sku].get("qty") == order.qty
        and str(heard[sku].get("unit", "")).casefold() == order.unit.casefold()
    )
    return OrderScore(right, len(gold.keys() | heard.keys()) - right)


def _cue_times(lines: Sequence[GoldLine], cues: Iterable[Received]) -> Iterable[float]:
    for t, event in cues:
        trigger = event.get("trigger")
        if not isinstance(trigger, dict):
            continue  # a cue that time fired, and no line
        line = trigger_line(lines, float(trigger["end"]), event.get("objection"))
        if line is not None:
            yield (t - line.end) * 1e3


def trigger_line(lines: Sequence[GoldLine], end: float, objection: str | None) -> GoldLine | None:
    """The line whose end is nearest to the trigger's; of an objection's cue, among those that raise it."""
    raising = [line for line in lines if objection in line.objections] if objection else []
    line = min(raising or lines, key=lambda candidate: abs(candidate.end - end), default=None)
    return line if line is not None and abs(line.end - end) <= LINE_SLACK_S else None
