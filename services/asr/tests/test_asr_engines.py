"""The real engines on a recorded visit, alone and in the whole core."""

from collections.abc import Iterator

import numpy as np
import pytest

from fieldcoach.asr.engines.base import Segment
from fieldcoach.asr.engines.sphinx import SphinxEngine
from fieldcoach.asr.engines.whisper import WhisperEngine, WhisperOptions
from fieldcoach.asr.engines.window import COARSE_S, FINE_S, window_seconds
from fieldcoach.asr.errors import DecodeFailed
from fieldcoach.asr.loading import calibrate
from fieldcoach.asr.voice import FRAME, Silero
from fieldcoach.common.opus import OpusDecoder, OpusEncoder

from .asr_bench import ROOT, Bench, Samples, load_visit, word_errors

MODEL = ROOT / "models" / "outlet-en"


@pytest.fixture(scope="module")
def whisper() -> Iterator[WhisperEngine]:
    engine = WhisperEngine(MODEL, "outlet-en", WhisperOptions(word_times=False, takes_context=False))
    engine.open()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def silero() -> Silero:
    return Silero()


def line_of(visit: str, number: int) -> tuple[Segment, str]:
    samples, lines = load_visit(visit)
    line = lines[number]
    first, end = round(float(line["start"]) * 16_000), round(float(line["end"]) * 16_000)  # type: ignore[arg-type]
    pcm = samples[first - 3_200 : end + 3_200].astype(np.float32) / np.float32(32_768)
    return Segment("s", first, pcm, "en", is_final=True), str(line["text"])


@pytest.mark.parametrize(
    ("seconds", "fine", "coarse"),
    [(0.5, 2, 5), (2.0, 3, 5), (4.1, 6, 8), (6.9, 8, 8), (14.0, 15, 15), (14.5, 30, 30), (40, 30, 30)],
)
def test_the_window_holds_the_segment_and_a_second(seconds: float, fine: int, coarse: int) -> None:
    length = round(seconds * 16_000)
    assert window_seconds(length, FINE_S) == fine
    assert window_seconds(length, COARSE_S) == coarse
    assert window_seconds(length, ()) == 30


@pytest.mark.parametrize("is_retry", [False, True])
def test_whisper_hears_a_line(whisper: WhisperEngine, is_retry: bool) -> None:
    segment, text = line_of("quick-order", 3)
    heard = whisper.decode(Segment("s", 0, segment.pcm, "en", is_final=True, is_retry=is_retry))
    assert heard.text == text
    assert heard.confidence > 0.8
    assert heard.words == ()


def test_whisper_can_place_words(whisper: WhisperEngine) -> None:
    engine = WhisperEngine(MODEL, "outlet-en", WhisperOptions(takes_context=False))
    engine.open()
    segment, text = line_of("quick-order", 3)
    heard = engine.decode(segment)
    assert [word.text for word in heard.words] == text.split()
    assert all(0 <= word.start <= word.end <= len(segment.pcm) for word in heard.words)
    assert all(0 <= word.confidence <= 1 for word in heard.words)
    engine.close()
    with pytest.raises(AttributeError):
        engine.decode(segment)


def test_whisper_reports_what_the_engine_refuses(whisper: WhisperEngine) -> None:
    with pytest.raises(DecodeFailed):
        whisper.decode(Segment("s", 0, np.zeros((2, 2), np.float32), "en", is_final=True))


def test_a_decode_has_a_cost(whisper: WhisperEngine) -> None:
    assert 0 < calibrate(whisper) < 5


def test_sphinx_hears_something_in_english() -> None:
    engine = SphinxEngine(threads=1)
    engine.open()
    segment, text = line_of("biscuits-no-space", 0)
    heard = engine.decode(segment)
    assert set(heard.text.split()) & set(text.split())
    assert [word.text for word in heard.words] == heard.text.split()
    assert 0 <= heard.confidence <= 1
    engine.close()


def test_silero_knows_speech_and_keeps_sessions_apart(silero: Silero) -> None:
    samples, _ = load_visit("quick-order")
    pcm = samples[: 3 * 16_000 // FRAME * FRAME].astype(np.float32) / np.float32(32_768)
    alone = silero.stream()(pcm)
    one, other = silero.stream(), silero.stream()
    stepwise: list[float] = []
    for at in range(0, len(pcm), 2 * FRAME):
        stepwise += one(pcm[at : at + 2 * FRAME])
        other(np.zeros(FRAME, np.float32))
    assert stepwise == pytest.approx(alone, abs=1e-4)
    assert max(alone[:20]) < 0.35
    assert max(alone[40:80]) > 0.9
    one.reset()
    assert one(pcm[: 4 * FRAME]) == pytest.approx(alone[:4], abs=1e-4)


def through_opus(samples: Samples) -> Samples:
    encoder, decoder = OpusEncoder(bitrate=16_000, frame_ms=60), OpusDecoder()
    whole = samples[: len(samples) // 960 * 960]
    pcm = b"".join(decoder.decode(encoder.encode(part.tobytes())) for part in whole.reshape(-1, 960))
    return np.frombuffer(pcm, np.int16)


@pytest.mark.parametrize(
    ("visit", "is_coded"), [("soap-margin", False), ("expired-stock", True), ("long-talker", True)]
)
def test_a_visit_through_the_whole_core(
    whisper: WhisperEngine, silero: Silero, visit: str, is_coded: bool
) -> None:
    samples, lines = load_visit(visit)
    bench = Bench(whisper, silero.stream(), cost_s=0.04)
    bench.hear(through_opus(samples) if is_coded else samples)
    bench.end()
    reference = " ".join(str(line["text"]) for line in lines).split()
    heard = " ".join(final.text for final in bench.finals).split()
    assert word_errors(reference, heard) / len(reference) <= 0.03
    assert len(bench.finals) == len(lines)  # no line cut, no two merged
    for line, final in zip(lines, bench.finals, strict=True):
        assert float(line["start"]) <= final.first_sample / 16_000 < final.end_sample / 16_000  # type: ignore[arg-type]
        assert final.end_sample / 16_000 <= float(line["end"]) + 0.1  # type: ignore[arg-type]
