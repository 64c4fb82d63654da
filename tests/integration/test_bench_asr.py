"""The light ingest of `bench asr` against a real worker process: nothing is lost, nothing taken back."""

from pathlib import Path

from fieldcoach.tools.bench.asr.figures import figures_of, together
from fieldcoach.tools.bench.asr.programme import programme, recorded
from fieldcoach.tools.bench.asr.streams import LightIngest
from fieldcoach.tools.bench.asr.workers import Workers
from fieldcoach.tools.bench.gold import load_visit
from fieldcoach.tools.stack.plan import REGION

ROOT = Path(__file__).resolve().parents[2]


async def test_three_sessions_on_one_worker() -> None:
    recording = recorded(load_visit(ROOT / "visits" / "quick-order.json"))
    sound = programme([recording], 8.0)
    async with Workers(ROOT, 1) as workers:
        ingest = LightIngest(workers.nats_url, REGION)
        await ingest.connect()
        await ingest.wait_for_workers(1, 60)
        before = workers.cpu_s()
        streams = await ingest.play([sound] * 3)
        assert workers.cpu_s() > before
        assert {beat.languages for beat in ingest.workers.values()} == {("en",)}
        await ingest.close()
    found = together(figures_of(stream) for stream in streams)
    assert all(stream.is_complete for stream in streams)
    assert (found.lost_finals, found.lost_chunks, found.prefix_violations) == (0, 0, 0)
    assert found.words.words == 3 * sum(len(line.text.split()) for line in sound.lines)
    assert (found.words.rate or 0) < 0.1
    assert len(found.eos_to_final_ms) == 3 * len(sound.lines)
    assert min(found.eos_to_final_ms) > 200  # the wait for silence: no final comes before it
