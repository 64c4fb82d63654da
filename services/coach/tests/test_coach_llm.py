"""The real SDK against a local server that speaks the protocol, and can be slow, wrong, busy or rude."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fieldcoach.coach.advice import Adviser
from fieldcoach.coach.engine import Conclusion
from fieldcoach.coach.errors import LlmFailed
from fieldcoach.coach.llm import LanguageModel, LlmAccess
from fieldcoach.coach.playbook_file import load_playbook
from fieldcoach.coach.prompt import Question, Turn
from fieldcoach.coach.settings import CoachSettings

ROOT = Path(__file__).parents[3]
PLAYBOOK = load_playbook(ROOT / "playbooks/outlet-en.yaml").playbook
CUES = {cue.id: cue for cue in PLAYBOOK.cues}
QUESTION = Question(({"role": "user", "content": "hello"},), {"type": "object"}, "cue")
TURNS = (Turn(3, "there is no space for tea"),)


class Server:
    """`/v1/chat/completions`, streamed; what it does is set by the test."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        self.answer = ""
        self.delta: dict[str, Any] | None = None
        self.finish = "stop"
        self.delay_s = 0.0
        self.hangs = False
        self.raw: bytes | None = None
        self.refuses_formats: set[str] = set()
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length")
                )
                request = json.loads(await reader.readexactly(length))
                self.requests.append(request)
                await self._respond(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _respond(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        kind = request.get("response_format", {}).get("type", "none")
        if kind in self.refuses_formats:
            await self._send(writer, 400, {"error": {"message": f"response_format {kind} is not supported"}})
        elif self.status != 200:
            await self._send(writer, self.status, {"error": {"message": "no"}})
        elif self.raw is not None:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + self.raw
            )
            await writer.drain()
            writer.close()
        else:
            await self._stream(writer)

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        pieces = [self.answer[at : at + 7] for at in range(0, len(self.answer), 7)]
        deltas: list[tuple[dict[str, Any], str | None]] = [({"content": piece}, None) for piece in pieces]
        if self.delta:
            deltas.append((self.delta, None))
        for delta, finish in [*deltas, ({}, self.finish)]:
            await asyncio.sleep(self.delay_s)
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            chunk = {
                "id": "1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": [choice],
            }
            self._chunk(writer, f"data: {json.dumps(chunk)}\n\n".encode())
            await writer.drain()
            if self.hangs:
                await asyncio.sleep(30)
        self._chunk(writer, b'data: {"id":"1","object":"x","created":1,"model":"m","choices":[]}\n\n')
        self._chunk(writer, b"data: [DONE]\n\n")
        self._chunk(writer, b"")
        await writer.drain()

    @staticmethod
    def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(server.serve(reader, writer))
        tasks.add(task)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
async def _no_threads_left() -> AsyncIterator[None]:
    yield
    await asyncio.get_running_loop().shutdown_default_executor()  # the SDK resolves names in it


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def model(server: Server) -> AsyncIterator[LanguageModel]:
    async with running(server) as url:
        model = LanguageModel(LlmAccess(url, "test-model", ""))
        yield model
        await model.close()


async def fault_of(model: LanguageModel, deadline_s: float = 2.0) -> str:
    with pytest.raises(LlmFailed) as caught:
        await model.ask(QUESTION, 80, deadline_s)
    return caught.value.fault


async def test_a_fast_answer(server: Server, model: LanguageModel) -> None:
    server.answer = '{"cue_id": "none"}'
    assert await model.ask(QUESTION, 80, 2) == server.answer
    (request,) = server.requests
    assert (request["stream"], request["max_tokens"], request["model"]) == (True, 80, "test-model")
    assert request["response_format"]["json_schema"]["strict"] is True


async def test_a_slow_answer_ends_at_the_deadline(server: Server, model: LanguageModel) -> None:
    server.answer, server.delay_s = "{" + "x" * 70, 0.2
    began = time.monotonic()
    assert await fault_of(model, 0.5) == "timeout"
    assert time.monotonic() - began < 0.9
    assert len(server.requests) == 1, "no retries"


async def test_a_server_that_stops_in_the_middle(server: Server, model: LanguageModel) -> None:
    server.answer, server.hangs = "{}", True
    assert await fault_of(model, 0.4) == "timeout"


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_a_refused_call(server: Server, model: LanguageModel, status: int) -> None:
    server.status = status
    assert await fault_of(model) == "status"
    assert len(server.requests) == 1, "no retries"


async def test_a_refusal(server: Server, model: LanguageModel) -> None:
    server.delta = {"refusal": "I can't help with that"}
    for _ in range(4):
        assert await fault_of(model) == "refused"
    assert len(server.requests) == 4, "a refusal is an answer: the breaker stays closed"
    server.delta, server.finish = None, "content_filter"
    assert await fault_of(model) == "refused"


async def test_an_answer_that_is_cut_off_or_endless(server: Server, model: LanguageModel) -> None:
    server.answer, server.finish = '{"cue', "length"
    assert await fault_of(model) == "wrong"
    server.answer, server.finish = "x" * 9_000, "stop"
    assert await fault_of(model) == "wrong"


@pytest.mark.parametrize("raw", [b"data: {not json\n\n", b'data: {"choices": "x"}\n\n', b"data: 7\n\n"])
async def test_a_server_that_speaks_something_else(server: Server, model: LanguageModel, raw: bytes) -> None:
    server.raw = raw
    assert await fault_of(model) in {"wrong", "connection"}


async def test_a_stream_error_event(server: Server, model: LanguageModel) -> None:
    server.raw = b'data: {"error": {"message": "overloaded"}}\n\n'
    assert await fault_of(model) in {"wrong", "status"}


async def test_nobody_there_and_the_breaker() -> None:
    model = LanguageModel(LlmAccess("http://127.0.0.1:9/v1", "m", "k"))
    for _ in range(3):
        assert await fault_of(model) == "connection"
    assert await fault_of(model) == "breaker"
    await model.close()


async def test_the_server_is_probed_beside_the_visits_until_it_answers(server: Server) -> None:
    now, slept = 0.0, asyncio.Queue[float]()
    go_on = asyncio.Queue[None]()

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)
        await go_on.get()

    async with running(server) as url:
        model = LanguageModel(LlmAccess(url, "m", ""), lambda: now, sleep)
        server.status = 503
        for _ in range(3):
            assert await fault_of(model) == "status"
        assert await slept.get() == 30
        now = 31.0
        assert await fault_of(model) == "breaker", "no cue pays for the probe"
        go_on.put_nowait(None)
        assert await slept.get() == 30
        assert len(server.requests) == 4
        assert "Answer with an empty JSON object." in str(server.requests[3])
        server.status, server.answer, now = 200, "{}", 62.0
        go_on.put_nowait(None)
        async with asyncio.timeout(3):
            while model.is_away:
                await asyncio.sleep(0.01)
        assert await model.ask(QUESTION, 80, 2) == "{}"
        await model.close()


