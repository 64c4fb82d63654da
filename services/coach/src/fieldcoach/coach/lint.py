"""What no single field can tell: references, sums, duplicates, lengths after filling."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from rapidfuzz import process

from .phrases import parse_phrase
from .playbook import CueRule, Path, Playbook, Texts
from .slots import RULE_SLOTS, longest_filled

Found = Iterator[tuple[Path, str, str]]
"""Where, what, and the fix."""

_SLOT: Final = re.compile(r"\{([^{}]*)\}")
_QTY_LENGTH: Final = 4
"""Digits of an ordered quantity at most."""


def lint(playbook: Playbook, today: date) -> Iterator[tuple[Path, str, str, bool]]:
    """Every flaw: its path in the file, what, the fix, and whether it is an error."""
    checks: tuple[Found, ...] = (
        _ids(playbook),
        _weights(playbook),
        _references(playbook),
        _patterns(playbook),
        _shared_phrases(playbook),
        _texts(playbook),
    )
    for check in checks:
        for path, what, fix in check:
            yield path, what, fix, True
    for path, what, fix in (*_single_words(playbook), *_translations(playbook), *_unfilled(playbook)):
        yield path, what, fix, False
    for number, scheme in enumerate(playbook.vocabulary.schemes):
        if scheme.valid and scheme.valid < today:
            path = ("vocabulary", "schemes", number, "valid")
            yield path, f"the scheme ended on {scheme.valid}", "remove it or give its new date", False


def _ids(playbook: Playbook) -> Found:
    vocabulary = playbook.vocabulary
    sections: tuple[tuple[Path, list[str]], ...] = (
        (("stages",), [stage.id for stage in playbook.stages]),
        (("objections",), [objection.id for objection in playbook.objections]),
        (("cues",), [cue.id for cue in playbook.cues]),
        (("summary", "promises"), [note.id for note in playbook.summary.promises]),
        (("summary", "claims"), [note.id for note in playbook.summary.claims]),
        (("vocabulary", "skus"), [sku.id for sku in vocabulary.skus]),
        (("vocabulary", "schemes"), [scheme.id for scheme in vocabulary.schemes]),
        (("vocabulary", "units"), [unit.id for unit in vocabulary.units]),
    )
    for path, ids in sections:
        for number, id_ in enumerate(ids):
            if id_ in ids[:number]:
                yield (*path, number, "id"), f"{id_!r} is there twice", "give each its own id"


def _weights(playbook: Playbook) -> Found:
    total = sum(stage.weight for stage in playbook.stages)
    if playbook.stages and total != 100:
        yield (
            ("stages",),
            f"the weights sum to {total}, not 100",
            "change the weights so that they sum to 100",
        )


def _references(playbook: Playbook) -> Found:
    stages = [stage.id for stage in playbook.stages]
    objections = [objection.id for objection in playbook.objections]
    cues = {cue.id: cue for cue in playbook.cues}
    for number, objection in enumerate(playbook.objections):
        path: Path = ("objections", number, "cue")
        if objection.cue and objection.cue not in cues:
            yield path, f"there is no cue {objection.cue!r}", _suggest(objection.cue, cues)
        elif objection.cue and cues[objection.cue].on.objection != objection.id:
            yield path, f"that cue is not `on: {{objection: {objection.id}}}`", "name the cue that is"
    for number, cue in enumerate(playbook.cues):
        for field, value, known in (
            ("objection", cue.on.objection, objections),
            ("stage_open", cue.on.stage_open, stages),
            ("after_stage", cue.on.after_stage, stages),
        ):
            if value and value not in known:
                what = f"there is no {'objection' if field == 'objection' else 'stage'} {value!r}"
                yield ("cues", number, "on", field), what, _suggest(value, known)
    schemes = [scheme.id for scheme in playbook.vocabulary.schemes]
    units = [unit.id for unit in playbook.vocabulary.units]
    for number, sku in enumerate(playbook.vocabulary.skus):
        for field, value, known in (("scheme", sku.scheme, schemes), ("unit", sku.unit, units)):
            if value and value not in known:
                path = ("vocabulary", "skus", number, field)
                yield path, f"there is no {field} {value!r}", _suggest(value, known)


def _suggest(value: str, known: Iterable[str]) -> str:
    known = list(known)
    found = process.extractOne(value, known, score_cutoff=60)
    if found:
        return f"did you mean {found[0]!r}?"
    return f"use one of {', '.join(known)}" if known else "define it, or remove this"


def _patterns(playbook: Playbook) -> Found:
    # an objection fires a card; a stage that one word ticks off is only worth a warning
    yield from (flaw for flaw in _one_word_phrases(playbook) if flaw[0][0] == "objections")
    fix = "give it any_of with phrases"
    for number, stage in enumerate(playbook.stages):
        if not stage.any_of and not stage.all_of:
            yield ("stages", number), f"{stage.id!r} can never be done", fix
    for number, objection in enumerate(playbook.objections):
        if not objection.any_of:
            yield ("objections", number), f"{objection.id!r} can never be heard", fix


def _one_word_phrases(playbook: Playbook) -> Found:
    for path, pattern in playbook.patterns():
        if pattern.one_word or "none_of" in path:  # what only rules out can't fire anything
            continue
        for place, text in enumerate(pattern.phrases):
            if parse_phrase(text).least_words < 2:
                yield (
                    (*path, "phrases", place),
                    f"{text!r} can match a single word, which is said in many senses",
                    "write at least two words, or set one_word: true",
                )


def _single_words(playbook: Playbook) -> Found:
    yield from (flaw for flaw in _one_word_phrases(playbook) if flaw[0][0] != "objections")


def _shared_phrases(playbook: Playbook) -> Found:
    seen: dict[str, str] = {}
    for number, objection in enumerate(playbook.objections):
        for place, pattern in enumerate(objection.any_of):
            for at, text in enumerate(pattern.phrases):
                other = seen.setdefault(parse_phrase(text).regex, objection.id)
                if other != objection.id:
                    path = ("objections", number, "any_of", place, "phrases", at)
                    yield path, f"{text!r} is also a phrase of {other!r}", "keep it in one of them"


def _texts(playbook: Playbook) -> Found:
    limit = playbook.limits.text_max
    for number, cue in enumerate(playbook.cues):
        if playbook.languages.default not in cue.text:
            yield from _every_language(playbook, cue.text, ("cues", number, "text"))
        for code, text in cue.text.items():
            path: Path = ("cues", number, "text", code)
            slots = set(_SLOT.findall(text))
            for slot in sorted(slots - set(RULE_SLOTS)):
                fix = f"use one of {', '.join(RULE_SLOTS)}, or move the text to llm.text"
                yield path, f"a rule's text has no slot {{{slot}}}", fix
            if "scheme.say" in slots and not any(s.say for s in playbook.vocabulary.schemes):
                yield path, "no scheme has a `say` to fill {scheme.say}", "add it to vocabulary.schemes"
            length = longest_filled(playbook, text, code)
            if length > limit:
                when = " when filled" if slots else ""
                yield path, f"{length} characters{when}, more than text_max {limit}", "shorten it"
            yield from _claims(playbook, text, path)
        yield from _llm_texts(playbook, cue, number)


def _llm_texts(playbook: Playbook, cue: CueRule, number: int) -> Found:
    limit = playbook.limits.text_max
    longest = {"sku": 0, "scheme": 0, "unit": 0, "qty": _QTY_LENGTH}
    for kind, words, _ in playbook.vocabulary.names():
        longest[kind] = max(longest[kind], len(" ".join(words)))
    if cue.llm.text and playbook.languages.default not in cue.llm.text:
        yield from _every_language(playbook, cue.llm.text, ("cues", number, "llm", "text"))
    for code, text in cue.llm.text.items():
        path: Path = ("cues", number, "llm", "text", code)
        slots = _SLOT.findall(text)
        for slot in slots:
            if slot not in cue.llm.slots:
                yield path, f"{{{slot}}} is not among llm.slots", f"add {slot} to slots or remove it here"
        filled = len(_SLOT.sub("", text)) + sum(longest.get(slot, 0) for slot in slots)
        if filled > limit:
            yield path, f"up to {filled} characters when filled, more than text_max {limit}", "shorten it"
        yield from _claims(playbook, text, path)


def _translations(playbook: Playbook) -> Found:
    """A missing translation costs little: the default language stands in."""
    for number, cue in enumerate(playbook.cues):
        for path, texts in ((("text",), cue.text), (("llm", "text"), cue.llm.text)):
            if playbook.languages.default in texts:
                yield from _every_language(playbook, texts, ("cues", number, *path))


def _unfilled(playbook: Playbook) -> Found:
    for number, cue in enumerate(playbook.cues):
        if cue.llm.mode == "fill" and not cue.llm.text:
            path: Path = ("cues", number, "llm")
            yield path, "mode fill without a text: nothing is filled", "add text with the slots, or use rank"


def _every_language(playbook: Playbook, texts: Texts, path: Path) -> Found:
    for code in playbook.languages.supported:
        if code not in texts:
            yield path, f"no text in {code!r}, a supported language", f"add `{code}: ...`"


def _claims(playbook: Playbook, text: str, path: Path) -> Found:
    for claim in playbook.forbidden_claims:
        if claim.casefold() in text.casefold():
            yield path, f"it makes the forbidden claim {claim!r}", "say it in another way"
