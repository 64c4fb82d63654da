"""Mutated SDPs, RTP, RTCP, STUN, DTLS and SCTP against a real ingest with live sessions.

`--mutations 100000` sends the whole hundred thousand and prints what was counted; without it a share of them.
"""

import asyncio
import json
import os
import random
import socket
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp
import pylibsrtp
import pytest
from aiortc import RTCCertificate
from tests.mutations import (
    Mutator,
    dtls_samples,
    rtcp_samples,
    rtp_samples,
    sctp_samples,
    signed_stun,
    stun_samples,
)
from tests.support import free_port, until

from fieldcoach.common.audio import Flag, PcmChunk
from fieldcoach.common.bus import Bus
from fieldcoach.common.ids import new_id
from fieldcoach.common.messages import IngestHeartbeat, SignalReply, SignalRequest
from fieldcoach.common.opus import FrameMs, OpusEncoder
from fieldcoach.common.telemetry import Headers
from fieldcoach.tools.bench.light_phone import PAYLOAD_TYPE, LightPhone
from fieldcoach.tools.bench.process_sample import parse_metrics

from .test_ingest_media import FakeWorker, speech

SEED = 7
FRAME_MS: FrameMs = 60
SHARES = {"rtp": 30, "rtcp": 15, "stun": 25, "dtls": 8, "sctp": 12, "sdp": 10}
"""Percent of all."""
BATCH = 25
PAUSE_S = 0.004
"""Between batches, so that the kernel's socket buffers (208 KiB) hold what the ingest has not read yet."""


class Ingest:
    """A real process, its counters and its log."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.id = ""

    async def counts(self) -> Counter[str]:
        """Every counter by `name label`."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            found = parse_metrics(await response.text())
        named: Counter[str] = Counter()
        for key, value in found.items():
            name, _, labels = key.partition("{")
            if name.startswith("fieldcoach_"):
                told = [part for part in labels.rstrip("}").split(",") if part and "otel_" not in part]
                label = told[0].split('"')[1] if told else ""
                named[f"{name.removeprefix('fieldcoach_').removesuffix('_total')} {label}".strip()] += int(
                    value
                )
        return named

    async def stop(self) -> str:
        """Its whole log."""
        self.process.terminate()
        out, _ = await asyncio.wait_for(self.process.communicate(), 30)
        assert self.process.returncode == 0
        return out.decode()


