"""Many phones that say the same: encrypted packets made once, sent to each port at the pace of speech.

A process of its own, so that it costs the receiver nothing: `python -m fieldcoach.ingest.bench.sender`.
"""

import argparse
import json
import math
import random
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Final, cast

import av
import pylibsrtp
from av import AudioResampler

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.opus import FrameMs, OpusEncoder, is_dtx

from ..jitter import TICKS_PER_MS

PAYLOAD_TYPE: Final = 111
SSRC: Final = 0xF1E1D
BITRATES: Final = {20: 24_000, 40: 16_000, 60: 12_000, 120: 10_000}
"""By packet time, as the ladder has them."""
COMFORT_MS: Final = 400
"""In DTX a sender still sends a packet every 400 ms."""
_KEY: Final = bytes(range(30))


def srtp_session(direction: int) -> pylibsrtp.Session:
    """One end of the encryption; all sessions share the key, so each packet is encrypted once."""
    policy = pylibsrtp.Policy(key=_KEY, ssrc_type=direction)
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return pylibsrtp.Session(policy)


def voice(seconds: float, has_pauses: bool) -> bytes:
    """A buzz through changing formants, as costly to code as speech; with pauses two seconds of five."""
    draw = random.Random(1)
    samples, low, high = [], 0.0, 0.0
    for number in range(round(seconds * SAMPLE_RATE)):
        at = number / SAMPLE_RATE
        if has_pauses and at % 5 >= 3:
            samples.append(0)
            continue
        pulse = 1.0 if number % 133 == 0 else 0.0
        source = pulse * 9_000 + draw.gauss(0, 60)
        low += 0.2 * (source - low + 0.9 * math.sin(at * 5) * high)
        high += 0.1 * (low - high)
        samples.append(max(-32_000, min(32_000, round(6 * (low - high)))))
    return struct.pack(f"<{len(samples)}h", *samples)


def recording(path: Path, seconds: float) -> bytes:
    """The speech of a file, from its beginning, again and again until there is enough."""
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    size = 2 * round(seconds * SAMPLE_RATE)
    pcm = bytearray()
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                pcm += bytes(part.planes[0])[: 2 * part.samples]
            if len(pcm) >= size:
                break
    if not pcm:
        raise ValueError(f"{path} holds no sound")
    return bytes((pcm * (size // len(pcm) + 1))[:size])


def datagrams(
    seconds: float, ptime_ms: int, has_dtx: bool, audio: Path | None = None
) -> list[tuple[float, bytes]]:
    """(seconds from the start, SRTP packet) of one phone."""
    encoder = OpusEncoder(
        bitrate=BITRATES[ptime_ms], frame_ms=cast(FrameMs, ptime_ms), dtx=has_dtx, expected_loss_percent=5
    )
    srtp = srtp_session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    pcm = voice(seconds, has_dtx) if audio is None else recording(audio, seconds)
    size = 2 * encoder.frame_samples
    found: list[tuple[float, bytes]] = []
    silent_ms = 0
    for number in range(len(pcm) // size):
        payload = encoder.encode(pcm[number * size : (number + 1) * size])
        silent_ms = silent_ms + ptime_ms if has_dtx and is_dtx(payload) else 0
        if silent_ms > ptime_ms and silent_ms % COMFORT_MS >= ptime_ms:
            continue
        tick = number * ptime_ms * TICKS_PER_MS
        header = struct.pack("!BBHLL", 0x80, PAYLOAD_TYPE, len(found) & 0xFFFF, tick, SSRC)
        found.append((number * ptime_ms / 1e3, srtp.protect(header + payload)))
    encoder.close()
    return found


def send(ports: list[int], packets: list[tuple[float, bytes]], ptime_ms: int) -> int:
    """Send to all ports, spread over the packet time; gives how many datagrams went out."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    started, sent = time.monotonic(), 0
    for at, datagram in packets:
        for number, port in enumerate(ports):
            due = started + at + ptime_ms / 1e3 * number / len(ports)
            wait = due - time.monotonic()
            if wait > 0.001:
                time.sleep(wait)
            sender.sendto(datagram, ("127.0.0.1", port))
            sent += 1
    sender.close()
    return sent


def main() -> None:
    """Make the packets, say how many for each phone, wait for a line with the ports, send, say how many."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--ptime-ms", type=int, required=True)
    parser.add_argument("--dtx", action="store_true")
    parser.add_argument("--audio", type=Path)
    options = parser.parse_args()
    packets = datagrams(options.seconds, options.ptime_ms, options.dtx, options.audio)
    sys.stdout.write(json.dumps({"each": len(packets)}) + "\n")
    sys.stdout.flush()
    ports = json.loads(sys.stdin.readline())
    sys.stdout.write(json.dumps({"sent": send(ports, packets, options.ptime_ms)}) + "\n")


if __name__ == "__main__":
    main()
