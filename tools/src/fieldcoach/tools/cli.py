"""The `fieldcoach` command: its options, and how it ends.

Status 0: done. 1: it failed, with the reason on standard error. 2: wrong usage. 130 or 143: interrupted.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from .bench_cli import bench
from .playbook_cli import playbook
from .project import project_root
from .running import reported, run

app = typer.Typer(
    help="FieldCoach on this machine: the local stack, a phone in Python, benchmarks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bench, name="bench")
app.add_typer(playbook, name="playbook")

RunDir = Annotated[
    Path | None,
    typer.Option("--run-dir", envvar="FIELDCOACH_RUN_DIR", help="Where the stack leaves its state (.run)"),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output")]
Network = Annotated[
    str | None,
    typer.Option(help="Through a bad network: 4g, 3g, edge, 2g-good, 2g-bad, warehouse, l05b3, ..."),
]
Seed = Annotated[int, typer.Option(help="Of the network's chance: the same seed, the same losses")]
Patience = Annotated[
    float, typer.Option(min=1, help="Seconds to wait for a lost connection to come back, then give up")
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Accept a self-signed certificate")]


@app.command()
def up(
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65_535, help="0 takes a free one")] = 8080,
    as_json: AsJson = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print the services' logs")] = False,
    otlp: Annotated[str, typer.Option(help="Export traces and metrics to this OTLP/HTTP endpoint")] = "",
    run_dir: RunDir = None,
) -> None:
    """Start the whole system and keep it running until Ctrl-C."""
    from .commands.up import up as work
    from .stack import StackOptions

    with reported(interrupt_is_success=True):
        options = StackOptions(project_root(), _run_dir(run_dir), port, otlp)
        run(work(options, as_json, verbose))


@app.command()
def demo(
    audio: Annotated[Path | None, typer.Option(help="Another recording than biscuits-no-space")] = None,
    network: Network = None,
    seed: Seed = 0,
) -> None:
    """Start everything, play a recorded visit into it, show it live, stop."""
    from .commands.demo import demo as work

    with reported():
        run(work(project_root(), audio, network, seed))


@app.command()
def visit(
    audio: Annotated[Path, typer.Option(help="A recording: flac, wav, ogg, mp3, ...")],
    gateway: Annotated[str | None, typer.Option(help="Its address; default: the running stack")] = None,
    token: Annotated[
        str | None, typer.Option(help="User token; else FIELDCOACH_TOKEN, else the stack's")
    ] = None,
    as_json: AsJson = False,
    playbook_id: Annotated[
        str | None, typer.Option("--playbook", help="Its id; default: the gateway's")
    ] = None,
    language: Annotated[list[str] | None, typer.Option(help="Spoken language; may be given again")] = None,
    profile: Annotated[str | None, typer.Option(help="Stay on one rung, L0 to L4")] = None,
    bitrate: Annotated[int | None, typer.Option(help="Stay at this payload bitrate, bit/s")] = None,
    ptime: Annotated[int | None, typer.Option(help="Stay at this packet time, ms")] = None,
    transport: Annotated[
        str, typer.Option(help="auto, udp (WebRTC) or websocket (where UDP is blocked)")
    ] = "auto",
    network: Network = None,
    seed: Seed = 0,
    patience: Patience = 60.0,
    insecure: Insecure = False,
    run_dir: RunDir = None,
) -> None:
    """Be a phone: send a recording over WebRTC in real time and print what comes back."""
    from .commands.visit import VisitRequest
    from .commands.visit import visit as work
    from .phone.profile import chosen_profile
    from .phone.transport_choice import transport_of

    with reported():
        request = VisitRequest(
            audio=audio,
            run_dir=_run_dir(run_dir),
            gateway=gateway,
            token=token,
            playbook=playbook_id,
            languages=tuple(language or ()),
            profile=chosen_profile(profile, bitrate, ptime),
            insecure=insecure,
            as_json=as_json,
            network=network,
            seed=seed,
            patience_s=patience,
            transport=transport_of(transport),
        )
        run(work(request))


@app.command()
def token(
    url: Annotated[str | None, typer.Option(help="Ask this development gateway instead")] = None,
    ttl: Annotated[
        int, typer.Option(min=1, help="Seconds that it is valid; with --url the gateway decides")
    ] = 3_600,
    insecure: Insecure = False,
    run_dir: RunDir = None,
) -> None:
    """Print a development user token for the running stack."""
    from .commands.token import token as work

    with reported():
        print(run(work(_run_dir(run_dir), url, ttl, insecure)))


def main() -> None:
    """The console script."""
    for chatty in ("aioice", "aiortc"):  # what they warn of is told in a sentence, if it matters
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    app(prog_name="fieldcoach")


def _run_dir(chosen: Path | None) -> Path:
    return chosen if chosen is not None else project_root() / ".run"