class World:
    """Two ingests on one bus, so that the same speech is heard with the attack and without it at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.bus = Bus(url, "local", "test")
        self.worker = FakeWorker(self.bus)
        self.attacked: Ingest
        self.quiet: Ingest
        self.phones: list[LightPhone] = []
        self._heard: list[str] = []
        self._certificate = RTCCertificate.generateCertificate()

    async def start(self) -> None:
        await self.bus.connect()
        await self.bus.subscribe(self.bus.subjects.ingest_heartbeat(), self._on_heartbeat)
        await self.worker.start()
        self.attacked = await self._ingest()
        self.quiet = await self._ingest()

    async def _ingest(self) -> Ingest:
        known = set(self._heard)
        port = free_port()
        environment = {"NATS_URL": self._url, "MEDIA_HOSTS": "127.0.0.1", "HEALTH_PORT": str(port)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fieldcoach.ingest"),
            env=os.environ | environment | {"WORKER_FRESH_S": "20", "ACK_TIMEOUT_S": "20"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        ingest = Ingest(process, port)
        await until(lambda: bool(set(self._heard) - known), 20)
        (ingest.id,) = set(self._heard) - known
        return ingest

    def _on_heartbeat(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        heartbeat = IngestHeartbeat.decode(payload)
        if heartbeat.ingest not in self._heard and heartbeat.asr_slots_free:
            self._heard.append(heartbeat.ingest)

    async def signal(self, ingest: Ingest, session: str, sdp: str, action: Any = "offer") -> SignalReply:
        request = SignalRequest(action=action, session=session, sdp=sdp)
        return await self.bus.request(self.bus.subjects.signal(ingest.id), request, SignalReply, 10)

    async def call(self, ingest: Ingest) -> tuple[str, LightPhone]:
        phone = LightPhone(self._certificate)
        self.phones.append(phone)
        session = new_id()
        reply = await self.signal(ingest, session, await phone.offer())
        assert reply.problem is None
        await phone.connect(reply.sdp)
        return session, phone

    async def timeline(self, ingest: Ingest, session: str) -> list[PcmChunk]:
        assert (await self.signal(ingest, session, "", "end")).problem is None
        await until(lambda: any(chunk.flags & Flag.END for chunk in self.worker.of(session)))
        return self.worker.of(session)

    async def stop(self) -> None:
        for phone in self.phones:
            await phone.hang_up()
        await self.worker.stop()
        await self.bus.drain()


@pytest.fixture
async def world(nats_url: str) -> AsyncIterator[World]:
    world = World(nats_url)
    await world.start()
    yield world
    for ingest in (world.attacked, world.quiet):
        if ingest.process.returncode is None:
            await ingest.stop()
    await world.stop()


def packets(seconds: float) -> list[bytes]:
    encoder = OpusEncoder(bitrate=12_000, frame_ms=FRAME_MS, dtx=False)
    pcm = speech(seconds)
    size = 2 * encoder.frame_samples
    found = [encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm) - size, size)]
    encoder.close()
    return found


class Captured:
    """What a phone sends, as somebody on its network sees it."""

    def __init__(self, phone: LightPhone) -> None:
        self.datagrams: deque[bytes] = deque(maxlen=60)
        send = phone.ice._send

        async def watched(data: bytes) -> None:
            self.datagrams.append(data)
            await send(data)

        phone.ice._send = watched


async def talk(phones: list[LightPhone], speech_packets: list[bytes], is_over: Callable[[], bool]) -> int:
    """All phones say the same at the pace of speech, until the attack is over; gives the number of frames."""
    loop = asyncio.get_running_loop()
    begun, frame = loop.time(), 0
    while not is_over() or frame < 20:
        payload = speech_packets[frame % len(speech_packets)]
        for phone in phones:
            await phone.send_audio(frame * 48 * FRAME_MS, payload)
        frame += 1
        await asyncio.sleep(max(0.0, begun + frame * FRAME_MS / 1e3 - loop.time()))
    return frame


class Attack:
    """A phone with a session of its own (an insider), and sockets at other addresses (outsiders)."""

    def __init__(self, world: World, insider: LightPhone, victims: list[LightPhone], session: str) -> None:
        self._world = world
        self._insider = insider
        self._session = session
        self._captured = [Captured(phone) for phone in victims]
        self._targets = [phone.far[0] for phone in (*victims, insider)]
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        self._mutator = Mutator(SEED)
        self.draw = random.Random(SEED)
        self.sent: Counter[str] = Counter()
        encoded = packets(1.0)
        self._rtp = rtp_samples(PAYLOAD_TYPE, insider.ssrc, encoded)
        self._rtcp = rtcp_samples(insider.ssrc)
        self._offers: list[str] = []

    def close(self) -> None:
        for outsider in self._sockets:
            outsider.close()

    def _shout(self, data: bytes) -> None:
        """From an address that is nobody's, to a victim's port or the attacker's own."""
        self.draw.choice(self._sockets).sendto(data, self.draw.choice(self._targets))

    async def _as_insider(self, data: bytes) -> None:
        try:
            await self._insider.ice._send(data)
        except ConnectionError:
            self.sent["insider's connection gone"] += 1

    def _protected(self, plain: bytes, is_rtcp: bool) -> bytes:
        """Right keys, wrong content; what libsrtp does not even encrypt goes out as it is."""
        srtp = self._insider.dtls._tx_srtp
        try:
            return bytes(srtp.protect_rtcp(plain) if is_rtcp else srtp.protect(plain))
        except (pylibsrtp.Error, ValueError):
            return plain

    async def rtp(self) -> None:
        seen = [data for captured in self._captured for data in list(captured.datagrams)[:8]]
        match self.draw.randrange(4):
            case 0:
                self._shout(self._mutator.datagram("rtp", seen or self._rtp))
            case 1:
                self._shout(self.draw.choice(seen or self._rtp))  # said again by somebody else
            case 2:
                await self._as_insider(self._mutator.datagram("rtp", self._rtp))
            case _:
                inner = self._mutator.datagram("rtp", self._rtp)
                await self._as_insider(self._protected(inner, is_rtcp=False))

    async def rtcp(self) -> None:
        inner = self._mutator.datagram("rtcp", self._rtcp)
        if self.draw.random() < 0.4:
            self._shout(inner)
        elif len(inner) > 1:
            # the type stays RTCP's, else libsrtp takes the packet for RTP
            inner = bytes([inner[0] | 0x80, 200 + inner[1] % 8]) + inner[2:]
            await self._as_insider(self._protected(inner, is_rtcp=True))

    async def stun(self) -> None:
        insider = self._insider
        names = f"{insider.far_ufrag}:{insider._gatherer.getLocalParameters().usernameFragment}"
        match self.draw.randrange(4):
            case 0:
                self._shout(self._mutator.datagram("stun", stun_samples("abcd:efgh", "p" * 22)))
            case 1:
                self._shout(self._mutator.datagram("stun", stun_samples(names, insider.far_pwd)))
            case 2:
                self._shout(signed_stun(self._mutator, names, insider.far_pwd))
            case _:
                await self._as_insider(signed_stun(self._mutator, names, insider.far_pwd))

    async def dtls(self) -> None:
        data = self._mutator.datagram("dtls", dtls_samples())
        if self.draw.random() < 0.7:
            self._shout(data)
        else:
            await self._as_insider(data)

    async def sctp(self) -> None:
        data = self._mutator.datagram("sctp", sctp_samples())
        if self.draw.random() < 0.5 or not data:
            self._shout(data)
            return
        try:
            await self._insider.dtls._send_data(data)
        except Exception:  # the record layer of a connection that the attack has broken
            self.sent["insider's connection gone"] += 1

    async def sdp(self) -> None:
        if not self._offers:
            for _ in range(2):
                phone = LightPhone()
                self._offers.append(await phone.offer())
                await phone.vanish()
            self._offers.append(
                self._offers[0] + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"
            )
        await self._world.signal(self._world.attacked, self._session, self._mutator.text(self._offers))

    async def run(self, total: int) -> None:
        ways: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            name: getattr(self, name) for name in SHARES
        }
        plan = [name for name, share in SHARES.items() for _ in range(total * share // 100)]
        self.draw.shuffle(plan)
        for number, name in enumerate(plan):
            await ways[name]()
            self.sent[name] += 1
            if number % BATCH == 0:
                await asyncio.sleep(PAUSE_S)


@pytest.mark.timeout(900)
async def test_mutated_packets_disturb_nobody(world: World, request: pytest.FixtureRequest) -> None:
    total = request.config.getoption("--mutations") or 6_000
    speech_packets = packets(6.0)
    victims = [await world.call(world.attacked) for _ in range(2)]
    twins = [await world.call(world.quiet) for _ in range(2)]
    _, insider = await world.call(world.attacked)
    before = await world.attacked.counts()
    attack = Attack(world, insider, [phone for _, phone in victims], new_id())
    attacking = asyncio.create_task(attack.run(total))
    frames = await talk([phone for _, phone in (*victims, *twins)], speech_packets, attacking.done)
    await attacking
    attack.close()
    heard = [await world.timeline(world.attacked, session) for session, _ in victims]
    undisturbed = [await world.timeline(world.quiet, session) for session, _ in twins]
    counted = await world.attacked.counts()
    counted.subtract(before)
    log = await world.attacked.stop()
    told = {
        "sent": attack.sent,
        "innocent packets": 2 * frames,
        "counted": {name: n for name, n in sorted(counted.items()) if n},
    }
    sys.stdout.write(json.dumps(told, indent=1) + "\n")

    for ours, theirs in zip(heard, undisturbed, strict=True):
        assert [(c.sample_index, c.n_samples, c.flags) for c in ours] == [
            (c.sample_index, c.n_samples, c.flags) for c in theirs
        ]
        assert [c.pcm for c in ours] == [c.pcm for c in theirs]
        assert {c.flags for c in ours} == {Flag.OK, Flag.END}
    assert "Traceback" not in log
    assert not [line for line in log.splitlines() if '"level": "error"' in line.lower()]
    assert counted["loop_exceptions"] == 0
    assert not [name for name in counted if name.startswith("bus_faults") and counted[name]]
    for event in ("media-handler", "packet-error"):
        assert counted[f"ingest_transports {event}"] == 0
    for event in (
        *(
            "srtp-forged",
            "srtp-replay",
            "srtp-malformed",
            "rtp-other-payload",
            "rtp-padding",
            "rtcp-malformed",
        ),
        *("stun-malformed", "stun-400", "stun-401", "stun-indication", "stun-unmatched"),
        *("unknown-datagram", "sctp-refused", "too-many-sources"),
    ):
        assert counted[f"ingest_transports {event}"] > 0, event
    assert counted["ingest_offers bad-sdp"] > 0
    assert counted["ingest_offers answered"] > 0
