"""The language model's part in one cue and in the summary: asked in time, believed only as far as it may be.

Whatever goes wrong, the rule's own words stand in; the caller gets an answer, never an exception.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .engine import Conclusion
from .errors import LlmFailed, LlmFault
from .llm import CUE_TOKENS, SUMMARY_TOKENS, LanguageModel
from .orders import Line
from .playbook import CueRule, Playbook
from .prompt import (
    NO_CUE,
    SummaryAnswer,
    Turn,
    cue_question,
    filled_text,
    read_cue_answer,
    read_summary_answer,
    summary_question,
)

AdviceOutcome = Literal["used", "unchanged", "none"] | LlmFault


@dataclass(frozen=True, slots=True)
class Advice:
    """Which card to show (None: none of them), its text if the model filled it, and how it came about."""

    cue: str | None
    text: str | None
    outcome: AdviceOutcome


class Adviser:
    """One visit's line to the model: one call at a time, given up when the talk goes on."""

    def __init__(self, model: LanguageModel, playbook: Playbook, language: str, deadline_ms: int) -> None:
        self._model = model
        self._playbook = playbook
        self._language = language
        self._deadline_ms = deadline_ms
        self._newer_turn = asyncio.Event()

    def newer_turn(self) -> None:
        """Somebody spoke again: an answer to the turn before is of no use."""
        self._newer_turn.set()

    async def choose(
        self,
        chosen: CueRule,
        others: Sequence[CueRule],
        turns: Sequence[Turn],
        done: frozenset[str],
        orders: Sequence[Line] = (),
    ) -> Advice:
        """Ask about the chosen cue and the others that could be shown instead."""
        candidates = [chosen, *(cue for cue in others if cue.llm.mode != "off")]
        self._newer_turn.clear()
        try:
            answer = read_cue_answer(await self._ask_cue(chosen, candidates, turns, done), candidates)
        except LlmFailed as error:
            if error.fault == "wrong":
                self._model.misled()
            return Advice(chosen.id, None, error.fault)
        if answer.cue_id == NO_CUE:
            return Advice(None, None, "none")
        cue = next(cue for cue in candidates if cue.id == answer.cue_id)
        text = filled_text(self._playbook, cue, answer.slots, self._language, orders)
        is_used = text is not None or cue.id != chosen.id
        return Advice(cue.id, text, "used" if is_used else "unchanged")

    async def _ask_cue(
        self, chosen: CueRule, candidates: list[CueRule], turns: Sequence[Turn], done: frozenset[str]
    ) -> str:
        question = cue_question(self._playbook, candidates, turns, done, self._language)
        deadline_s = (chosen.llm.deadline_ms or self._deadline_ms) / 1e3
        call = asyncio.create_task(self._model.ask(question, CUE_TOKENS, deadline_s))
        newer = asyncio.create_task(self._newer_turn.wait())
        try:
            await asyncio.wait({call, newer}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise LlmFailed("cancelled")
            return call.result()
        finally:
            for task in (call, newer):
                task.cancel()
            with contextlib.suppress(LlmFailed):
                await asyncio.gather(call, newer, return_exceptions=True)

    async def summarise(
        self, facts: Conclusion, turns: Sequence[Turn], within_s: float
    ) -> tuple[SummaryAnswer | None, AdviceOutcome]:
        """The summary in the model's words, if they can be believed."""
        question = summary_question(self._playbook, facts, turns, self._language)
        try:
            text = await self._model.ask(question, SUMMARY_TOKENS, within_s)
            return read_summary_answer(self._playbook, facts, text), "used"
        except LlmFailed as error:
            return None, error.fault
