"""The table of `bench asr`."""

from typing import Any

from rich.console import Console
from rich.table import Table


def print_figures(console: Console, figures: dict[str, Any]) -> None:
    """For a person."""
    table = Table(
        title=f"bench asr: {figures['engine']} / {figures['model']}, one worker on one core, "
        f"{figures['seconds']:.0f} s",
        title_justify="left",
    )
    table.add_column("sessions", justify="right")
    for name in (
        "final\np50",
        "final\np95",
        "first\npartial",
        "CPU per\naudio s",
        "WER",
        "lost",
        "late",
        "cuts",
    ):
        table.add_column(name, justify="right")
    for point in figures["curve"]:
        table.add_row(
            f"{point['sessions']}{'' if point['is_served'] else ' *'}",
            _ms(point["eos_to_final_ms"]["p50"]),
            _ms(point["eos_to_final_ms"]["p95"]),
            _ms(point["first_partial_ms"]["p50"]),
            f"{point['cpu_per_audio_s']:.4f}",
            _percent(point["wer"]),
            f"{point['lost_finals']}/{point['lost_chunks']}",
            str(point["late_finals"]),
            str(point["turn_cuts"]),
        )
    console.print(table)
    peer = figures["peer"]
    _say(
        console,
        "* beyond what is served: final p95 over 1 s, or something lost (finals/chunks). Times in ms.",
    )
    _say(
        console,
        f"streams per core {figures['streams_per_core']} (the worker would admit {figures['admits']}); "
        f"committed-prefix violations {figures['prefix_violations']}; "
        f"words of partials changed {_percent(figures['partial_change'])}",
    )
    _say(
        console,
        f"peer: {peer['algorithm']}: WER {_percent(peer['wer'])}, CPU per audio s "
        f"{peer['cpu_per_audio_s']:.3f}; ratio {figures['cpu_ratio']:.1f}",
    )
    if figures["noise"]:
        _say(
            console,
            f"noise: {figures['noise']['inserted_words_per_min']} words a minute invented in "
            f"{figures['noise']['minutes']} min",
        )
        for level, found in (figures["noise"].get("visits_wer") or {}).items():
            _say(console, f"visits at {level} dB: WER {_percent(found['wer'])}, CER {_percent(found['cer'])}")
    if figures["speech"]:
        speech = figures["speech"]
        _say(
            console,
            f"speech: {speech['turn_cuts']} cuts in {speech['turns']} turns, {speech['turns_without_final']} "
            f"without a final, final p95 {_ms(speech['eos_to_final_ms']['p95'])}",
        )
        for language, found in speech["by_language"].items():
            _say(console, f"speech {language}: WER {_percent(found['wer'])}, CER {_percent(found['cer'])}")
    for size, cost in (figures.get("sizes") or {}).items():
        _say(
            console,
            f"random {size}: {cost['full_s']:.3f} CPU s a second of speech in 30 s windows, "
            f"{cost['adaptive_s']:.3f} adaptive ({cost['ratio']} times less)",
        )
    machine = figures["machine"]
    _say(console, f"{machine['cores']} cores of {machine['cpu']}, load before the run {machine['load_1min']}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
