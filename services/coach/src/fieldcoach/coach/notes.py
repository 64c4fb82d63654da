"""What to remember of the talk: promises, claims, and which products and schemes were spoken of."""

from dataclasses import dataclass

from .reading import Reading
from .rules import CompiledPlaybook, Rule


@dataclass(frozen=True, slots=True)
class NoteMark:
    """A promise or a claim, in the words that ended at `at_s`."""

    id: str
    at_s: float
    text: str


class Notes:
    """The notes of one visit. Each promise and claim counts once: the last words for it are remembered."""

    def __init__(self, rules: CompiledPlaybook) -> None:
        self._rules = rules
        self._promises: dict[str, NoteMark] = {}
        self._claims: dict[str, NoteMark] = {}
        self.skus: set[str] = set()
        """Ids of the products spoken of."""
        self.schemes: set[str] = set()
        """Ids of the schemes told."""
        self.last_sku: str | None = None

    def add(self, reading: Reading, text: str, end_s: float, is_late: bool) -> None:
        """Note what is in one utterance, which may lie before others (`is_late`)."""
        self._note(self._promises, self._rules.promises, reading, text, end_s)
        self._note(self._claims, self._rules.claims, reading, text, end_s)
        for mention in reading.mentions:
            if mention.kind == "scheme":
                self.schemes.add(mention.value)
            elif mention.kind == "sku":
                self.skus.add(mention.value)
                if not is_late:
                    self.last_sku = mention.value

    @property
    def promises(self) -> tuple[NoteMark, ...]:
        """By time."""
        return tuple(sorted(self._promises.values(), key=lambda mark: mark.at_s))

    @property
    def claims(self) -> tuple[NoteMark, ...]:
        """By time."""
        return tuple(sorted(self._claims.values(), key=lambda mark: mark.at_s))

    @staticmethod
    def _note(
        marks: dict[str, NoteMark], rules: dict[str, Rule], reading: Reading, text: str, end_s: float
    ) -> None:
        for note_id, rule in rules.items():
            before = marks.get(note_id)
            if (before is None or before.at_s < end_s) and rule.matches(reading):
                marks[note_id] = NoteMark(note_id, end_s, text)
