"""What every engine must do, asked of each of them: `whisper` (embedded), `sphinx`, `openai` (a server of our
own), `replay`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from fieldcoach.asr.engines.base import Engine, Pcm, Segment
from fieldcoach.asr.engines.openai import OpenAiEngine, OpenAiOptions
from fieldcoach.asr.engines.sphinx import SphinxEngine
from fieldcoach.asr.engines.whisper import WhisperEngine, WhisperOptions
from fieldcoach.asr.errors import DecodeFailed, EngineAway, EngineBroken
from fieldcoach.asr.language import LanguageChoice
from fieldcoach.asr.voice import Silero

from .asr_bench import ROOT, Bench, load_visit
from .asr_replay import ReplayEngine, TranscriptionServer

VISIT = "quick-order"
PLACES_WORDS = {"sphinx", "openai", "replay"}
"""The embedded model's alignment heads were never trained for it."""


def options_of(server: TranscriptionServer, timeout_s: float = 5.0) -> OpenAiOptions:
    return OpenAiOptions(server.url, "key", "whisper-1", ("en", "hi"), timeout_s)


@pytest.fixture(scope="module", params=["whisper", "sphinx", "openai", "replay"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    server: TranscriptionServer | None = None
    made: Engine
    match request.param:
        case "whisper":
            model = ROOT / "models" / "outlet-en"
            options = WhisperOptions(threads=2, word_times=False, takes_context=False)
            made = WhisperEngine(model, "outlet-en", options)
        case "sphinx":
            made = SphinxEngine(threads=2)
        case "openai":
            server = TranscriptionServer(VISIT)
            made = OpenAiEngine(options_of(server))
        case _:
            made = ReplayEngine(VISIT)
    made.open()
    yield made
    made.close()
    if server is not None:
        server.stop()


def line(number: int) -> tuple[Segment, str]:
    samples, lines = load_visit(VISIT)
    found = lines[number]
    first = round(float(found["start"]) * 16_000) - 3_200  # type: ignore[arg-type]
    end = round(float(found["end"]) * 16_000) + 3_200  # type: ignore[arg-type]
    return segment_of(samples[first:end].astype(np.float32) / np.float32(32_768), first), str(found["text"])


def segment_of(pcm: Pcm, first: int = 0) -> Segment:
    return Segment("s", first, pcm, "en", is_final=True)


def test_says_who_it_is(engine: Engine) -> None:
    assert engine.name
    assert engine.model
    assert "en" in engine.languages


def test_hears_words_that_were_said(engine: Engine) -> None:
    segment, text = line(3)
    heard = engine.decode(segment)
    assert set(heard.text.split()) & set(text.split())
    assert heard.text == " ".join(heard.text.split())
    assert 0 <= heard.confidence <= 1
    assert -10 < heard.avg_logprob <= 0
    assert 0 <= heard.no_speech_prob <= 1


def test_words_lie_in_order_inside_the_segment(engine: Engine) -> None:
    segment, _ = line(4)
    heard = engine.decode(segment)
    if engine.name in PLACES_WORDS:
        assert [word.text for word in heard.words] == heard.text.split()
    ends = 0
    for word in heard.words:
        assert ends <= word.end <= len(segment.pcm)
        assert 0 <= word.start <= word.end
        assert 0 <= word.confidence <= 1
        ends = word.end


def test_words_stand_where_they_were_said(engine: Engine) -> None:
    """Two lines, with the pause between them: no word stands in the pause, and words stand on both sides."""
    if engine.name not in PLACES_WORDS:
        pytest.skip("no word times from this engine's model")
    samples, lines = load_visit(VISIT)
    first = round(float(lines[0]["start"]) * 16_000) - 3_200  # type: ignore[arg-type]
    end = round(float(lines[1]["end"]) * 16_000) + 3_200  # type: ignore[arg-type]
    heard = engine.decode(segment_of(samples[first:end].astype(np.float32) / np.float32(32_768), first))
    pause = [round(float(at) * 16_000) - first for at in (lines[0]["end"], lines[1]["start"])]  # type: ignore[arg-type]
    slack = 16_000 // 5
    middles = [(word.start + word.end) // 2 for word in heard.words]
    assert any(middle < pause[0] for middle in middles)
    assert any(middle > pause[1] for middle in middles)
    assert not [middle for middle in middles if pause[0] + slack < middle < pause[1] - slack]
    assert heard.words[0].start == pytest.approx(3_200, abs=16_000 * 0.3)


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_silence_is_no_error(engine: Engine, seconds: float) -> None:
    heard = engine.decode(segment_of(np.zeros(round(16_000 * seconds), np.float32)))
    assert heard.avg_logprob <= 0  # a figure, or -inf of nothing
    assert 0 <= heard.confidence <= 1


def test_a_partial_and_a_second_try_are_answered(engine: Engine) -> None:
    segment, _ = line(3)
    half = replace(segment, pcm=segment.pcm[: len(segment.pcm) // 2], is_final=False)
    assert len(engine.decode(half).text) < len(engine.decode(segment).text)
    assert engine.decode(replace(segment, is_retry=True)).text


def test_context_and_hot_words_do_no_harm(engine: Engine) -> None:
    segment, text = line(3)
    told = replace(segment, context="good morning sir", hot_words=("cola", "tea"))
    assert set(engine.decode(told).text.split()) & set(text.split())


def test_threads_and_batches_give_what_one_alone_gives(engine: Engine) -> None:
    segments = [line(number)[0] for number in (0, 3)]
    alone = [engine.decode(segment).text for segment in segments]
    with ThreadPoolExecutor(2) as pool:
        assert [found.text for found in pool.map(engine.decode, segments)] == alone
    assert [found and found.text for found in engine.decode_many(segments)] == alone


def test_a_whole_visit_goes_through(engine: Engine) -> None:
    samples, lines = load_visit(VISIT)
    bench = Bench(engine, Silero().stream(), cost_s=0.05)
    bench.recogniser.partial_interval_s = 2.4
    bench.hear(samples[: 16_000 * 7])
    bench.end()
    assert bench.finals
    assert lines
    said = {final.utterance: final.text.split() for final in bench.finals}
    for partial in bench.partials:
        committed = partial.committed.split()
        assert not committed or said[partial.utterance][: len(committed)] == committed


# ── a server that is not well ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def server() -> Iterator[TranscriptionServer]:
    started = TranscriptionServer(VISIT)
    yield started
    started.stop()


@pytest.mark.parametrize(
    "mood", ["slow", "refusing", "broken", "busy", "wrong", "not-json", "endless", "cut-off"]
)
def test_a_server_in_a_bad_mood_costs_one_decode(server: TranscriptionServer, mood: str) -> None:
    engine = OpenAiEngine(options_of(server, timeout_s=0.4 if mood == "slow" else 5.0))
    engine.open()
    segment, text = line(3)
    server.mood = mood
    with pytest.raises(DecodeFailed, match="openai") as failed:
        engine.decode(segment)
    assert "tea" not in str(failed.value)  # what a server says may be what was spoken
    assert engine.decode_many([segment]) == [None]
    server.mood = "good"
    server.release.set()
    assert engine.decode(replace(segment)).text == text
    engine.close()
    with pytest.raises(DecodeFailed, match="closed"):
        engine.decode(segment)


def test_a_server_that_refuses_at_start_is_told_with_the_settings(server: TranscriptionServer) -> None:
    server.mood = "refusing"
    with pytest.raises(EngineBroken, match=r"ASR_OPENAI_URL=http.*401.*ASR_OPENAI_KEY.*ASR_OPENAI_MODEL"):
        OpenAiEngine(options_of(server)).open()


@pytest.mark.parametrize("mood", ["busy", "broken", "slow"])
def test_a_server_that_is_away_at_start_may_come_back(server: TranscriptionServer, mood: str) -> None:
    server.mood = mood
    with pytest.raises(EngineAway, match="ASR_OPENAI_URL"):
        OpenAiEngine(options_of(server, timeout_s=0.4)).open()


def test_a_server_that_knows_the_plain_answer_only(server: TranscriptionServer) -> None:
    server.mood = "plain"
    engine = OpenAiEngine(options_of(server))
    engine.open()
    segment, text = line(3)
    heard = engine.decode(segment)
    assert (heard.text, heard.words) == (text, ())
    assert "timestamp_granularities[]" not in server.forms[-1]
    engine.close()


@pytest.mark.parametrize(
    ("spoken", "requests", "language"), [("english", 1, "en"), ("hindi", 1, "hi"), ("urdu", 2, "")]
)
def test_the_server_finds_the_language_among_the_sessions(
    server: TranscriptionServer, spoken: str, requests: int, language: str
) -> None:
    engine = OpenAiEngine(options_of(server))
    engine.open()
    server.language, server.forms = spoken, []
    segment, text = line(3)
    heard = engine.decode(replace(segment, choice=LanguageChoice("en", ("en", "hi"))))
    assert (heard.text, heard.language) == (text, language)
    assert [form.get("language") for form in server.forms] == [None, "en"][:requests]
    engine.close()


def test_the_server_is_told_language_and_words(server: TranscriptionServer) -> None:
    engine = OpenAiEngine(options_of(server))
    engine.open()
    segment, _ = line(3)
    engine.decode(replace(segment, language="hi", hot_words=("cola", "tea"), context="good morning"))
    form = server.forms[-1]
    assert (form["language"], form["model"], form["prompt"]) == ("hi", "whisper-1", "cola, tea good morning")
    engine.close()
