"""`fieldcoach up`: the whole system, until it is interrupted."""

import json
import sys

from rich.console import Console

from ..stack import Stack, StackOptions
from .progress import StartProgress


async def up(options: StackOptions, as_json: bool, verbose: bool) -> None:
    """Start, say where it is, wait for a signal or a death.

    Raises:
        StackError: it can't start, or one of its processes died.
    """
    console = Console(stderr=as_json)
    stack = Stack(options, on_line=_print_line if verbose else None)
    with StartProgress(console) as progress:
        stack.report_to(progress)
        await stack.__aenter__()
    try:
        if as_json:
            print(
                json.dumps(
                    {
                        "gateway_url": stack.gateway_url,
                        "nats_url": stack.nats_url,
                        "health_urls": stack.health_urls,
                        "pids": {name: process.pid for name, process in stack.processes.items()},
                    }
                ),
                flush=True,
            )
        else:
            _print_welcome(console, stack, verbose)
        raise await stack.wait_for_death()
    finally:
        if not as_json:
            console.print("stopping", highlight=False)
        await stack.__aexit__(None, None, None)


def _print_line(service: str, line: str) -> None:
    print(f"{service:<8}{line}", file=sys.stderr)


def _print_welcome(console: Console, stack: Stack, verbose: bool) -> None:
    run_dir = stack.options.run_dir
    other = "" if run_dir == stack.options.root / ".run" else f" --run-dir {run_dir}"
    has_page = (stack.options.root / "clients" / "web" / "dist" / "index.html").is_file()
    page = "start a visit in a browser" if has_page else "the page is not built; run `make setup`"
    lines = [
        f"FieldCoach runs at {stack.gateway_url} ({page}); Ctrl-C stops it.",
        f"  a token     .venv/bin/fieldcoach token{other}",
        f"  a visit     .venv/bin/fieldcoach visit{other} --audio visits/biscuits-no-space.flac",
        f"  the API     {stack.gateway_url}/docs",
        "  the logs    "
        + ("below" if verbose else "in memory only: `fieldcoach up --verbose` prints them as they come"),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
