"""One connected trace from speech to `client.shown`, collected over OTLP from the real processes."""

import asyncio
from pathlib import Path

import pytest

from fieldcoach.tools.collector import Collector
from fieldcoach.tools.phone.audio_file import read_pcm
from fieldcoach.tools.phone.visit import Visit, VisitPlan
from fieldcoach.tools.stack import Stack, StackOptions

from .conftest import ROOT, VISITS, gold

SECONDS = 22
"""Of biscuits-no-space: up to the objection and its cue."""


@pytest.mark.stack
async def test_one_trace_from_speech_to_the_screen(tmp_path: Path) -> None:
    pcm = read_pcm(VISITS / "biscuits-no-space.flac")[: 2 * 16_000 * SECONDS]
    async with Collector() as collector:
        options = StackOptions(ROOT, tmp_path / "run", otlp_endpoint=collector.endpoint)
        async with Stack(options) as stack:
            result = await Visit(VisitPlan(stack.gateway_url, stack.user_token(), pcm)).run()
            async with asyncio.timeout(10):
                while not collector.named("client.shown"):
                    await asyncio.sleep(0.05)
        # the processes have ended: every span is here

    (shown, *_) = collector.named("client.shown")
    trace = {span.span_id: span for span in collector.trace(shown.trace_id)}
    way, span = [shown.name], shown
    while span.parent_id:
        span = trace[span.parent_id]
        way.append(span.name)
    assert way == ["client.shown", "gateway.deliver", "coach.rules", "utterance"]
    assert {"ingest.uplink", "asr.decode"} <= {span.name for span in trace.values()}
    assert {span.service for span in trace.values()} == {
        f"fieldcoach-{name}" for name in ("ingest", "asr", "coach", "gateway")
    }
    assert [span.span_id for span in trace.values() if not span.parent_id] == [span.span_id]
    assert all(span.parent_id in trace for span in trace.values() if span.parent_id)
    assert all(span.start_at <= span.end_at for span in trace.values())
    assert span.start_at == min(one.start_at for one in trace.values() if one.name != "ingest.uplink")

    finals = [event for _, event in result.events if event["type"] == "final"]
    assert len(collector.named("utterance")) == len(finals)
    said = {
        word for line in gold("biscuits-no-space")["lines"] for word in line["text"].split() if len(word) > 4
    }
    told = " ".join(str(value) for span in collector.spans for value in span.attributes.values())
    assert not [word for word in said if word in told.split()], "spoken text in a span"
