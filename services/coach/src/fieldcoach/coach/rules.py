"""A playbook made ready to be matched: its phrases compiled once, shared by all visits that use it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from .phrases import Phrase, compile_phrases, parse_phrase
from .playbook import CueRule, Pattern, Playbook, Vocabulary
from .reading import Reader, Reading, Span

Spelling = Callable[[str], str]


class PatternMatcher:
    """One pattern of a stage or an objection."""

    def __init__(self, pattern: Pattern, vocabulary: Vocabulary, spelt: Spelling) -> None:
        self.closing = pattern.closing
        self._fuzzy = pattern.fuzzy
        phrases = [parse_phrase(text) for text in pattern.phrases]
        self._plain = compile_phrases((phrase for phrase in phrases if not phrase.has_slots), spelt)
        self._slotted = compile_phrases((phrase for phrase in phrases if phrase.has_slots), spelt)
        self._slot = pattern.slot
        self._allowed: frozenset[str] | None = None
        if pattern.where == "must_sell":
            self._allowed = frozenset(sku.id for sku in vocabulary.skus if sku.must_sell)

    def spans(self, reading: Reading) -> list[Span]:
        """Where it matches."""
        if self._slot:
            return [
                Span(mention.first, mention.end)
                for mention in reading.mentions
                if mention.kind == self._slot and (self._allowed is None or mention.value in self._allowed)
            ]
        return reading.find(self._plain, self._slotted, self._fuzzy)


class Rule:
    """`any_of`, `all_of` and `none_of` of one stage or objection."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        spelt: Spelling,
        any_of: Iterable[Pattern],
        none_of: Iterable[Pattern],
        all_of: Iterable[Pattern] = (),
    ) -> None:
        self._any = [PatternMatcher(pattern, vocabulary, spelt) for pattern in any_of]
        self._all = [PatternMatcher(pattern, vocabulary, spelt) for pattern in all_of]
        self._none = [PatternMatcher(pattern, vocabulary, spelt) for pattern in none_of]
        self.has_closing = any(matcher.closing for matcher in (*self._any, *self._all))

    def matches(self, reading: Reading, closing: bool = False) -> list[Span]:
        """The matches that count: none shares a word with what `none_of` rules out."""
        barred: list[Span] | None = None
        found: list[Span] = []
        for group, needs_all in ((self._any, False), (self._all, True)):
            hits: list[list[Span]] = []
            for matcher in group:
                spans = matcher.spans(reading) if closing or not matcher.closing else []
                if spans:
                    if barred is None:  # most words match nothing, so this is seldom needed
                        barred = [span for none_of in self._none for span in none_of.spans(reading)]
                    spans = [span for span in spans if not any(span.overlaps(bar) for bar in barred)]
                hits.append(spans)
            if group and not (all(hits) if needs_all else any(hits)):
                return []
            found += [span for spans in hits for span in spans]
        return found


@dataclass(frozen=True, slots=True)
class OrderingMatcher:
    """The compiled phrases of `ordering`, by kind."""

    expressions: tuple[tuple[str, re.Pattern[str] | None, re.Pattern[str] | None], ...]
    agree: re.Pattern[str] | None
    agree_words: frozenset[str]

    def is_agreement(self, reading: Reading, fillers: frozenset[str]) -> bool:
        """Whether the new words are nothing but a yes."""
        spans = reading.find(self.agree, None)
        covered = {at for span in spans for at in range(span.first, span.end)}
        fresh = range(reading.cut, len(reading.words))
        says_yes = any(at in covered for at in fresh)
        return says_yes and all(at in covered or reading.words[at] in fillers for at in fresh)

    def cues(self, reading: Reading) -> Iterator[tuple[str, Span]]:
        """Every matching phrase with its kind."""
        for kind, plain, slotted in self.expressions:
            for span in reading.find(plain, slotted):
                yield kind, span


ORDERING_KINDS = ("order", "confirm", "propose", "ask", "ignore", "condition", "change", "cancel")


class CompiledPlaybook:
    """A playbook and its matchers. Holds no state of a visit."""

    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook
        vocabulary = playbook.vocabulary
        ordering = {
            kind: [parse_phrase(text) for text in getattr(playbook.ordering, kind)] for kind in ORDERING_KINDS
        }
        agree = [parse_phrase(text) for text in playbook.ordering.agree]
        self.reader = Reader(
            vocabulary,
            self._phrase_words([*agree, *(p for ps in ordering.values() for p in ps)]),
            is_hindi=any(language.startswith("hi") for language in playbook.languages.supported),
        )
        spelt = self.reader.spelt
        rule = partial(Rule, vocabulary, spelt)
        self.stages = {stage.id: rule(stage.any_of, stage.none_of, stage.all_of) for stage in playbook.stages}
        self.objections = {
            objection.id: rule(objection.any_of, objection.none_of) for objection in playbook.objections
        }
        self.cues: dict[str, CueRule] = {cue.id: cue for cue in playbook.cues}
        self.cue_of_objection = {
            objection.id: _cue_for(playbook, objection.id, objection.cue) for objection in playbook.objections
        }
        self.stage_cues = tuple(cue for cue in playbook.cues if cue.on.stage_open)
        self.metric_cues = tuple(cue for cue in playbook.cues if cue.on.metric)
        self.expect_by_s = {stage.id: stage.expect_by_s or 0.0 for stage in playbook.stages}
        self.promises = {note.id: rule(note.any_of, note.none_of) for note in playbook.summary.promises}
        self.claims = {note.id: rule(note.any_of, note.none_of) for note in playbook.summary.claims}
        self.sku_unit = {sku.id: sku.unit for sku in vocabulary.skus}
        self.ordering = OrderingMatcher(
            tuple(
                (
                    kind,
                    compile_phrases((phrase for phrase in phrases if not phrase.has_slots), spelt),
                    compile_phrases((phrase for phrase in phrases if phrase.has_slots), spelt),
                )
                for kind, phrases in ordering.items()
            ),
            compile_phrases(agree, spelt),
            frozenset(spelt(word) for phrase in agree for word in phrase.words),
        )

    def _phrase_words(self, ordering: Iterable[Phrase]) -> Iterator[str]:
        for phrase in ordering:
            yield from phrase.words
        for _, pattern in self.playbook.patterns():
            for text in pattern.phrases:
                yield from parse_phrase(text).words


def _cue_for(playbook: Playbook, objection: str, named: str | None) -> str | None:
    if named:
        return named
    return next((cue.id for cue in playbook.cues if cue.on.objection == objection), None)
