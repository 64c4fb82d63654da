"""The figures of bench asr, its programmes, and the peer's algorithm."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fieldcoach.common.audio import CHUNK_SAMPLES
from fieldcoach.common.messages import FinalTranscript, PartialTranscript, Timing
from fieldcoach.tools.bench.asr.command import AsrPlan, Run, _figures
from fieldcoach.tools.bench.asr.figures import figures_of, together
from fieldcoach.tools.bench.asr.hard_sound import mixed, spread, turns_in
from fieldcoach.tools.bench.asr.local_agreement import Decoded, LocalAgreement2, TimedWord
from fieldcoach.tools.bench.asr.programme import (
    BETWEEN_S,
    Programme,
    Recording,
    one_after_the_other,
    programme,
    sounds_in,
)
from fieldcoach.tools.bench.asr.streams import Stream
from fieldcoach.tools.bench.asr.table import print_figures
from fieldcoach.tools.bench.gold import GoldLine
from fieldcoach.tools.errors import BenchError

S = "s" * 26
LINES = (GoldLine(1.0, 3.0, "rep", "ten boxes of tea"), GoldLine(4.0, 5.0, "shop", "no space"))


def seconds_of_silence(seconds: float) -> bytes:
    return bytes(2 * round(16_000 * seconds))


def final(utterance: int, start: float, end: float, text: str) -> FinalTranscript:
    return FinalTranscript(
        session=S,
        epoch=1,
        utterance=utterance,
        n=utterance,
        first_sample=round(start * 16_000),
        end_sample=round(end * 16_000),
        text=text,
        language="en",
        confidence=1,
        engine="e",
        model="m",
        timing=Timing(heard_at=0, endpoint_ms=0, asr_ms=0, decode_ms=0, published_at=0),
    )


def partial(
    utterance: int, start: float, end: float, committed: str, tentative: str = ""
) -> PartialTranscript:
    return PartialTranscript(
        session=S,
        epoch=1,
        utterance=utterance,
        n=1,
        first_sample=round(start * 16_000),
        end_sample=round(end * 16_000),
        committed=committed,
        tentative=tentative,
        language="en",
    )


def stream(finals: list[tuple[float, FinalTranscript]], *partials: PartialTranscript) -> Stream:
    """Chunks were sent at the moment their last sample was spoken; partials came 0.1 s after their end."""
    sound = Stream(Programme(seconds_of_silence(6), LINES), S)
    sound.sent_at = [(n + 1) * CHUNK_SAMPLES / 16_000 for n in range(sound.chunks)]
    sound.finals = finals
    sound.partials = [(one.end_sample / 16_000 + 0.1, one) for one in partials]
    sound.acked = sound.chunks
    return sound


GOOD = [(3.5, final(1, 1.0, 3.0, "ten boxes of tea")), (5.52, final(2, 4.1, 5.0, "no space"))]


def test_a_session_that_heard_everything() -> None:
    found = figures_of(
        stream(GOOD, partial(1, 1.0, 1.5, "", "ten box"), partial(1, 1.0, 2.5, "ten", "boxes"))
    )
    assert (found.words.rate, found.lost_finals, found.lost_chunks, found.turn_cuts) == (0, 0, 0, 0)
    assert found.eos_to_final_ms == pytest.approx((500.0, 520.0), abs=60)
    assert found.first_partial_ms == pytest.approx((600.0,), abs=60)
    assert (found.prefix_violations, found.partial_words, found.changed_words) == (0, 4, 1)


@pytest.mark.parametrize(
    ("partials", "violations"),
    [
        ([partial(1, 1.0, 2.0, "ten boxes")], 0),
        ([partial(1, 1.0, 2.0, "ten pots")], 1),  # the final says otherwise
        ([partial(1, 1.0, 2.0, "ten boxes"), partial(1, 1.0, 2.5, "ten")], 1),  # taken back
        ([partial(3, 1.0, 2.0, "hello")], 1),  # never said
    ],
)
def test_prefix_violations(partials: list[PartialTranscript], violations: int) -> None:
    assert figures_of(stream(GOOD, *partials)).prefix_violations == violations


def test_what_is_lost_cut_and_wrong_is_counted() -> None:
    cut = [(2.5, final(1, 1.0, 2.0, "ten pots")), (3.5, final(2, 2.0, 3.0, "of tea"))]
    sound = stream(cut)
    sound.acked -= 3
    found = figures_of(sound)
    assert (found.turn_cuts, found.lost_finals, found.lost_chunks) == (1, 1, 3)
    assert found.words.total == 3  # one substituted, "no space" deleted
    assert together([found, found]).words.total == 6


def test_a_programme_ends_with_the_last_line_that_fits() -> None:
    one = Recording("a", seconds_of_silence(6), LINES)
    assert [line.text for line in programme([one], 4.9).lines] == ["ten boxes of tea"]
    whole = programme([one, one], 20)
    assert [line.start for line in whole.lines] == [1.0, 4.0, 8.5, 11.5, 16.0]
    assert whole.seconds == pytest.approx(18.0 + BETWEEN_S)
    assert len(one_after_the_other([one, one]).lines) == 4
    assert programme([one, Recording("b", seconds_of_silence(6), LINES[:1])], 9, first=1).lines[0].end == 3.0


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"--noise .*: no recording in it"):
        sounds_in(tmp_path, "--noise")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "a.flac").touch()
    assert [path.name for path in sounds_in(tmp_path, "--noise")] == ["a.flac"]


def run_of(sessions: int, eos_s: float) -> Run:
    late = [(line.end + eos_s, one) for line, (_, one) in zip(LINES, GOOD, strict=True)]
    return Run(sessions, figures_of(stream(late)), 0.02, 6.0, 1.0)


def test_every_figure_of_asr_has_its_name() -> None:
    runs = [run_of(10, 0.5), run_of(20, 0.8), run_of(40, 2.0), run_of(60, 0.5)]
    peer = {"wer": 0.02, "cer": 0.01, "cpu_per_audio_s": 0.4, "algorithm": "x", "audio_s": 6.0}
    quiet = {"inserted_words_per_min": 1.5, "minutes": 2.0}
    turns = {
        "turns": 3,
        "turn_cuts": 1,
        "turns_without_final": 0,
        "eos_to_final_ms": {"p50": 1, "p95": 2},
        "by_language": {"hi": {"wer": 0.5, "cer": 0.25}},
    }
    plan = AsrPlan(Path())
    machine: dict[str, object] = {"cores": 2, "cpu": "x", "load_1min": 0.0}
    found = _figures(plan, machine, "whisper", "outlet-en", runs, peer, quiet, turns)
    found["admits"] = 30
    found["sizes"] = {"tiny": {"full_s": 0.17, "adaptive_s": 0.02, "ratio": 7.2}}
    assert found["streams_per_core"] == 20  # 60 does not count after 40 has failed
    assert found["cpu_ratio"] == 20.0
    assert found["wer"] == {"ours": 0.0, "peer": 0.02}
    assert found["eos_to_final_ms"]["p95"] == pytest.approx(800, abs=60)
    assert set(found["first_partial_ms"]) == {"p50"}
    assert (found["prefix_violations"], found["partial_change"]) == (0, None)
    assert found["inserted_words_per_min"] == 1.5
    assert found["turn_cuts"] == {"visits": 0, "speech": 1}
    out = io.StringIO()
    print_figures(Console(file=out, width=110), found)
    assert "streams per core 20" in out.getvalue()
    assert "40 *" in out.getvalue()


def test_noise_is_mixed_at_its_level() -> None:
    tone = (8_000 * np.sin(np.arange(16_000 * 4) / 5)).astype("<i2")
    tone[: 16_000 * 2] = 0  # nobody speaks: only the line counts
    recording = Recording("a", tone.tobytes(), (GoldLine(2.0, 4.0, "rep", "x"),), "hi")
    noise = (np.random.default_rng(0).standard_normal(16_000) * 500).astype("<i2")
    both = mixed(recording, noise.tobytes(), 10)
    heard = np.frombuffer(both.pcm, "<i2").astype(float)
    power = np.mean(heard[: 16_000 * 2] ** 2)
    assert 10 * np.log10(np.mean(tone[16_000 * 2 :].astype(float) ** 2) / power) == pytest.approx(10, abs=0.3)
    assert (both.lines, both.language) == (recording.lines, "hi")


def test_turns_have_their_text_from_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "hi").mkdir()
    for name in ("a", "b", "c"):
        with wave.open(str(tmp_path / "hi" / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(seconds_of_silence(1))
    (tmp_path / "manifest.tsv").write_text(
        'file\tlanguage\treference\nhi/a.wav\thi\tदस "डिब्बे\nhi/c.wav\t\t\n'
    )
    for folder in (tmp_path, tmp_path / "hi"):
        turns = turns_in(folder)
        assert [(turn.language, turn.lines[0].text) for turn in turns] == [("hi", 'दस "डिब्बे'), ("en", "")]
        assert turns[0].lines[0].end == 1.0
    programmes = spread(turns * 4, 4)
    assert [(one.language, len(one.lines)) for one in programmes] == [
        ("en", 2),
        ("en", 2),
        ("hi", 2),
        ("hi", 2),
    ]


def test_a_model_of_random_weights_decodes(tmp_path: Path) -> None:
    from fieldcoach.tools.bench.asr import sizes

    sizes.build(tmp_path / "small", width=64, layers=1, heads=2)
    cost = sizes._measure(tmp_path / "small")
    assert cost["full_s"] > 0
    assert cost["ratio"] > 0


# ── the peer ─────────────────────────────────────────────────────────────────────────────────────────────


def hearing(*decodes: str, ends: tuple[float, ...] = ()) -> LocalAgreement2:
    """A decoder that says these in turn, a word each half second."""
    said = iter(decodes)

    def decode(_pcm: object) -> Decoded:
        words = [TimedWord(n / 2, n / 2 + 0.4, word) for n, word in enumerate(next(said).split())]
        return Decoded(words, list(ends))

    return LocalAgreement2(decode)


def hear(session: LocalAgreement2, times: int, seconds: float = 1.0) -> None:
    for _ in range(times):
        session.hear(np.zeros(round(16_000 * seconds), np.float32))


def test_two_decodes_that_agree_commit() -> None:
    session = hearing("ten pots", "ten boxes of", "ten boxes of tea")
    hear(session, 1)
    assert session.committed == []
    hear(session, 1)
    assert [word.text for word in session.committed] == ["ten"]
    hear(session, 1)
    assert [word.text for word in session.committed] == ["ten", "boxes", "of"]
    assert session.finish() == "ten boxes of tea"


def test_the_buffer_is_cut_after_committed_segments_and_nothing_is_said_twice() -> None:
    session = hearing("a b c d", "a b c d", "c d e f", "c d e f", ends=(1.0, 9.0))
    hear(session, 2, seconds=8)  # 16 s: the first segment ends within the committed words
    assert len(session._buffer) == 15 * 16_000
    hear(session, 2)
    assert session.finish() == "a b c d e f"
