"""The stock receiver in a process of its own, with its phone and its network: neither slows the other.

Standard input: one line of JSON (`network`, `seed`, `rung`), then the recording (16 kHz mono s16). Standard
output: one line of JSON (`given_out`, `counts`), then what came out. No sound touches a disk.
"""

import asyncio
import json
import logging
import sys
from dataclasses import dataclass
from typing import Any

from ..errors import BenchError, ToolError
from ..network import Relay, Way, schedule_of
from ..phone.profile import LADDER, SendProfile
from .stock import StockNotConnected, StockReception, receive_stock

NOT_CONNECTED = 3
"""Exit status."""
LINE_LIMIT = 2**20
"""Bytes of a JSON line: 3,000 stretches a minute, 15 B each."""


@dataclass(frozen=True, slots=True)
class StockRun:
    """What came out of one recording, and what its network did."""

    reception: StockReception
    counts: dict[str, Any]
    """`packets` and `lost` of the uplink, `late_ms` of the simulator."""


async def receive_stock_apart(pcm: bytes, profile: SendProfile, network: str, seed: int) -> StockRun:
    """`receive_stock` behind a relay, in another process, which dies with this call.

    Raises:
        StockNotConnected: no media connection in time.
        BenchError: it failed otherwise; with the reason that it gave.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us to pass on
    )
    try:
        job = json.dumps({"network": network, "seed": seed, "rung": profile.rung}).encode()
        out, err = await process.communicate(job + b"\n" + pcm)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        reason = err.decode(errors="replace").strip().rpartition("\n")[2]
        kind = StockNotConnected if process.returncode == NOT_CONNECTED else BenchError
        raise kind(f"stock receiver: {reason or f'ended with status {process.returncode}'}")
    head, _, sound = out.partition(b"\n")
    fields = json.loads(head)
    given_out = [(start, length) for start, length in fields["given_out"]]
    return StockRun(StockReception(given_out, bytearray(sound)), fields["counts"])


def uplink_counts(relay: Relay) -> dict[str, Any]:
    """What the network did to what the phone sent."""
    uplink = relay.link.counts(Way.UP)
    return {"packets": uplink.sent, "lost": uplink.lost, "late_ms": round(relay.worst_late_ms, 1)}


async def _run(job: dict[str, Any], pcm: bytes) -> StockRun:
    async with Relay(schedule_of(job["network"]), job["seed"]) as relay:
        reception = await receive_stock(pcm, LADDER[job["rung"]], relay)
        return StockRun(reception, uplink_counts(relay))


def main() -> None:
    """One recording from standard input."""
    for chatty in ("aioice", "aiortc"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    head = sys.stdin.buffer.readline(LINE_LIMIT)
    pcm = sys.stdin.buffer.read()
    try:
        run = asyncio.run(_run(json.loads(head), pcm))
    except ToolError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_CONNECTED if isinstance(error, StockNotConnected) else 1)
    line = json.dumps({"given_out": run.reception.given_out, "counts": run.counts})
    sys.stdout.buffer.write(line.encode() + b"\n" + run.reception.pcm)


if __name__ == "__main__":
    main()
