"""The playbook: what a sales manager writes, as frozen models. Unknown keys are refused.

The subset of the language that is in use; more of it only adds fields.
"""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .normalise import words_of
from .phrases import PhraseInvalid, parse_phrase

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,47}$")]
Name = Annotated[str, Field(min_length=1, max_length=64)]
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,8})?$")]
Texts = dict[LanguageCode, Annotated[str, Field(min_length=1, max_length=200)]]
Path = tuple[str | int, ...]
"""Keys and list places from the top of the file to a value."""
Level = Literal["novice", "standard", "minimal"]


def _is_phrase(text: str) -> str:
    try:
        parse_phrase(text)
    except PhraseInvalid as error:
        raise ValueError(str(error)) from error
    return text


PhraseText = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_is_phrase)]


class Part(BaseModel):
    """Base of every part of a playbook."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Languages(Part):
    """What the playbook speaks."""

    default: LanguageCode = "en"
    supported: tuple[LanguageCode, ...] = ("en",)


class Urgent(Part):
    """Looser limits for cues of the highest priorities; what is absent is as for all cues.

    The quiet start keeps unasked advice away from the greeting; an objection raised in it must still be
    answered, so it does not hold these cues unless a playbook says so.
    """

    min_priority: int = Field(90, ge=0, le=100)
    min_gap_s: float | None = Field(None, ge=0)
    max_per_min: int | None = Field(None, ge=1)
    quiet_first_s: float = Field(0, ge=0)


class Limits(Part):
    """How often a cue may be shown. The defaults are those at which sparse feedback was found to help."""

    min_gap_s: float = Field(20, ge=0)
    max_per_min: int = Field(1, ge=1)
    max_per_visit: int = Field(6, ge=0)
    quiet_first_s: float = Field(15, ge=0)
    text_max: int = Field(60, ge=10, le=200)
    ttl_s: float = Field(8, gt=0)
    urgent: Urgent = Urgent()


class LevelLimits(Part):
    """What a salesperson of one level gets to see."""

    min_priority: int = Field(ge=0, le=100)


class Levels(Part):
    """The more experienced, the fewer cues."""

    novice: LevelLimits = LevelLimits(min_priority=30)
    standard: LevelLimits = LevelLimits(min_priority=50)
    minimal: LevelLimits = LevelLimits(min_priority=80)

    def min_priority(self, level: Level) -> int:
        """The lowest priority shown at that level."""
        limits: LevelLimits = getattr(self, level)
        return limits.min_priority


class Sku(Part):
    """A product. `id` is what stands in the order; `names` are how people say it (without: the id)."""

    id: Name
    names: tuple[Name, ...] = ()
    must_sell: bool = False
    scheme: Name | None = None
    unit: Name | None = None
    """The unit when a quantity is said without one."""


class Scheme(Part):
    """An offer in force."""

    id: Name
    names: tuple[Name, ...] = ()
    say: Texts = {}
    valid: date | None = None


class Unit(Part):
    """A unit of quantity. `id` is the plural as it stands in the order."""

    id: Name
    names: tuple[Name, ...] = ()


class Vocabulary(Part):
    """What can be ordered, and how it is called."""

    skus: tuple[Sku, ...] = ()
    schemes: tuple[Scheme, ...] = ()
    units: tuple[Unit, ...] = ()

    def names(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Every way to say something: its kind (`sku`, `scheme`, `unit`), its words, its id."""
        for kind, items in (("sku", self.skus), ("scheme", self.schemes), ("unit", self.units)):
            for item in items:
                for name in item.names or (item.id,):
                    words = words_of(name)
                    if words:
                        yield kind, words, item.id