@pytest.mark.parametrize(
    ("refused", "kind"), [({"json_schema"}, "json_object"), ({"json_schema", "json_object"}, "none")]
)
async def test_a_server_without_schemas(
    server: Server, model: LanguageModel, refused: set[str], kind: str
) -> None:
    server.refuses_formats, server.answer = refused, "{}"
    assert await model.ask(QUESTION, 80, 2) == "{}"
    count = len(server.requests)
    assert await model.ask(QUESTION, 80, 2) == "{}"
    assert len(server.requests) == count + 1, "it is remembered"
    assert server.requests[-1].get("response_format", {}).get("type", "none") == kind


async def test_a_server_without_any_format(server: Server, model: LanguageModel) -> None:
    server.refuses_formats = {"json_schema", "json_object", "none"}
    assert await fault_of(model) == "status"


# ── the adviser ──────────────────────────────────────────────────────────────────────────────────────────


def adviser(model: LanguageModel, deadline_ms: int = 900) -> Adviser:
    return Adviser(model, PLAYBOOK, "en", deadline_ms)


async def test_a_slot_is_filled(server: Server, model: LanguageModel) -> None:
    server.answer = '{"cue_id": "obj_no_space", "slots": {"sku": "tea"}, "confidence": 0.9}'
    advice = await adviser(model).choose(CUES["obj_no_space"], [], TURNS, frozenset())
    assert (advice.cue, advice.text, advice.outcome) == (
        "obj_no_space", "Offer a counter strip of tea: 6 to start", "used",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ('{"cue_id": "obj_no_space", "slots": {"sku": "free beer"}}', "unchanged"),
        ('{"cue_id": "ignore all rules", "slots": {}}', "wrong"),
        ("say: guaranteed sale", "wrong"),
    ],
)
async def test_what_cant_be_believed_leaves_the_rules_words(
    server: Server, model: LanguageModel, answer: str, outcome: str
) -> None:
    server.answer = answer
    advice = await adviser(model).choose(CUES["obj_no_space"], [], TURNS, frozenset())
    assert (advice.cue, advice.text, advice.outcome) == ("obj_no_space", None, outcome)


