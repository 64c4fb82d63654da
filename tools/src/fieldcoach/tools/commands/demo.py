"""`fieldcoach demo`: the whole system, one recorded visit through it, and where the time went."""

import tempfile
import time
from pathlib import Path

from rich.console import Console

from ..network import Relay, schedule_of
from ..phone.audio_file import read_pcm
from ..phone.visit import VisitPlan, VisitResult
from ..project import DEFAULT_VISIT
from ..show.report import print_stages, print_summary
from ..stack import Stack, StackOptions
from .progress import StartProgress
from .visit import play

ABOUT_OUTLET_EN = """\
The recogniser is faster-whisper with the embedded model outlet-en: 7 million parameters, trained on
synthetic speech alone, about 340 words of an outlet visit. It has heard no human being and knows no other
words. It shows the path and the latency; for real speech set ASR_MODEL=small (or another Whisper model)."""


async def demo(root: Path, audio: Path | None, network_name: str | None = None, seed: int = 0) -> None:
    """Set up, play, show, stop.

    Raises:
        ToolError: what failed, and what to do.
    """
    console = Console()
    network = None if network_name is None else Relay(schedule_of(network_name), seed)
    began = time.monotonic()
    recording = audio or root / "visits" / f"{DEFAULT_VISIT}.flac"
    pcm = read_pcm(recording)
    _say(
        console,
        "FieldCoach: nats-server and the services ingest, asr, coach and gateway start on this machine.",
    )
    with tempfile.TemporaryDirectory(prefix="fieldcoach-demo-") as run_dir:
        stack = Stack(StackOptions(root=root, run_dir=Path(run_dir)))
        with StartProgress(console) as progress:
            stack.report_to(progress)
            await stack.__aenter__()
        try:
            _say(console, f"Ready after {time.monotonic() - began:.1f} s at {stack.gateway_url}.")
            _say(
                console,
                f"A phone plays {recording.name} ({len(pcm) / 32_000:.0f} s) over WebRTC, in real time.\n",
            )
            plan = VisitPlan(gateway=stack.gateway_url, token=stack.user_token(), pcm=pcm, network=network)
            result = await play(console, plan, recording.stem)
        finally:
            if network is not None:
                await network.close()
            await stack.__aexit__(None, None, None)
    print_summary(console, result.summary)
    rows = result.stages.rows()
    print_stages(console, rows, len(result.stages.finals), len(result.stages.cues))
    for line in network.report() if network is not None else ():
        _say(console, line)
    _print_about(console, result)
    _print_next(console)


def _print_about(console: Console, result: VisitResult) -> None:
    engine, model = result.asr.get("engine", "?"), result.asr.get("model", "?")
    _say(console, "")
    if model == "outlet-en":
        _say(console, ABOUT_OUTLET_EN)
    else:
        _say(console, f"The recogniser was {engine} with the model {model}.")
    _say(
        console,
        f"Sent: {result.packets_sent} packets, {result.payload_bytes / 1e3:.0f} kB of Opus;"
        " no sound and no word was written to disk.",
    )


def _print_next(console: Console) -> None:
    _say(console, "")
    _say(console, "What to try next:")
    for command, what in (
        ("make up", "the same system with its web page; speak into your own microphone"),
        (".venv/bin/fieldcoach demo --audio visits/soap-margin.flac", "another visit, with three objections"),
        (".venv/bin/fieldcoach visit --audio FILE --json", "a phone at the command line, against `make up`"),
        ("ASR_MODEL=small make up", "a real Whisper model (downloaded once)"),
        ("make bench", "the figures: word errors, cues, latencies"),
    ):
        _say(console, f"  {command:<58}{what}")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