class Pattern(Part):
    """Something that was said: one of the phrases, or a slot of the vocabulary."""

    phrases: tuple[PhraseText, ...] = ()
    slot: Literal["sku", "scheme"] | None = None
    where: Literal["must_sell"] | None = None
    fuzzy: int = Field(85, ge=70, le=100)
    """How alike a misheard word must be to count as the phrase's word (0-100); 100: exactly."""
    one_word: bool = False
    """Allows phrases of a single word; only for words that never mean anything else."""
    closing: bool = False
    """Counts only in the last words of the visit: a thank-you, not thanks for a glass of water."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if bool(self.phrases) == bool(self.slot):
            raise ValueError("give either phrases or a slot")
        if self.where and self.slot != "sku":
            raise ValueError("`where` needs `slot: sku`")
        return self


class Stage(Part):
    """One step of the call. Done when one of `any_of` and all of `all_of` were said."""

    id: Slug
    title: Texts = {}
    weight: int = Field(ge=0, le=100)
    any_of: tuple[Pattern, ...] = ()
    all_of: tuple[Pattern, ...] = ()
    none_of: tuple[Pattern, ...] = ()
    """Rules a match out that shares a word with it."""
    tip: Texts = {}
    """For the summary, when the stage was not done."""


class Objection(Part):
    """Something that the shopkeeper holds against buying."""

    id: Slug
    title: Texts = {}
    any_of: tuple[Pattern, ...] = ()
    none_of: tuple[Pattern, ...] = ()
    """Rules a match out that shares a word with it."""
    cue: Slug | None = None


class Trigger(Part):
    """What makes a cue a candidate: an objection, or a stage still open some time after another."""

    objection: Slug | None = None
    stage_open: Slug | None = None
    after_stage: Slug | None = None
    for_s: float = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.objection) == bool(self.stage_open):
            raise ValueError("give either objection or stage_open")
        if self.objection and (self.after_stage or self.for_s):
            raise ValueError("after_stage and for_s belong to stage_open")
        return self


class CueLlm(Part):
    """What the language model may do with a cue: choose among candidates, or also fill slots of `text`."""

    mode: Literal["off", "rank", "fill"] = "off"
    slots: tuple[Literal["sku", "unit", "scheme"], ...] = ()
    text: Texts = {}
    deadline_ms: int | None = Field(None, ge=100, le=3_000)

    @model_validator(mode="after")
    def _fill_has_slots(self) -> Self:
        if self.mode == "fill" and not (self.slots and self.text):
            raise ValueError("mode fill needs slots and a text with them, as in `Offer {sku} first`")
        return self


class CueRule(Part):
    """A line of advice and when to give it.

    Priority: 90 and more for objections and compliance, 60-89 a missed step, 30-59 upsell, below style.
    """

    id: Slug
    on: Trigger
    priority: int = Field(ge=0, le=100)
    severity: Literal["info", "suggest", "warn"] = "suggest"
    cooldown_s: float = Field(90, ge=0)
    escalate: float = Field(1.0, ge=1, le=10)
    """The cool-down is multiplied by it each time."""
    max_per_visit: int = Field(2, ge=1)
    deliver: Literal["now", "customer_turn_end", "pause"] = "customer_turn_end"
    haptic: Literal["none", "short", "long"] = "short"
    ttl_s: float | None = Field(None, gt=0)
    title: Texts = {}
    text: Texts
    llm: CueLlm = CueLlm()


class Ordering(Part):
    """How this language orders: each phrase says what a quantity after it means. The nearest one counts."""

    order: tuple[PhraseText, ...] = ()
    """The shopkeeper orders: `send me`, `i will take`."""
    confirm: tuple[PhraseText, ...] = ()
    """The order is read back: `your order is`."""
    propose: tuple[PhraseText, ...] = ()
    """An offer that a plain yes accepts: `shall i write`."""
    ask: tuple[PhraseText, ...] = ()
    """A question that a bare quantity answers: `how many do you want`."""
    ignore: tuple[PhraseText, ...] = ()
    """Any other talk of quantities: `i have`, `buy ... get`, `last week`."""
    condition: tuple[PhraseText, ...] = ()
    """After a quantity it takes the order back: `if you give`."""
    change: tuple[PhraseText, ...] = ()
    """A bare number follows, for the line last spoken of: `make it`."""
    cancel: tuple[PhraseText, ...] = ()
    """The product after it is no longer ordered: `cancel`."""
    agree: tuple[PhraseText, ...] = ()
    """The whole answer to an offer: `yes`, `okay`."""


class SummarySpec(Part):
    """What the summary holds."""

    orders: bool = True
    tips_max: int = Field(2, ge=0, le=2)


class Playbook(Part):
    """A whole playbook. A visit keeps the version with which it began."""

    schema_: Literal["coach.playbook/1"] = Field(alias="schema")
    id: Slug
    version: int = Field(ge=0)
    languages: Languages = Languages()
    limits: Limits = Limits()
    levels: Levels = Levels()
    vocabulary: Vocabulary = Vocabulary()
    ordering: Ordering = Ordering()
    stages: tuple[Stage, ...] = ()
    objections: tuple[Objection, ...] = ()
    cues: tuple[CueRule, ...] = ()
    summary: SummarySpec = SummarySpec()
    forbidden_claims: tuple[Annotated[str, Field(min_length=2)], ...] = ()

    @classmethod
    def empty(cls, id_: str) -> "Playbook":
        """A playbook without rules, for a visit whose own playbook is not here."""
        return Playbook.model_construct(schema_="coach.playbook/1", id=id_, version=0)

    def patterns(self) -> Iterator[tuple[Path, Pattern]]:
        """Every pattern of stages and objections, with its path in the file."""
        for number, stage in enumerate(self.stages):
            for group in ("any_of", "all_of", "none_of"):
                for place, pattern in enumerate(getattr(stage, group)):
                    yield ("stages", number, group, place), pattern
        for number, objection in enumerate(self.objections):
            for group in ("any_of", "none_of"):
                for place, pattern in enumerate(getattr(objection, group)):
                    yield ("objections", number, group, place), pattern

    def say(self, texts: Texts, language: str) -> str:
        """The text in that language, else in the default one, else any, else nothing."""
        for code in (language, self.languages.default):
            if code in texts:
                return texts[code]
        return next(iter(texts.values()), "")
