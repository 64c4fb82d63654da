"""`python -m fieldcoach.ingest.bench ours|stock [--sessions N] [--seconds S] [--ptime-ms MS] [--dtx] ...`."""

import argparse
import asyncio
import gc
import json
import logging
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Final

import uvloop

from ..service import OTHER_FILES, SESSION_FILES
from .receivers import OurReceiver, Receiver, StockReceiver, watch_loop

WARM_UP_S: Final = 1.0
"""Not measured: the first packets, the claims, the decoders' first frames."""
LOOK_S: Final = 0.02
QUIET_S: Final = 0.5
"""Without a new sample for so long after the sender's end, nothing more comes."""


def resident_mb() -> float:
    """Memory of this process that is in RAM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def raise_file_limit(sessions: int) -> None:
    """Exits with a sentence if the system does not allow what so many sessions need."""
    needed = SESSION_FILES * sessions + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed <= hard or hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    elif hard < needed:
        sys.exit(f"{sessions} sessions need {needed} open files, the limit is {hard}: raise it (ulimit -Hn)")


async def measure(receiver: Receiver, options: argparse.Namespace) -> dict[str, object]:
    """Run one receiver against the sender and sum up.

    What is measured begins with a packet and ends with the last one, not with a moment: on a busy machine
    the sender and the receiver both come late.
    """
    arguments = ["--seconds", str(options.seconds + WARM_UP_S), "--ptime-ms", str(options.ptime_ms)]
    arguments += ["--dtx"] if options.dtx else []
    arguments += ["--audio", str(options.audio)] if options.audio else []
    sender = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "fieldcoach.ingest.bench.sender", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert sender.stdin is not None
    assert sender.stdout is not None
    each = json.loads(await sender.stdout.readline())["each"]
    before_mb = resident_mb()
    ports = await receiver.open(options.sessions)
    sender.stdin.write(json.dumps(ports).encode() + b"\n")
    warm = options.sessions * each * WARM_UP_S / (options.seconds + WARM_UP_S)
    while receiver.packets < warm:  # noqa: ASYNC110 - to be told of each packet would cost what is measured
        await asyncio.sleep(LOOK_S)
    lags: list[float] = []
    watch = asyncio.create_task(watch_loop(lags))
    wall, cpu, packets, samples = time.monotonic(), time.process_time(), receiver.packets, receiver.samples
    sent = json.loads(await sender.stdout.readline())["sent"]
    wall = time.monotonic() - wall
    watch.cancel()
    threads = threading.active_count()
    late_s = await _wait_for_last(receiver)
    cpu = time.process_time() - cpu
    memory_mb = resident_mb() - before_mb
    received, samples = receiver.packets, receiver.samples - samples
    await sender.wait()
    await receiver.close()
    lags.sort()
    return {
        "receiver": options.receiver,
        "sessions": options.sessions,
        "ptime_ms": options.ptime_ms,
        "dtx": options.dtx,
        "published": bool(options.nats),
        "seconds": round(wall, 2),
        "packets": received - packets,
        "audio_s": round(samples / 16_000, 2),
        "cpu_s": round(cpu, 3),
        "cpu_share": round(cpu / wall, 3),
        "us_per_packet": round(cpu / max(1, received - packets) * 1e6, 1),
        "sessions_per_core": round(options.sessions * wall / cpu),
        "loop_lag_ms_p99": round(lags[int(0.99 * (len(lags) - 1))] * 1e3, 2) if lags else None,
        "behind_s": round(late_s, 2),
        "datagrams_lost": sent - received,
        "threads": threads,
        "kb_per_session": round(memory_mb * 1024 / options.sessions),
    }


async def _wait_for_last(receiver: Receiver) -> float:
    """Until all that was sent is sound; gives how long that took after the sender's end, in seconds."""
    ended = changed_at = time.monotonic()
    state = (receiver.packets, receiver.samples)
    while time.monotonic() - changed_at < QUIET_S:
        await asyncio.sleep(LOOK_S)
        now = (receiver.packets, receiver.samples)
        if now != state:
            state, changed_at = now, time.monotonic()
    return changed_at - ended


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(prog="fieldcoach.ingest.bench")
    parser.add_argument("receiver", choices=["ours", "stock"])
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--ptime-ms", type=int, choices=[20, 40, 60, 120], default=20)
    parser.add_argument("--dtx", action="store_true")
    parser.add_argument("--audio", type=Path, help="a recording of speech; else a made-up voice")
    parser.add_argument("--nats", default="", help="publish to this server, as the service does")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    raise_file_limit(options.sessions)
    gc.freeze()  # as the service does

    async def run() -> dict[str, object]:
        receiver: Receiver = OurReceiver(options.nats) if options.receiver == "ours" else StockReceiver()
        return await measure(receiver, options)

    sys.stdout.write(json.dumps(uvloop.run(run())) + "\n")


if __name__ == "__main__":
    main()
