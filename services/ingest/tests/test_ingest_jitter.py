"""The jitter buffer in virtual time."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from fieldcoach.common.opus import OpusEncoder
from fieldcoach.ingest.jitter import (
    MAX_HELD,
    MAX_PLC,
    MAX_TARGET_S,
    MIN_TARGET_S,
    RTP_RATE,
    AudioPacket,
    Frame,
    FrameKind,
    JitterBuffer,
)

TICKS = 960  # 20 ms
VOICE = bytes([9 << 3, 1, 2, 3, 4, 5])  # SILK wide band, one frame of 20 ms, no redundancy
LBRR = bytes([9 << 3, 0b0100_0000, 2, 3, 4, 5])
LONG = bytes([11 << 3, 1, 2, 3, 4, 5])  # 60 ms
DTX = bytes([9 << 3])


class Bench:
    """Packets by number on a 20 ms grid, arriving 0.1 s after their capture, `late` seconds later."""

    def __init__(self, seq0: int = 65_530, ts0: int = 2**32 - 5_000, has_nack: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.buffer = JitterBuffer(self._count, has_nack)
        self.frames: list[Frame] = []
        self._seq0, self._ts0 = seq0, ts0

    def _count(self, outcome: str, amount: int) -> None:
        self.counts[outcome] += amount

    def packet(
        self, number: int, payload: bytes = VOICE, at: int | None = None, late: float = 0.0
    ) -> AudioPacket:
        at = number if at is None else at
        return AudioPacket(
            (self._seq0 + number) & 0xFFFF,
            (self._ts0 + at * TICKS) & 0xFFFFFFFF,
            payload,
            0.1 + (at + 1) * 0.02 + late,
        )

    def push(
        self, number: int, payload: bytes = VOICE, at: int | None = None, late: float = 0.0
    ) -> list[Frame]:
        return self.take(self.buffer.push(self.packet(number, payload, at, late)))

    def poll(self, now: float) -> list[Frame]:
        return self.take(self.buffer.poll(now))

    def take(self, frames: list[Frame]) -> list[Frame]:
        self.frames += frames
        return frames


def kinds(frames: list[Frame]) -> list[str]:
    return [frame.kind.value for frame in frames]


def assert_continuous(frames: list[Frame]) -> None:
    for before, after in pairwise(frames):
        assert after.timestamp == before.timestamp + before.duration


def test_packets_in_order_are_not_held_also_over_the_wrap() -> None:
    bench = Bench()
    for number in range(50):
        assert kinds(bench.push(number)) == ["packet"]
        assert bench.buffer.held == 0
        assert bench.buffer.next_due is None
    assert_continuous(bench.frames)
    assert bench.counts == {"in-order": 50}


def test_swapped_packets_go_out_in_order() -> None:
    bench = Bench()
    bench.push(0)
    assert bench.push(2) == []
    assert bench.buffer.held == 1
    assert kinds(bench.push(1, late=0.025)) == ["packet", "packet"]
    assert_continuous(bench.frames)
    assert bench.counts == {"in-order": 2, "reordered": 1}


def test_copies_and_late_packets_are_told_apart_and_dropped() -> None:
    bench = Bench()
    bench.push(0)
    assert bench.push(0) == []
    bench.push(2)
    assert bench.push(2) == []
    bench.poll(10)
    assert bench.push(1, late=10) == []
    assert bench.counts == {"in-order": 2, "duplicate": 2, "lost": 1, "late": 1}


def test_what_the_first_packet_has_overtaken_is_late_and_no_copy() -> None:
    bench = Bench()
    bench.push(5)
    assert bench.push(4) == []
    assert bench.push(5) == []
    assert bench.counts == {"in-order": 1, "late": 1, "duplicate": 1}


def test_while_sound_may_be_held_back_a_jump_is_a_hole_unless_dtx_explains_it() -> None:
    bench = Bench()
    bench.buffer.longest_silence = 26 * TICKS
    bench.push(0)
    assert kinds(bench.push(1, at=6)) == ["held", "packet"]  # no word of silence
    bench.push(2, DTX, at=7)
    assert bench.buffer.next_due is None
    assert bench.poll(9) == []  # nor by the clock
    assert kinds(bench.push(3, at=27)) == ["silence", "packet"]  # as DTX refreshes it
    bench.push(4, DTX, at=28)
    assert kinds(bench.push(5, at=128)) == ["held", "packet"]
    bench.buffer.longest_silence = 0
    bench.push(6, DTX, at=129)
    assert kinds(bench.push(7, at=139)) == ["held", "packet"]
    bench.push(9, at=341)  # one lost, the rest held back
    assert kinds(bench.poll(20)) == ["plc", "held", "packet"]
    bench.buffer.longest_silence = None
    assert kinds(bench.push(10, at=400)) == ["silence", "packet"]
    assert_continuous(bench.frames)


def test_a_hole_is_waited_for_until_its_deadline_then_concealed() -> None:
    bench = Bench()
    for number in range(5):
        bench.push(number)
    bench.push(6)
    due = bench.buffer.next_due
    assert due is not None
    # packet 5 was expected at 0.1 + 6 * 0.02
    assert due == pytest.approx(0.22 + MIN_TARGET_S)
    assert bench.poll(due - 0.001) == []
    assert kinds(bench.poll(due)) == ["plc", "packet"]
    assert_continuous(bench.frames)


def test_the_lost_frame_comes_from_the_redundancy_of_the_next() -> None:
    bench = Bench()
    bench.push(0)
    bench.push(2, LBRR)
    frames = bench.poll(10)
    assert kinds(frames) == ["fec", "packet"]
    assert frames[0].payload == LBRR
    assert_continuous(bench.frames)


def test_a_longer_hole_is_concealed_then_a_gap_then_redundancy() -> None:
    bench = Bench()
    bench.push(0)
    bench.push(12, LBRR)
    frames = bench.poll(10)
    assert kinds(frames) == ["plc", "gap", "fec", "packet"]
    assert frames[0].duration == MAX_PLC
    assert frames[1].duration == 11 * TICKS - MAX_PLC - TICKS
    assert_continuous(bench.frames)
    assert bench.counts["lost"] == 11


def test_redundancy_of_a_longer_frame_than_was_lost_is_not_used() -> None:
    bench = Bench()
    bench.push(0)
    bench.push(2, bytes([11 << 3, 0b0001_0000, 2, 3]))
    assert kinds(bench.poll(10)) == ["plc", "packet"]


def test_a_jump_of_the_timestamp_alone_is_silence_at_once() -> None:
    bench = Bench()
    bench.push(0)
    frames = bench.push(1, at=21)
    assert kinds(frames) == ["silence", "packet"]
    assert frames[0].duration == 20 * TICKS
    assert_continuous(bench.frames)


def test_silence_after_a_lost_marker_is_not_a_gap() -> None:
    """The first packet of the silence is lost: 20 ms are concealed, the rest is silence."""
    bench = Bench()
    for number in range(10):
        bench.push(number)
    bench.push(11, at=30)
    frames = bench.poll(10)
    assert kinds(frames) == ["plc", "silence", "packet"]
    assert [frame.duration // TICKS for frame in frames] == [1, 19, 1]
    assert_continuous(bench.frames)


def test_silence_comes_by_the_clock_once_the_sender_has_said_so() -> None:
    bench = Bench()
    for number in range(10):
        bench.push(number)
    assert not bench.buffer.in_dtx
    bench.push(10, DTX)
    assert bench.buffer.in_dtx
    end = 0.1 + 11 * 0.02  # when the marker came
    due = bench.buffer.next_due
    assert due is not None
    assert end + 0.02 <= due <= end + 0.07
    assert bench.poll(due - 0.001) == []
    for _ in range(10):
        due = bench.buffer.next_due
        assert due is not None
        assert kinds(bench.poll(due)) == ["silence"]
    assert_continuous(bench.frames)
    # the comfort packet after 400 ms only fills what is left
    frames = bench.push(11, at=31)
    assert kinds(frames) == ["silence", "packet"]
    assert frames[0].duration == 10 * TICKS
    assert_continuous(bench.frames)


def test_delay_without_a_marker_is_not_silence() -> None:
    bench = Bench()
    for number in range(10):
        bench.push(number)
    assert bench.buffer.next_due is None
    assert bench.poll(5) == []
    assert kinds(bench.push(10, late=5)) == ["packet"]
    assert_continuous(bench.frames)


def test_silence_by_the_clock_ends_after_a_second() -> None:
    bench = Bench()
    bench.push(0, DTX)
    bench.poll(60)
    assert sum(frame.duration for frame in bench.frames) == TICKS + RTP_RATE
    assert bench.buffer.next_due is None
    assert bench.poll(61) == []


def test_a_packet_inside_told_silence_is_played_whole() -> None:
    bench = Bench()
    bench.push(0)
    bench.push(1, DTX)
    bench.poll(0.1 + 0.5)
    told = bench.frames[-1].timestamp + bench.frames[-1].duration
    frames = bench.push(2, at=10, late=0.4)
    assert kinds(frames) == ["packet"]
    assert frames[0].timestamp < told
    assert kinds(bench.push(3, at=11, late=0.4)) == ["packet"]


def test_losses_in_told_silence_are_no_gap() -> None:
    bench = Bench()
    bench.push(0)
    bench.push(1, DTX)
    bench.poll(0.1 + 0.9)
    assert bench.push(4, at=40, late=0.2) == []
    assert kinds(bench.poll(20)) == ["packet"]
    assert bench.counts["lost"] == 2


def test_lost_packets_after_told_silence_follow_it() -> None:
    bench = Bench()
    bench.push(0)
    bench.push(1, DTX)
    bench.push(4, at=20)
    frames = bench.poll(20)
    assert kinds(frames) == ["silence", "plc", "packet"]
    assert_continuous(bench.frames)


def test_the_wait_follows_the_jitter_within_its_bounds() -> None:
    bench = Bench()
    noise = random.Random(3)
    assert bench.buffer.target_delay == MIN_TARGET_S
    for number in range(100):
        bench.push(number, late=noise.uniform(0, 0.2))
    assert 0.15 < bench.buffer.target_delay < 0.25
    for number in range(100, 500):
        bench.push(number, late=noise.uniform(0, 2))
    assert bench.buffer.target_delay == MAX_TARGET_S
    for number in range(500, 1_600):
        bench.push(number)
    assert bench.buffer.target_delay == MIN_TARGET_S


def test_one_stray_packet_changes_nothing_and_two_are_a_new_stream() -> None:
    bench = Bench()
    bench.push(0)
    assert bench.push(20_000) == []
    assert kinds(bench.push(1)) == ["packet"]
    assert bench.push(30_000) == []
    frames = bench.push(30_001)
    assert kinds(frames) == ["restart", "packet"]
    assert kinds(bench.push(30_002)) == ["packet"]
    assert bench.counts["stray"] == 2


def test_a_timestamp_from_the_future_is_another_stream() -> None:
    bench = Bench()
    bench.push(0)
    far = bench.packet(1, at=1_000)
    assert bench.take(bench.buffer.push(AudioPacket(far.sequence, far.timestamp, VOICE, 0.2))) == []
    assert bench.counts["stray"] == 1


def test_a_timestamp_that_runs_against_the_sequence_is_another_stream() -> None:
    bench = Bench()
    bench.push(10)
    assert bench.push(11, at=5) == []
    assert bench.counts["stray"] == 1


def test_overlapping_timestamps_are_played_whole() -> None:
    bench = Bench()
    bench.push(0, LONG)
    frames = bench.push(1, LONG)
    assert kinds(frames) == ["packet"]


def test_what_is_no_opus_is_counted_and_dropped() -> None:
    bench = Bench()
    assert bench.push(0, b"") == []
    assert bench.push(0, bytes([3, 0])) == []
    assert bench.counts == {"corrupt": 2}


def test_a_corrupt_next_packet_gives_no_redundancy() -> None:
    bench = Bench()
    bench.push(0)
    bench.push(2, bytes([9 << 3 | 1, 1, 2, 3]))  # two frames of equal size, of three bytes
    assert kinds(bench.poll(10))[0] == "plc"


def test_a_flood_behind_a_hole_is_bounded() -> None:
    bench = Bench()
    bench.push(0)
    packets = [bench.packet(number) for number in range(2, MAX_HELD + 100)]
    for packet in packets:
        bench.take(bench.buffer.push(AudioPacket(packet.sequence, packet.timestamp, packet.payload, 5.0)))
        assert bench.buffer.held <= MAX_HELD
    bench.poll(10)
    assert_continuous(bench.frames)


def test_flush_gives_everything_held() -> None:
    bench = Bench()
    bench.push(0)
    bench.push(2)
    bench.push(5)
    bench.take(bench.buffer.flush(0.2))
    assert kinds(bench.frames) == ["packet", "plc", "packet", "plc", "packet"]
    assert_continuous(bench.frames)


def test_a_hole_is_asked_for_and_waited_for_by_the_round_trip() -> None:
    bench = Bench(has_nack=True)
    for number in range(5):
        bench.push(number)
    assert bench.buffer.nacks(0.2, 0.3) == []
    bench.push(8)
    seen = 0.1 + 9 * 0.02
    assert bench.buffer.nacks(seen + 0.01, 0.3) == [65_535, 0, 1]  # over the wrap
    frames = bench.push(6, late=0.37) + bench.push(5, late=0.4)
    assert kinds(frames) == ["packet", "packet"]
    assert [frame.is_repaired for frame in frames] == [True, True]
    assert kinds(bench.poll(10)) == ["plc", "packet"]
    assert bench.counts == {"in-order": 6, "repaired": 2, "lost": 1}
    assert_continuous(bench.frames)


def test_the_deadline_grows_with_the_round_trip_and_not_without_nack() -> None:
    dues = []
    for has_nack, rtt in ((False, 0.5), (True, None), (True, 0.1), (True, 0.5), (True, 2.0)):
        bench = Bench(has_nack=has_nack)
        bench.push(0)
        bench.buffer.nacks(0.2, rtt)
        bench.push(2)
        due = bench.buffer.next_due
        assert due is not None
        dues.append(round(due - (0.1 + 3 * 0.02), 3))
    # without a repair to hope for 60 ms after it was expected; else two or three round trips
    assert dues == [0.04, 0.04, 0.4, 1.07, 0.04]


def test_a_new_stream_is_asked_for_by_its_own_numbers() -> None:
    bench = Bench(has_nack=True)
    bench.push(0)
    bench.push(2)
    bench.push(30_000)
    assert kinds(bench.push(30_001))[-2:] == ["restart", "packet"]
    assert bench.buffer.nacks(2_000, 0.1) == []


def test_of_a_packet_of_two_frames_redundancy_restores_the_last() -> None:
    two = bytes([11 << 3 | 1, *bytes(8)])  # 120 ms
    next_two = bytes([11 << 3 | 1, 0b0001_0000, *bytes(7)])
    bench = Bench()
    bench.push(0, two)
    bench.push(2, next_two, at=12)
    frames = bench.poll(10)
    assert kinds(frames) == ["plc", "fec", "packet"]
    assert [frame.duration // TICKS for frame in frames] == [3, 3, 6]


@pytest.mark.parametrize("seed", range(20))
def test_any_loss_and_order_gives_each_sample_once(seed: int) -> None:
    """Loss, copies, reordering, silence: one continuous line, each packet at most once, bounded delay."""
    noise = random.Random(seed)
    encoder = OpusEncoder(bitrate=24_000, dtx=False, expected_loss_percent=20)
    pcm = noise.randbytes(640)
    bench = Bench()
    arrivals: list[AudioPacket] = []
    at = 0
    for number in range(400):
        at += 1 if noise.random() > 0.02 else noise.randint(2, 30)
        payload = encoder.encode(pcm)
        if number and noise.random() < 0.1:
            continue
        packet = bench.packet(number, payload, at, late=abs(noise.gauss(0, 0.02)))
        arrivals += [packet] * (2 if noise.random() < 0.05 else 1)
    arrivals.sort(key=lambda packet: packet.arrival)
    now = 0.0
    for packet in arrivals:
        while (due := bench.buffer.next_due) is not None and due < packet.arrival:
            now = due
            for frame in bench.poll(now):
                assert frame.kind is not FrameKind.PACKET or now - frame.arrival <= MAX_TARGET_S + 0.1
        bench.take(bench.buffer.push(packet))
    bench.take(bench.buffer.flush(now + 10))
    assert_continuous(bench.frames)
    assert FrameKind.RESTART not in {frame.kind for frame in bench.frames}
    played = [frame.timestamp for frame in bench.frames if frame.kind is FrameKind.PACKET]
    assert len(set(played)) == len(played)
    assert bench.counts["late"] + len(played) + bench.counts["duplicate"] == len(arrivals)
