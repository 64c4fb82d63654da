"""The language model behind an OpenAI-compatible server: one call, one deadline, a typed failure.

The SDK's defaults are 600 s and two retries; here a late answer is worth nothing, so there are no retries
and the whole call, connection included, lives within its deadline.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import openai
from openai import AsyncOpenAI

from .breaker import Breaker
from .errors import LlmFailed, LlmFault
from .prompt import SUMMARY, Question

log = logging.getLogger(__name__)
# at DEBUG the SDK logs whole requests, and with them what was said
logging.getLogger("openai").setLevel(logging.WARNING)

CUE_TOKENS: Final = 80
SUMMARY_TOKENS: Final = 400
CONNECT_S: Final = 0.3
PROBE: Final = Question(
    ({"role": "user", "content": "Answer with an empty JSON object."},),
    {"type": "object", "additionalProperties": False, "required": [], "properties": {}},
    "probe",
)
"""Nothing of any visit is in it."""
PROBE_WITHIN_S: Final = 5.0
_MAX_ANSWER: Final = 8_192
"""Characters; a server that streams on and on is cut off."""
_FORMATS: Final = ("json_schema", "json_object", "none")
_NO_KEY: Final = "none"
"""Local servers need no key, but the SDK sends one."""


@dataclass(frozen=True, slots=True)
class LlmAccess:
    """Where the model is."""

    base_url: str
    model: str
    api_key: str
    summary_model: str = ""
    """For the summary; without it the same as for cues."""

    def model_for(self, question: Question) -> str:
        """The model to ask."""
        return (self.summary_model if question.schema_name == SUMMARY else "") or self.model


class LanguageModel:
    """Shared by all visits of a process; the limit of one call at a time per visit is the visit's."""

    def __init__(
        self,
        access: LlmAccess,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = AsyncOpenAI(
            api_key=access.api_key or _NO_KEY,
            base_url=access.base_url or None,
            max_retries=0,
            timeout=openai.Timeout(timeout=30.0, connect=CONNECT_S),
        )
        self._access = access
        self._clock = clock
        self._sleep = sleep
        self._breaker = Breaker()
        self._probing: asyncio.Task[None] | None = None
        self._format = 0
        """Index into `_FORMATS`: the best that this server understands."""

    async def ask(self, question: Question, max_tokens: int, deadline_s: float) -> str:
        """The whole answer.

        Raises:
            LlmFailed: no answer within the deadline, for the reason that it carries.
        """
        if self._breaker.is_open:
            raise LlmFailed("breaker")
        return await self._call(question, max_tokens, deadline_s)

    async def _call(self, question: Question, max_tokens: int, deadline_s: float) -> str:
        # cancelled by us it says nothing about the server, so the breaker is not told
        try:
            async with asyncio.timeout(deadline_s):
                answer = await self._ask_in_best_format(question, max_tokens)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise self._failed("timeout") from error
        except openai.APIStatusError as error:
            log.warning("the language model refused the call", extra={"status": error.status_code})
            raise self._failed("status") from error
        except openai.APIConnectionError as error:
            raise self._failed("connection") from error
        except openai.OpenAIError as error:
            raise self._failed("wrong") from error
        except LlmFailed as error:
            if error.fault == "refused":
                self._breaker.succeeded()  # the server works
                raise
            raise self._failed(error.fault) from error
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            # a server that speaks something else: the SDK parses chunks without checking them
            raise self._failed("wrong") from error
        self._breaker.succeeded()
        return answer

    @property
    def is_away(self) -> bool:
        """Whether the breaker is open: the rules do without it."""
        return self._breaker.is_open

    def misled(self) -> None:
        """The last answer could not be used: as good as none."""
        self._note_failure()

    async def close(self) -> None:
        """Probe no more, and close the connections."""
        if self._probing:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self._client.close()

    def _failed(self, fault: LlmFault) -> LlmFailed:
        self._note_failure()
        return LlmFailed(fault)

    def _note_failure(self) -> None:
        self._breaker.failed(self._clock())
        if self._breaker.is_open and self._probing is None:
            log.warning("the language model does not answer; the rules do without it")
            self._probing = asyncio.create_task(self._probe_until_closed())

    async def _probe_until_closed(self) -> None:
        """Ask for a few words now and then, beside the visits, until the server answers."""
        while (wait_s := self._breaker.probe_in(self._clock())) is not None:
            await self._sleep(wait_s)
            try:
                await self._call(PROBE, CUE_TOKENS, PROBE_WITHIN_S)
            except LlmFailed as error:
                log.info("the language model still does not answer", extra={"fault": error.fault})
        self._probing = None
        log.info("the language model answers again")

    async def _ask_in_best_format(self, question: Question, max_tokens: int) -> str:
        while True:
            try:
                return await self._stream(question, max_tokens)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if "response_format" not in str(error) and "json_schema" not in str(error):
                    raise
                if self._format + 1 == len(_FORMATS):
                    raise
                self._format += 1
                log.warning("the server does not know the format", extra={"now": _FORMATS[self._format]})

    async def _stream(self, question: Question, max_tokens: int) -> str:
        stream = await self._client.chat.completions.create(
            model=self._access.model_for(question),
            messages=cast(Any, list(question.messages)),
            max_tokens=max_tokens,
            temperature=0,
            stream=True,
            response_format=self._response_format(question),
        )
        answer = ""
        async with stream:
            async for chunk in stream:
                if not chunk.choices:
                    continue
                choice = chunk.choices[0]
                if choice.delta.refusal or choice.finish_reason == "content_filter":
                    raise LlmFailed("refused")
                answer += choice.delta.content or ""
                if len(answer) > _MAX_ANSWER or choice.finish_reason == "length":
                    raise LlmFailed("wrong")
                if choice.finish_reason:
                    break
        return answer

    def _response_format(self, question: Question) -> Any:
        match _FORMATS[self._format]:
            case "json_schema":
                schema = {"name": question.schema_name, "strict": True, "schema": question.schema}
                return {"type": "json_schema", "json_schema": schema}
            case "json_object":
                return {"type": "json_object"}
            case _:
                return openai.omit
