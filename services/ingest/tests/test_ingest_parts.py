"""Addresses, settings, uplink times, and a stream with a real decoder."""

import math
import random
from collections import Counter

import pytest

from fieldcoach.common.audio import Flag
from fieldcoach.common.errors import SettingsInvalid
from fieldcoach.common.opus import OpusEncoder
from fieldcoach.common.settings import load_settings
from fieldcoach.ingest.addresses import MediaAddresses, choose_hosts, parse_hosts, parse_ports
from fieldcoach.ingest.jitter import AudioPacket
from fieldcoach.ingest.placement import timing_of
from fieldcoach.ingest.settings import IngestSettings
from fieldcoach.ingest.stream import AudioStream
from fieldcoach.ingest.timeline import Chunk, Timeline
from fieldcoach.ingest.uplink import KEPT, Uplink, UplinkTimes


def test_hosts_are_what_is_set_or_found_or_loopback() -> None:
    assert parse_hosts(" 192.0.2.1, 2001:db8::1 ,") == ("192.0.2.1", "2001:db8::1")
    assert choose_hosts(("192.0.2.1",), ["192.0.2.2"]) == ("192.0.2.1",)
    assert choose_hosts((), ["192.0.2.2"]) == ("192.0.2.2",)
    assert choose_hosts((), []) == ("127.0.0.1",)


def test_one_socket_a_host_or_one_for_all() -> None:
    assert MediaAddresses(("a", "b")).sockets() == (("a", ("a",)), ("b", ("b",)))
    assert MediaAddresses(("a", "b"), "0.0.0.0").sockets() == (("0.0.0.0", ("a", "b")),)


def test_every_port_of_the_range_is_tried_once() -> None:
    addresses = MediaAddresses(("a",), ports=(40_000, 40_004))
    assert sorted(addresses.port_candidates(random.Random(1))) == list(range(40_000, 40_005))
    assert list(MediaAddresses(("a",)).port_candidates(random.Random(1))) == [0]


def test_port_ranges() -> None:
    assert parse_ports("") is None
    assert parse_ports("40000-40100") == (40_000, 40_100)
    for text in ("40000", "5-10", "40100-40000", "a-b", "40000-70000"):
        with pytest.raises(ValueError, match="min-max"):
            parse_ports(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEDIA_HOSTS", "example.org"),
        ("MEDIA_BIND", "0.0.0.0,::"),
        ("MEDIA_PORTS", "1-2"),
        ("MAX_SESSIONS", "0"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=name):
        load_settings(IngestSettings)


def test_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_HOSTS", "127.0.0.1")
    monkeypatch.setenv("MEDIA_BIND", " 0.0.0.0 ")
    monkeypatch.setenv("MEDIA_PORTS", "40000-40063")
    settings = load_settings(IngestSettings)
    assert (settings.media_hosts, settings.media_bind, settings.media_ports) == (
        "127.0.0.1",
        "0.0.0.0",
        "40000-40063",
    )


def chunk(first: int, *arrivals: tuple[int, float], n: int = 960) -> Chunk:
    return Chunk(first, n, Flag.OK, bytes(2 * n), arrivals)


def test_the_uplink_of_a_sample_is_that_of_its_packet() -> None:
    times = UplinkTimes()
    assert times.of(1) is None
    times.published(chunk(0, (640, 1.0), (1_280, 1.04)), 1.05)
    times.published(chunk(960, (1_280, 1.04), (1_920, 1.08)), 1.09)
    times.published(chunk(0, (640, 1.0), (1_280, 1.04)), 9.0)  # a replay
    times.published(Chunk(1_920, 10, Flag.GAP, b""), 9.0)
    assert times.of(600) == Uplink(1.0, 1.05)
    assert times.of(960) == Uplink(1.04, 1.05)
    assert times.of(961) == Uplink(1.04, 1.09)
    assert times.of(1_920) == Uplink(1.08, 1.09)
    assert times.of(1_921) is None
    assert len(times.chunks()) == 2


def test_what_is_older_than_kept_is_not_known() -> None:
    times = UplinkTimes()
    for number in range(KEPT + 5):
        end = 960 * (number + 1)
        times.published(chunk(960 * number, (end, float(number))), float(number))
    assert times.of(100) is None
    assert times.of(960 * (KEPT + 5)) == Uplink(KEPT + 4.0, KEPT + 4.0)


class Speaker:
    """Real Opus packets of 20 ms."""

    def __init__(self) -> None:
        self._encoder = OpusEncoder(bitrate=24_000, dtx=False, expected_loss_percent=20)
        self._number = 0

    def say(self, payload: bytes | None = None) -> AudioPacket:
        number, self._number = self._number, self._number + 1
        tone = 2 * math.pi * (120 + 25 * (number % 30)) / 16_000
        voice = b"".join(
            int(6_000 * math.sin(tone * i) * (i % 100) / 100).to_bytes(2, "little", signed=True)
            for i in range(320)
        )
        encoded = self._encoder.encode(voice)
        return AudioPacket(number, 960 * number, payload or encoded, 1 + 0.02 * number)


def test_a_stream_flags_what_it_made_up() -> None:
    counts: Counter[str] = Counter()
    timeline, speaker = Timeline(), Speaker()
    stream = AudioStream(timeline, lambda outcome, amount: counts.update({outcome: amount}))
    for number in range(60):
        packet = speaker.say(b"\x48" if number == 45 else None)
        if number in (10, 11, 12) or 20 <= number < 30:
            continue
        stream.push(packet)
        if stream.next_due is not None and number < 45:
            stream.poll(packet.arrival + 1)
    stream.close(3.0)
    chunks = timeline.drain()
    assert sum(c.n_samples for c in chunks) == 60 * 320
    by_flag: Counter[Flag] = Counter()
    for c in chunks:
        by_flag[c.flags] += c.n_samples // 320
    assert by_flag == {Flag.OK: 46, Flag.FEC: 2, Flag.PLC: 2 + 6, Flag.GAP: 3, Flag.DTX: 1}
    assert counts["lost"] == 13


def test_a_corrupt_body_is_concealed_and_a_new_sender_starts_afresh() -> None:
    counts: Counter[str] = Counter()
    timeline, speaker = Timeline(), Speaker()
    stream = AudioStream(timeline, lambda outcome, amount: counts.update({outcome: amount}))
    for _ in range(5):
        stream.push(speaker.say())
    stream.push(speaker.say(bytes([9 << 3 | 3, 0x41, 250, 1])))  # one frame, more padding than packet
    stream.push(speaker.say(bytes([9 << 3 | 1, 1, 2, 3])))  # two frames of one and a half bytes
    assert counts["undecodable"] == 2
    for number in (40_000, 40_001, 40_002):
        stream.push(AudioPacket(number, number, speaker.say().payload, 3 + number / 1e3 - 40))
    stream.close(4.0)
    chunks = timeline.drain()
    assert counts["stray"] == 1
    assert any(c.flags == Flag.GAP for c in chunks)
    assert chunks[-1].flags == Flag.OK


def test_the_settings_reach_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "SUSPEND_AFTER_S": 1,
        "FREE_MEDIA_AFTER_S": 2,
        "END_AFTER_S": 4,
        "MAX_SESSION_S": 600,
        "ACK_TIMEOUT_S": 3,
    }
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:4222")
    for name, value in given.items():
        monkeypatch.setenv(name, str(value))
    timing = timing_of(load_settings(IngestSettings))
    life = timing.life
    assert (life.suspend_after, life.free_after, life.end_after, life.longest) == (1, 2, 4, 600)
    assert timing.delivery.ack_timeout == 3
