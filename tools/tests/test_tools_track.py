"""The sender's track in virtual time."""

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from fieldcoach.tools.phone.packetiser import Packetiser
from fieldcoach.tools.phone.profile import START, SendProfile
from fieldcoach.tools.phone.track import OpusTrack


class SpeechEncoder:
    def __init__(self, profile: SendProfile) -> None:
        self.profile = profile

    def encode(self, pcm: bytes) -> bytes:
        return b"x" * 10 if any(pcm) else b"d"

    def set_bitrate(self, bits_per_second: int) -> None:
        raise AssertionError

    def set_frame_ms(self, frame_ms: int) -> None:
        raise AssertionError


class VirtualTime:
    """Sleeping moves the clock; `late_by` is what each sleep oversleeps."""

    def __init__(self, late_by: float = 0.0) -> None:
        self.now = 100.0
        self.late_by = late_by

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late_by


def track_of(pcm: bytes, time: VirtualTime) -> OpusTrack:
    return OpusTrack(Packetiser(pcm, START, SpeechEncoder), time.clock, time.sleep)


async def test_the_microphone_opens_with_the_first_request() -> None:
    time = VirtualTime()
    track = track_of(b"\1\0" * 1_280, time)
    assert not track.started.is_set()
    time.now = 200.0
    packet = await track.recv()
    assert track.started_at == 200.0
    assert time.now == pytest.approx(200.04)
    assert (packet.pts, packet.time_base.denominator, bytes(packet)) == (0, 48_000, b"x" * 10)


async def test_what_is_held_passes_in_its_time_and_is_not_sent() -> None:
    time = VirtualTime()
    packetiser = Packetiser(b"\1\0" * 16_000 * 5, SendProfile("L5", 16_000, 40), SpeechEncoder)
    track = OpusTrack(packetiser, time.clock, time.sleep)
    packet = await track.recv()
    assert packet.pts == 49 * 1_920
    assert time.now == pytest.approx(102.0)


async def test_oversleeping_does_not_add_up() -> None:
    time = VirtualTime(late_by=0.005)
    track = track_of(b"\1\0" * 16_000, time)
    for _ in range(25):
        await track.recv()
    assert time.now == pytest.approx(101.005)
    assert track.latest_s == pytest.approx(0.005)


async def test_the_end_comes_when_the_audio_ends_also_in_silence_that_is_not_sent() -> None:
    time = VirtualTime()
    track = track_of(b"\1\0" * 640 + bytes(32_000), time)
    await track.recv()
    await track.recv()
    waiting = asyncio.create_task(track.recv())
    await asyncio.wait_for(track.finished.wait(), 1)
    assert time.now == pytest.approx(101.04)
    track.stop()
    with pytest.raises(MediaStreamError):
        await waiting
    with pytest.raises(MediaStreamError):
        await track.recv()
