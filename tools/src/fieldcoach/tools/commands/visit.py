"""`fieldcoach visit`: a phone at the command line."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from ..errors import GatewayUnreachable, NoStack, Refused, TokenMissing
from ..network import Relay, schedule_of
from ..phone.api import GatewayApi
from ..phone.audio_file import read_pcm
from ..phone.lines import Lines
from ..phone.profile import SendProfile
from ..phone.transport_choice import Wanted
from ..phone.visit import Listener, Visit, VisitPlan, VisitResult
from ..show.live import LiveView
from ..show.plain import PlainView
from ..show.report import print_stages, print_summary
from ..stack.state import read_running
from ..stack.tokens import dev_user_token

DEFAULT_GATEWAY = "http://127.0.0.1:8080"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class VisitRequest:
    """The options of the command."""

    audio: Path
    run_dir: Path
    gateway: str | None = None
    token: str | None = None
    playbook: str | None = None
    languages: tuple[str, ...] = ()
    profile: SendProfile | None = None
    insecure: bool = False
    as_json: bool = False
    network: str | None = None
    seed: int = 0
    patience_s: float = 60.0
    transport: Wanted = "auto"


class JsonView:
    """Prints the JSON lines."""

    def __init__(self) -> None:
        self._lines = Lines()

    def session(self, answer: dict[str, Any]) -> None:
        """Not an event of the channel, so not a line."""

    def audio_started(self, now: float) -> None:
        """The held lines first."""
        for line in self._lines.start(now):
            print(line, flush=True)

    def event(self, event: dict[str, Any], now: float) -> None:
        """One line, and what is no line goes to standard error."""
        for line in self._lines.add(event, now):
            print(line, flush=True)
        if event.get("type") == "error":
            print(
                f"fieldcoach: the gateway says: {event.get('detail') or event.get('title')}", file=sys.stderr
            )


async def visit(request: VisitRequest) -> None:
    """Make the visit and print it.

    Raises:
        ToolError: what failed, and what to do.
    """
    if request.network is None:
        await _visit(request, None)
        return
    async with Relay(schedule_of(request.network), request.seed) as network:
        try:
            await _visit(request, network)
        finally:  # a visit that failed is the one whose network one wants to see
            for line in network.report():
                print(line, file=sys.stderr if request.as_json else sys.stdout)


async def _visit(request: VisitRequest, network: Relay | None) -> None:
    pcm = read_pcm(request.audio)
    gateway, token = await find_gateway(request)
    plan = VisitPlan(
        gateway=gateway,
        token=token,
        pcm=pcm,
        playbook=request.playbook,
        languages=request.languages,
        profile=request.profile,
        insecure=request.insecure,
        network=network,
        patience_s=request.patience_s,
        transport=None if request.transport == "auto" else request.transport,
    )
    if request.as_json:
        told = await Visit(plan, JsonView()).run()
        print(f"fieldcoach: sound by {_ways(told)}", file=sys.stderr)
        return
    console = Console()
    result = await play(console, plan, request.audio.name)
    print_summary(console, result.summary)
    console.print(f"sound by {_ways(result)}", highlight=False)
    rows = result.stages.rows()
    print_stages(console, rows, len(result.stages.finals), len(result.stages.cues))


def _ways(result: VisitResult) -> str:
    names = {"direct": "UDP, direct", "relay": "UDP, by a relay (TURN)", "websocket": "WebSocket"}
    return ", then ".join(names[way] for way in result.transports)


async def play(console: Console, plan: VisitPlan, title: str) -> VisitResult:
    """Make the visit, live on a terminal, else a line an event.

    Raises:
        VisitError: what failed, and what to do.
    """
    if not console.is_terminal:
        view: Listener = PlainView(lambda line: print(line, flush=True))
        return await Visit(plan, view).run()
    with LiveView(console, title, len(plan.pcm) / 32_000) as live:
        return await Visit(plan, live).run()


async def find_gateway(request: VisitRequest) -> tuple[str, str]:
    """Where to, and with which token: given, from the environment, the running stack's, or asked for.

    Only a gateway on this machine is asked, since only a development gateway there gives one.

    Raises:
        TokenMissing: none of them has a token.
    """
    try:
        running = read_running(request.run_dir)
    except NoStack:
        running = None
    gateway = request.gateway or (running.gateway_url if running else DEFAULT_GATEWAY)
    token = request.token or os.environ.get("FIELDCOACH_TOKEN")
    if token:
        return gateway, token
    if running and _same_place(gateway, running.gateway_url):
        return gateway, dev_user_token(running.user_token_key)
    if urlsplit(gateway).hostname in _LOCAL:
        async with GatewayApi(gateway, request.insecure) as api:
            try:
                return gateway, await api.dev_token()
            except Refused:
                pass
            except GatewayUnreachable:
                if request.gateway:
                    raise
                raise GatewayUnreachable(
                    f"no stack runs from {request.run_dir} and nobody answers at {gateway};"
                    " start one with `fieldcoach up`, or name a gateway with --gateway"
                ) from None
    raise TokenMissing(
        f"no user token for {gateway}: give --token or set FIELDCOACH_TOKEN;"
        " for a local stack `fieldcoach token` prints one"
    )


def _same_place(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    same_host = first.hostname == second.hostname or {first.hostname, second.hostname} <= _LOCAL
    return same_host and first.port == second.port
