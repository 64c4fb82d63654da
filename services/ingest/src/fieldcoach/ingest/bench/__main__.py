"""`python -m fieldcoach.ingest.bench ours|stock [--sessions N] [--seconds S] [--ptime-ms MS] [--dtx]`."""

import argparse
import asyncio
import json
import logging
import resource
import sys
import threading
import time
from pathlib import Path

import uvloop

from .receivers import OurReceiver, Receiver, StockReceiver, watch_loop

WARM_UP_S = 1.0
"""Not measured: the first packets, the claims, the decoders' first frames."""


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def measure(receiver: Receiver, options: argparse.Namespace) -> dict[str, object]:
    """Run one receiver against the sender and sum up."""
    arguments = ["--seconds", str(options.seconds + WARM_UP_S), "--ptime-ms", str(options.ptime_ms)]
    sender = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "fieldcoach.ingest.bench.sender", *arguments, *(["--dtx"] if options.dtx else [])),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert sender.stdin is not None
    assert sender.stdout is not None
    await sender.stdout.readline()
    before_mb = _resident_mb()
    ports = await receiver.open(options.sessions)
    lags: list[float] = []
    watch = asyncio.create_task(watch_loop(lags))
    sender.stdin.write(json.dumps(ports).encode() + b"\n")
    await asyncio.sleep(WARM_UP_S)
    lags.clear()
    wall, cpu, packets, samples = time.monotonic(), time.process_time(), receiver.packets, receiver.samples
    await asyncio.sleep(options.seconds - 0.2)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    packets, samples = receiver.packets - packets, receiver.samples - samples
    threads, memory_mb = threading.active_count(), _resident_mb() - before_mb
    watch.cancel()
    sent = json.loads(await sender.stdout.readline())["sent"]
    await sender.wait()
    await asyncio.sleep(0.1)
    received = receiver.packets
    await receiver.close()
    lags.sort()
    return {
        "receiver": options.receiver,
        "sessions": options.sessions,
        "ptime_ms": options.ptime_ms,
        "dtx": options.dtx,
        "seconds": round(wall, 2),
        "packets": packets,
        "audio_s": round(samples / 16_000, 2),
        "cpu_s": round(cpu, 3),
        "us_per_packet": round(cpu / max(1, packets) * 1e6, 1),
        "cpu_ms_per_session_s": round(cpu / wall / options.sessions * 1e3, 3),
        "sessions_per_core": round(options.sessions * wall / cpu),
        "loop_lag_ms_p99": round(lags[int(0.99 * (len(lags) - 1))] * 1e3, 2) if lags else None,
        "datagrams_lost": sent - received,
        "threads": threads,
        "kb_per_session": round(memory_mb * 1024 / options.sessions),
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(prog="fieldcoach.ingest.bench")
    parser.add_argument("receiver", choices=["ours", "stock"])
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--ptime-ms", type=int, choices=[20, 40, 60, 120], default=20)
    parser.add_argument("--dtx", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))

    async def run() -> dict[str, object]:
        receiver: Receiver = OurReceiver() if options.receiver == "ours" else StockReceiver()
        return await measure(receiver, options)

    sys.stdout.write(json.dumps(uvloop.run(run())) + "\n")


if __name__ == "__main__":
    main()