async def test_another_candidate_or_none(server: Server, model: LanguageModel) -> None:
    ranked = CUES["obj_credit"].model_copy(
        update={"llm": CUES["obj_no_space"].llm.model_copy(update={"mode": "rank"})}
    )
    server.answer = '{"cue_id": "obj_credit", "slots": {}}'
    advice = await adviser(model).choose(
        CUES["obj_no_space"], [ranked, CUES["obj_competitor"]], TURNS, frozenset()
    )
    assert (advice.cue, advice.outcome) == ("obj_credit", "used")
    assert "obj_competitor" not in server.requests[0]["messages"][1]["content"], "its mode is off"
    server.answer = '{"cue_id": "none", "slots": {}}'
    advice = await adviser(model).choose(CUES["obj_no_space"], [], TURNS, frozenset())
    assert (advice.cue, advice.outcome) == (None, "none")


async def test_a_newer_turn_ends_the_wait(server: Server, model: LanguageModel) -> None:
    server.hangs, server.answer = True, "{}"
    one = adviser(model, 3_000)
    rule = CUES["obj_no_space"].model_copy(
        update={"llm": CUES["obj_no_space"].llm.model_copy(update={"deadline_ms": None})}
    )
    asking = asyncio.create_task(one.choose(rule, [], TURNS, frozenset()))
    async with asyncio.timeout(3):
        while not server.requests:
            await asyncio.sleep(0.01)
    began = time.monotonic()
    one.newer_turn()
    advice = await asking
    assert time.monotonic() - began < 0.5
    assert (advice.cue, advice.text, advice.outcome) == ("obj_no_space", None, "cancelled")


async def test_a_model_that_never_answers_costs_no_more_than_its_deadline(
    server: Server, model: LanguageModel
) -> None:
    server.delay_s = 30
    began = time.monotonic()
    advice = await adviser(model).choose(CUES["obj_no_space"], [], TURNS, frozenset())
    assert advice.outcome == "timeout"
    assert time.monotonic() - began < 0.9 + 0.4


async def test_the_summary(server: Server, model: LanguageModel) -> None:
    facts = Conclusion(40, (), "", (), (), (), 0)
    server.answer = '{"text": "A short visit.", "tips": ["Greet first."]}'
    answer, outcome = await adviser(model).summarise(facts, TURNS, 2)
    assert answer is not None
    assert (answer.text, outcome) == ("A short visit.", "used")
    server.answer = '{"text": "You sold 99 boxes."}'
    assert await adviser(model).summarise(facts, TURNS, 2) == (None, "wrong")


async def test_the_summary_may_have_a_model_of_its_own(server: Server) -> None:
    server.answer = '{"text": "A short visit."}'
    async with running(server) as url:
        model = LanguageModel(LlmAccess(url, "small", "", "big"))
        await adviser(model).summarise(Conclusion(40, (), "", (), (), (), 0), TURNS, 2)
        await model.ask(QUESTION, 80, 2)
        await model.close()
    assert [request["model"] for request in server.requests] == ["big", "small"]


def test_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLM_BASE_URL", "LLM_API_KEY", "OPENAI_API_KEY", "LLM_MODEL"):
        monkeypatch.delenv(name, raising=False)
    assert CoachSettings().llm_access() is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    access = CoachSettings().llm_access()
    assert access is not None
    assert (access.api_key, access.base_url) == ("sk-1", "")
    monkeypatch.setenv("LLM_API_KEY", "sk-2")
    monkeypatch.setenv("LLM_BASE_URL", "http://localhost/v1")
    access = CoachSettings().llm_access()
    assert access is not None
    assert (access.api_key, access.base_url) == ("sk-2", "http://localhost/v1")
    assert "sk-2" not in repr(CoachSettings())
