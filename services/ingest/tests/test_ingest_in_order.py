"""The short way of a packet that is next in order: the same sound, counts and deadlines as the long one."""

import random
from collections import Counter

from fieldcoach.ingest.jitter import RTP_RATE, AudioPacket, Frame, FrameKind, JitterBuffer

VOICE = bytes([0x48]) + bytes(30)  # SILK, 20 ms
LONG = bytes([0x58]) + bytes(30)  # SILK, 60 ms
QUIET = bytes([0x48])
CORRUPT = bytes([0x4B, 0x00, 0x00])  # a frame count of zero


class Either:
    """A jitter buffer, with or without the short way."""

    def __init__(self, is_short: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.buffer = JitterBuffer(lambda outcome, number: self.counts.update({outcome: number}), True)
        self.is_short = is_short
        self.short = 0
        self.frames: list[Frame] = []

    def push(self, packet: AudioPacket) -> None:
        position = self.buffer.next_in_order(packet) if self.is_short else None
        if position is None:
            self.frames += self.buffer.push(packet)
            return
        self.short += 1
        assert not self.buffer.is_asking
        assert self.buffer.in_dtx or self.buffer.next_due is None  # `AudioStream.is_idle` builds on it
        duration = 2_880 if packet.payload is LONG else 960
        self.frames.append(Frame(FrameKind.PACKET, position, duration, packet.arrival, packet.payload))

    def state(self) -> tuple[object, ...]:
        buffer = self.buffer
        return (
            buffer.next_due,
            buffer.target_delay,
            buffer.held,
            buffer.in_dtx,
            buffer.is_asking,
            self.counts,
        )


def stream(draw: random.Random, number: int) -> list[AudioPacket]:
    """Loss, copies, disorder, DTX, other packet times, nonsense and restarts; both numbers wrap."""
    sequence, tick, at = 0xFFF0, (1 << 32) - 5_000, 10.0
    found: list[AudioPacket] = []
    for _ in range(number):
        payload = draw.choices([VOICE, LONG, QUIET, CORRUPT], [20, 3, 3, 1])[0]
        if draw.random() < 0.01:
            sequence, tick = draw.randrange(1 << 16), draw.randrange(1 << 32)
        ticks = 2_880 if payload is LONG else 960
        late = draw.choice([0.0, 0.0, 0.0, 0.001, 0.03, 0.2])
        packet = AudioPacket(sequence & 0xFFFF, tick & 0xFFFF_FFFF, payload, at + ticks / RTP_RATE + late)
        if draw.random() > 0.05:
            found += [packet] * draw.choices([1, 2], [30, 1])[0]
        sequence += 1
        tick += ticks + (draw.randrange(1, 20) * 960 if payload is QUIET and draw.random() < 0.5 else 0)
        at += ticks / RTP_RATE
    found.sort(key=lambda packet: packet.arrival)
    return found


def test_both_ways_give_the_same() -> None:
    for seed in range(40):
        draw = random.Random(seed)
        long, short = Either(False), Either(True)
        for packet in stream(draw, 200):
            for either in (long, short):
                either.push(packet)
            now = packet.arrival + 0.005
            long.frames += long.buffer.poll(now)
            short.frames += short.buffer.poll(now)
            assert long.frames == short.frames
            assert long.state() == short.state()
        assert short.short > 10


def test_a_clean_stream_takes_the_short_way_after_its_first_packet() -> None:
    either = Either(True)
    for number in range(50):
        either.push(AudioPacket(number, 960 * number, VOICE, 0.02 * number))
    assert either.short == 49
    assert either.counts == {"in-order": 50}
