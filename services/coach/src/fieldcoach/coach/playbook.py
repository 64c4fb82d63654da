"""The playbook: what a sales manager writes, as frozen models. Unknown keys are refused."""

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
Metric = Literal["monologue_s", "talk_share", "talk_share_visit", "pace_ratio", "questions"]
"""Figures that a cue may watch; `talk_share` is that of the last 120 s. Defined in the coach's README."""


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


class Named(Part):
    """Something with an id and the names that people say (without any: the id)."""

    id: Name
    names: tuple[Name, ...] = ()

    def ways(self) -> tuple[str, ...]:
        """How it is called."""
        return self.names or (self.id,)


class Sku(Named):
    """A product. `id` is what stands in the order."""

    must_sell: bool = False
    scheme: Name | None = None
    unit: Name | None = None
    """The unit when a quantity is said without one."""


class Scheme(Named):
    """An offer in force. Without `names` it is told by its id, or by `say` up to the first comma."""

    say: Texts = {}
    """How the salesperson tells it: fills `{scheme.say}`."""
    valid: date | None = None
    """Its last day; later it fills no text."""

    def ways(self) -> tuple[str, ...]:
        """How it is called."""
        told = (text.partition(",")[0] for text in self.say.values())
        return self.names or tuple(dict.fromkeys((self.id, *told)))


class Unit(Named):
    """A unit of quantity. `id` is the plural as it stands in the order."""


class Vocabulary(Part):
    """What can be ordered, and how it is called."""

    skus: tuple[Sku, ...] = ()
    schemes: tuple[Scheme, ...] = ()
    units: tuple[Unit, ...] = ()

    def names(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Every way to say something: its kind (`sku`, `scheme`, `unit`), its words, its id."""
        for kind, items in (("sku", self.skus), ("scheme", self.schemes), ("unit", self.units)):
            for item in items:
                for name in item.ways():
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
    expect_by_s: float | None = Field(None, gt=0)
    """When it is usually done. A cue on `stage_open` without `after_stage` and `for_s` waits so long."""
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
    """What makes a cue a candidate: an objection, a stage still open some time after another, or a figure."""

    objection: Slug | None = None
    speaker: Literal["rep", "other"] | None = None
    """Who must have raised the objection; without it anybody, also where nobody knows who spoke."""
    stage_open: Slug | None = None
    after_stage: Slug | None = None
    for_s: float = Field(0, ge=0)
    metric: Metric | None = None
    gte: float | None = None
    lte: float | None = None
    sustain_s: float = Field(0, ge=0)
    """The figure must have been there so long."""
    min_attribution: float = Field(0.75, ge=0, le=1)
    """The least share of the speech whose speaker is known."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(map(bool, (self.objection, self.stage_open, self.metric))) != 1:
            raise ValueError("give either objection or stage_open, or metric")
        if not self.stage_open and (self.after_stage or self.for_s):
            raise ValueError("after_stage and for_s belong to stage_open")
        if self.speaker and not self.objection:
            raise ValueError("speaker belongs to objection")
        if self.metric and (self.gte is None) == (self.lte is None):
            raise ValueError("a metric needs either gte or lte")
        if not self.metric and self.model_fields_set & {"gte", "lte", "sustain_s", "min_attribution"}:
            raise ValueError("gte, lte, sustain_s and min_attribution belong to metric")
        return self

    def cause(self) -> str:
        """What calls for the cue, in a few words."""
        if self.objection:
            return f"objection {self.objection}"
        if self.stage_open:
            return f"stage {self.stage_open} open"
        edge = f">= {self.gte:g}" if self.gte is not None else f"<= {self.lte:g}"
        return f"{self.metric} {edge}"

    def holds(self, value: float) -> bool:
        """Whether a figure of that value calls for the cue."""
        return value >= self.gte if self.gte is not None else self.lte is not None and value <= self.lte


class CueLlm(Part):
    """What the language model may do with a cue: choose among candidates, or also fill slots of `text`."""

    mode: Literal["off", "rank", "fill"] = "off"
    slots: tuple[Literal["sku", "unit", "scheme", "qty"], ...] = ()
    """`qty` is never the model's: it is the ordered quantity of the `sku` that it names."""
    text: Texts = {}
    """With the slots; without it the card keeps the rule's words."""
    deadline_ms: int | None = Field(None, ge=100, le=3_000)

    @model_validator(mode="after")
    def _fill_has_slots(self) -> Self:
        if self.mode == "fill" and not self.slots:
            raise ValueError("mode fill needs slots, and a text with them, as in `Offer {sku} first`")
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
    """May hold `{sku}`, `{scheme}` and `{scheme.say}`, filled from the vocabulary and the talk."""
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
    verb_last: bool = False
    """The phrase stands after its quantity, as in Hindi: `chhe piece bhej do`."""
    agree: tuple[PhraseText, ...] = ()
    """The whole answer to an offer: `yes`, `okay`."""


class Note(Part):
    """Something to remember after the visit: a promise of the salesperson, a claim of the shopkeeper."""

    id: Slug
    title: Texts = {}
    any_of: tuple[Pattern, ...] = Field(min_length=1)
    none_of: tuple[Pattern, ...] = ()
    """Rules a match out that shares a word with it."""


class SummarySpec(Part):
    """What the summary holds."""

    orders: bool = True
    tips_max: int = Field(2, ge=0, le=2)
    promises: tuple[Note, ...] = ()
    """`we will take back`, `i will bring`."""
    claims: tuple[Note, ...] = ()
    """`you owe me`, `you did not settle`."""


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
        """Every pattern of stages, objections and notes, with its path in the file."""
        for number, stage in enumerate(self.stages):
            for group in ("any_of", "all_of", "none_of"):
                for place, pattern in enumerate(getattr(stage, group)):
                    yield ("stages", number, group, place), pattern
        heard: tuple[tuple[Path, tuple[Objection | Note, ...]], ...] = (
            (("objections",), self.objections),
            (("summary", "promises"), self.summary.promises),
            (("summary", "claims"), self.summary.claims),
        )
        for section, items in heard:
            for number, item in enumerate(items):
                for group in ("any_of", "none_of"):
                    for place, pattern in enumerate(getattr(item, group)):
                        yield (*section, number, group, place), pattern

    def say(self, texts: Texts, language: str) -> str:
        """The text in that language, else in the default one, else any, else nothing."""
        for code in (language, self.languages.default):
            if code in texts:
                return texts[code]
        return next(iter(texts.values()), "")
