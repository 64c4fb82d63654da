"""The coach on a real bus: a whole visit, a restart in the middle, two coaches, bad playbooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support import until

from fieldcoach.coach.ownership import Ownership
from fieldcoach.coach.service import CoachService
from fieldcoach.coach.settings import CoachSettings
from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.bus import Bus
from fieldcoach.common.follow import SessionFollower
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import (
    Checklist,
    Cue,
    CueAcknowledged,
    CueAggregate,
    CueCounts,
    EventMessage,
    FinalTranscript,
    SessionCreated,
    SessionEnding,
    SessionState,
    StageTicked,
    Summary,
    Timing,
    TranscriptComplete,
    VisitMetrics,
)
from fieldcoach.common.numbering import EventNumbers, unix_ms
from fieldcoach.common.telemetry import Headers

ROOT = Path(__file__).parents[2]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Phone:
    """Everybody else of a visit: gateway, ingest, asr worker; keeps what the coach says."""

    def __init__(self, bus: Bus, playbook: str = "outlet-en") -> None:
        self.bus = bus
        self.session = new_id()
        self._playbook = playbook
        self._numbers = EventNumbers()
        self.events: list[EventMessage] = []
        self.headers: list[Headers] = []
        self._follower = SessionFollower(bus, self.session, self._take)

    def _take(self, event: EventMessage, headers: Headers) -> None:
        self.events.append(event)
        self.headers.append(headers)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def begin(self) -> None:
        await self._follower.start()
        created = SessionCreated(
            session=self.session,
            n=self._numbers.next(),
            ingest=new_id(),
            playbook=self._playbook,
            created_at=unix_ms(),
        )
        await self.bus.publish_event(created)

    async def say(self, text: str, start: float, end: float, late_s: float = 0) -> FinalTranscript:
        now = unix_ms()
        final = FinalTranscript(
            session=self.session,
            epoch=1,
            utterance=1,
            n=self._numbers.next(),
            first_sample=round(start * SAMPLE_RATE),
            end_sample=round(end * SAMPLE_RATE),
            text=text,
            language="en",
            confidence=0.9,
            engine="test",
            model="test",
            timing=Timing(
                heard_at=now - late_s * 1e3, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=now
            ),
        )
        await self.bus.publish_event(final, {"traceparent": TRACEPARENT})
        return final

    async def end(self, complete: bool = True) -> None:
        await self.bus.publish_event(
            SessionEnding(session=self.session, n=self._numbers.next(), reason="user")
        )
        if complete:
            await self.bus.publish_event(
                TranscriptComplete(
                    session=self.session, n=self._numbers.next(), epoch=1, end_sample=60 * SAMPLE_RATE
                )
            )

    async def acknowledge(self, cue: Cue, action: Any) -> None:
        await self.bus.publish_event(
            CueAcknowledged(
                session=self.session, n=self._numbers.next(), id=cue.id, action=action, at=unix_ms()
            )
        )

    async def tick(self, stage: str) -> None:
        await self.bus.publish_event(StageTicked(session=self.session, n=self._numbers.next(), stage=stage))

    async def hang_up(self) -> None:
        await self._follower.stop()


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    bus = Bus(nats_url, "local", "test")
    await bus.connect()
    yield bus
    await bus.drain()


async def start_coach(
    nats_url: str, folder: Path = ROOT / "playbooks", **more: Any
) -> tuple[CoachService, Bus]:
    bus = Bus(nats_url, "local", "coach")
    await bus.connect()
    coach = CoachService(CoachSettings(playbooks_dir=folder, **more), bus)
    await coach.start()
    return coach, bus


async def stop_coach(coach: CoachService, bus: Bus) -> None:
    await coach.drain()
    await bus.drain()


@pytest.fixture
async def coach(nats_url: str) -> AsyncIterator[CoachService]:
    coach, bus = await start_coach(nats_url)
    yield coach
    await stop_coach(coach, bus)


async def test_a_whole_visit(bus: Bus, coach: CoachService) -> None:
    visit = json.loads((ROOT / "visits/biscuits-no-space.json").read_text())
    phone = Phone(bus)
    await phone.begin()
    await until(lambda: bool(phone.of(Checklist)))
    assert not any(stage.done for stage in phone.of(Checklist)[0].stages)
    finals = [await phone.say(line["text"], line["start"], line["end"]) for line in visit["lines"]]
    await until(lambda: bool(phone.of(Cue)))
    await phone.end()
    await until(lambda: bool(phone.of(Summary)))

    (cue,) = phone.of(Cue)
    trigger = finals[5]
    assert (cue.cue, cue.objection, cue.source) == ("obj_no_space", "no_space", "rule")
    assert (cue.trigger_n, cue.trigger_end_sample) == (trigger.n, trigger.end_sample)
    assert cue.trigger_timing == trigger.timing
    assert 0 <= cue.coach_ms < 500
    assert unix_ms() < cue.expires_at <= unix_ms() + cue.ttl_ms
    headers = phone.headers[phone.events.index(cue)]
    assert headers["traceparent"].split("-")[1] == TRACEPARENT.split("-")[1]

    (summary,) = phone.of(Summary)
    gold = {stage for line in visit["lines"] for stage in line.get("stages", ())}
    assert {stage.id for stage in summary.stages if stage.done} == gold
    assert [raised.id for raised in summary.objections] == ["no_space"]
    assert [line.model_dump() for line in summary.orders] == [
        {"sku": "cream biscuits", "qty": 10, "unit": "boxes"},
        {"sku": "noodles", "qty": 2, "unit": "cartons"},
    ]
    assert (summary.score, summary.source, summary.duration_s) == (65, "rules", 60)
    assert 1 <= len(summary.tips) <= 2
    assert phone.of(VisitMetrics)[-1].order_lines == 2
    assert phone.of(VisitMetrics)[-1].talk_share is None
    await phone.hang_up()


async def test_a_coach_that_is_replaced_goes_on_and_sends_nothing_twice(nats_url: str, bus: Bus) -> None:
    first, first_bus = await start_coach(nats_url)
    phone = Phone(bus)
    await phone.begin()
    await until(lambda: bool(phone.of(Checklist)))
    await phone.say("good morning sir", 0.5, 2)
    await phone.say("there is no space on my shelf", 3, 5)
    await until(lambda: bool(phone.of(Cue)) and phone.of(Checklist)[-1].stages[0].done)
    await stop_coach(first, first_bus)

    second, second_bus = await start_coach(nats_url)
    owner = Ownership(bus, new_id(), phone.session)
    async with asyncio.timeout(5):
        while await owner.is_free():
            await asyncio.sleep(0.02)
    await phone.say("my shelf is already full", 12, 14)
    await phone.say("give me two boxes of soap", 15, 17)
    await phone.end()
    await until(lambda: bool(phone.of(Summary)))

    (summary,) = phone.of(Summary)
    assert [raised.id for raised in summary.objections] == ["no_space", "no_space"]
    assert [line.model_dump() for line in summary.orders] == [{"sku": "soap", "qty": 2, "unit": "boxes"}]
    assert len(phone.of(Cue)) == 1, "the first coach's cue is still in its cool-down"
    assert len(phone.of(Checklist)) == 2, "the checklist was known"
    await stop_coach(second, second_bus)
    await phone.hang_up()


async def test_two_coaches_share_visits_and_no_visit_has_two(nats_url: str, bus: Bus) -> None:
    coaches = [await start_coach(nats_url) for _ in range(2)]
    phones = [Phone(bus) for _ in range(12)]
    for phone in phones:
        await phone.begin()
    await until(lambda: all(phone.of(Checklist) for phone in phones))
    for phone in phones:
        await phone.say("the margin is very low", 3, 5)
        await phone.end()
    await until(lambda: all(phone.of(Summary) for phone in phones))
    for phone in phones:
        assert len(phone.of(Cue)) == len(phone.of(Summary)) == len(phone.of(Checklist)) == 1
        await phone.hang_up()
    for coach, coach_bus in coaches:
        await stop_coach(coach, coach_bus)


async def test_a_drained_coach_hands_its_visit_to_another(nats_url: str, bus: Bus) -> None:
    first, first_bus = await start_coach(nats_url)
    phone = Phone(bus)
    await phone.begin()
    await until(lambda: bool(phone.of(Checklist)))
    second, second_bus = await start_coach(nats_url)
    await stop_coach(first, first_bus)
    owner = Ownership(bus, new_id(), phone.session)
    async with asyncio.timeout(5):
        while await owner.is_free():
            await asyncio.sleep(0.02)
    await phone.say("the price is too high", 3, 5)
    await until(lambda: bool(phone.of(Cue)))
    await stop_coach(second, second_bus)
    await phone.hang_up()


async def test_words_that_come_too_late_fire_no_cue(bus: Bus, coach: CoachService) -> None:
    phone = Phone(bus)
    await phone.begin()
    await phone.say("there is no space on my shelf", 3, 5, late_s=6)
    await phone.say("the price is too high", 16, 18)
    await until(lambda: bool(phone.of(Cue)))
    await phone.end()
    await until(lambda: bool(phone.of(Summary)))
    assert [cue.objection for cue in phone.of(Cue)] == ["price_margin"]
    assert [raised.id for raised in phone.of(Summary)[0].objections] == ["no_space", "price_margin"]
    await phone.hang_up()


async def test_a_visit_whose_transcript_is_never_complete_is_summed_up_anyway(
    bus: Bus, coach: CoachService
) -> None:
    phone = Phone(bus)
    await phone.begin()
    await phone.say("good morning sir", 0.5, 2)
    await bus.publish_event(
        SessionState(session=phone.session, n=unix_ms(), state="ended", sample=3 * SAMPLE_RATE)
    )
    await until(lambda: bool(phone.of(Summary)), 5)
    assert phone.of(Summary)[0].duration_s == 3
    await phone.hang_up()


async def test_an_unknown_playbook_gives_an_empty_checklist(bus: Bus, coach: CoachService) -> None:
    phone = Phone(bus, playbook="not-here")
    await phone.begin()
    await until(lambda: bool(phone.of(Checklist)))
    assert phone.of(Checklist)[0].stages == ()
    await phone.say("there is no space on my shelf", 3, 5)
    await phone.end()
    await until(lambda: bool(phone.of(Summary)))
    assert not phone.of(Cue)
    assert (phone.of(Summary)[0].playbook, phone.of(Summary)[0].playbook_version) == ("not-here", 0)
    await phone.hang_up()


async def test_a_bad_playbook_is_told_with_file_line_field_and_fix(
    nats_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.yaml").write_text("schema: coach.playbook/1\nid: bad\nversion: 1\nstagez: []\n")
    coach, coach_bus = await start_coach(nats_url, tmp_path)
    reason = coach.why_not_ready()
    assert reason is not None
    assert "bad.yaml:4: stagez: unknown key 'stagez'. Fix: did you mean 'stages'" in reason
    assert any(
        record.message == "playbook rejected" and reason == vars(record)["flaw"] for record in caplog.records
    )
    await stop_coach(coach, coach_bus)


async def test_a_visit_keeps_its_playbook_while_the_file_changes(
    nats_url: str, bus: Bus, tmp_path: Path
) -> None:
    file = tmp_path / "outlet-en.yaml"
    text = (ROOT / "playbooks/outlet-en.yaml").read_text()
    file.write_text(text)
    coach, coach_bus = await start_coach(nats_url, tmp_path, playbooks_reload_s=0.05)
    phones = [Phone(bus), Phone(bus)]
    await phones[0].begin()
    await until(lambda: bool(phones[0].of(Checklist)))
    file.write_text(text.replace("stages:", "stagez:", 1))
    await until(lambda: "unknown key 'stagez'" in (coach.why_not_ready() or ""))
    file.write_text(text.replace("version: 1", "version: 2", 1))
    await until(lambda: coach.why_not_ready() is None)
    await phones[1].begin()
    await until(lambda: bool(phones[1].of(Checklist)))
    for phone in phones:
        await phone.end()
    await until(lambda: all(phone.of(Summary) for phone in phones))
    assert [phone.of(Summary)[0].playbook_version for phone in phones] == [1, 2]
    for phone in phones:
        await phone.hang_up()
    await stop_coach(coach, coach_bus)
    await asyncio.get_running_loop().shutdown_default_executor()  # the file was read in it


async def test_a_coach_that_is_full_takes_no_more(nats_url: str, bus: Bus) -> None:
    coach, coach_bus = await start_coach(nats_url, coach_max_sessions=1)
    phones = [Phone(bus), Phone(bus)]
    await phones[0].begin()
    await until(lambda: bool(phones[0].of(Checklist)))
    await phones[1].begin()
    await phones[0].end()
    await until(lambda: bool(phones[0].of(Summary)))
    await until(lambda: bool(phones[1].of(Checklist)))  # adopted as soon as there is room
    for phone in phones:
        await phone.hang_up()
    await stop_coach(coach, coach_bus)


async def test_a_stage_ticked_off_by_hand_is_in_the_checklist(bus: Bus, coach: CoachService) -> None:
    phone = Phone(bus)
    await phone.begin()
    await until(lambda: bool(phone.of(Checklist)))
    await phone.tick("no_such_stage")
    await phone.tick("stock_check")
    await until(lambda: len(phone.of(Checklist)) == 2)
    assert [stage.id for stage in phone.of(Checklist)[1].stages if stage.done] == ["stock_check"]
    assert coach._telemetry.faults["tick-of-no-stage"] == 1
    await phone.hang_up()


async def test_words_after_the_summary_correct_it(
    bus: Bus, coach: CoachService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldcoach.coach.visit.SETTLE_S", 0.05)
    phone = Phone(bus)
    await phone.begin()
    await phone.say("good morning", 1, 3)
    await phone.end()
    await until(lambda: bool(phone.of(Summary)))
    await phone.say("send me two cartons of noodles", 4, 7)
    await until(lambda: len(phone.of(Summary)) == 2)
    assert [len(summary.orders) for summary in phone.of(Summary)] == [0, 1]
    await phone.say("well", 8, 8.5)  # changes nothing: nothing is sent
    await phone.say("send me three boxes of tea", 9, 11)
    await until(lambda: len(phone.of(Summary)) == 3)
    assert len(phone.of(Summary)[2].orders) == 2
    assert not phone.of(Cue)
    await phone.hang_up()


async def test_counts_of_what_was_acted_on_are_told_without_words(nats_url: str, bus: Bus) -> None:
    told: list[CueAggregate] = []
    listening = await bus.subscribe(
        bus.subjects.coach_aggregate(), lambda _s, payload, _h: told.append(CueAggregate.decode(payload))
    )
    coach, coach_bus = await start_coach(nats_url, aggregate_every_s=0.05)
    phone = Phone(bus)
    await phone.begin()
    await phone.say("there is no space on my shelf", 3, 5)
    await until(lambda: bool(phone.of(Cue)))
    for action in ("shown", "acted", "acted"):  # the last one again, after a reconnect
        await phone.acknowledge(phone.of(Cue)[0], action)
    await until(lambda: bool(told) and any(row.acted for row in told[-1].cues))
    (row,) = told[-1].cues
    assert row == CueCounts(playbook="outlet-en", cue="obj_no_space", fired=1, shown=1, acted=1)
    assert coach._telemetry.acks["acted"] == 1
    await listening.unsubscribe()
    await phone.hang_up()
    await stop_coach(coach, coach_bus)


async def test_a_dismissal_is_known_to_the_coach(bus: Bus, coach: CoachService) -> None:
    phone = Phone(bus)
    await phone.begin()
    await phone.say("there is no space on my shelf", 3, 5)
    await until(lambda: bool(phone.of(Cue)))
    await phone.acknowledge(phone.of(Cue)[0], "dismissed")
    await until(lambda: coach._telemetry.acks["dismissed"] == 1)
    await phone.hang_up()


async def test_a_model_that_never_answers_delays_a_cue_by_its_deadline_only(nats_url: str, bus: Bus) -> None:
    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    silent: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(never, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    coach, coach_bus = await start_coach(nats_url, llm_base_url=url, llm_summary_s=0.5)
    phone = Phone(bus)
    await phone.begin()
    await phone.say("there is no space on my shelf", 3, 5)
    await until(lambda: bool(phone.of(Cue)))
    (cue,) = phone.of(Cue)
    assert cue.source == "rule"
    assert 850 <= cue.coach_ms < 1_600
    await phone.say("the price is too high", 12, 14)  # its cue does not ask the model
    await phone.end()
    await until(lambda: bool(phone.of(Summary)))
    assert phone.of(Summary)[0].source == "rules"
    assert coach._telemetry.llm["timeout"] == coach._telemetry.llm["summary-timeout"] == 1
    await phone.hang_up()
    await stop_coach(coach, coach_bus)
    for writer in silent:
        writer.close()
    server.close()
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_one_trace_from_the_final_through_the_rules_to_the_cue(
    bus: Bus, coach: CoachService, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    phone = Phone(bus)
    await phone.begin()
    await phone.say("there is no space on my shelf", 3, 5)
    await until(lambda: bool(phone.of(Cue)))
    (span,) = exporter.get_finished_spans()
    assert span.name == "coach.rules"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == TRACEPARENT.split("-")[2]
    _, trace_id, span_id, _ = phone.headers[phone.events.index(phone.of(Cue)[0])]["traceparent"].split("-")
    assert span.context is not None
    assert (trace_id, span_id) == (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")
    assert not any("space" in str(value) for value in (span.attributes or {}).values())
    await phone.hang_up()
    provider.shutdown()
