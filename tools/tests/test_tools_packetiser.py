"""The packetiser, with an encoder that says what it was asked."""

import itertools
import math
import struct

import pytest

from fieldcoach.common.opus import MAX_DTX_BYTES, OpusDecoder, packet_samples
from fieldcoach.tools.errors import VisitError
from fieldcoach.tools.phone.packetiser import RTP_CLOCK, Packetiser
from fieldcoach.tools.phone.profile import LADDER, START, SendProfile, chosen_profile
from fieldcoach.tools.phone.ring import OpusRing


class FakeEncoder:
    """Speech gives ten bytes, a frame of zeros one byte, as libopus does in DTX."""

    def __init__(self, profile: SendProfile) -> None:
        self.profile = profile
        self.frames: list[int] = []
        self.bitrates = [profile.max_bitrate]
        self.frame_ms: int = profile.ptime_ms

    def encode(self, pcm: bytes) -> bytes:
        self.frames.append(len(pcm) // 2)
        return b"x" * 10 if any(pcm) else b"d"

    def set_bitrate(self, bits_per_second: int) -> None:
        self.bitrates.append(bits_per_second)

    def set_frame_ms(self, frame_ms: int) -> None:
        self.frame_ms = frame_ms


def speech(ms: int) -> bytes:
    return b"\1\0" * (16 * ms)


def silence(ms: int) -> bytes:
    return bytes(32 * ms)


def tone(ms: int) -> bytes:
    return struct.pack(f"<{16 * ms}h", *(int(8_000 * math.sin(n / 8)) for n in range(16 * ms)))


def drain(packetiser: Packetiser) -> list[tuple[float, int, int]]:
    packets = []
    while packet := packetiser.next():
        packets.append((round(packet.due, 3), packet.timestamp, len(packet.payload)))
    return packets


def test_a_packet_is_due_when_its_last_sample_was_captured() -> None:
    packets = drain(Packetiser(speech(120), START, FakeEncoder))
    assert packets == [(0.04, 0, 10), (0.08, 1_920, 10), (0.12, 3_840, 10)]


def test_the_last_frame_is_filled_up_with_silence() -> None:
    packetiser = Packetiser(speech(50), START, FakeEncoder)
    assert [due for due, _, _ in drain(packetiser)] == [0.04, 0.08]
    assert packetiser.position_s == 0.08


def test_of_a_dtx_run_only_the_first_packet_goes_out_and_the_timestamp_counts_on() -> None:
    packetiser = Packetiser(speech(40) + silence(160) + speech(40), START, FakeEncoder)
    packets = drain(packetiser)
    assert packets == [(0.04, 0, 10), (0.08, 1_920, 1), (0.24, 5 * 1_920, 10)]
    assert (packetiser.sent, packetiser.silent) == (3, 3)


def test_silence_at_the_end_gives_no_packet_but_counts_as_audio() -> None:
    packetiser = Packetiser(silence(400), START, FakeEncoder)
    assert drain(packetiser) == [(0.04, 0, 1)]
    assert packetiser.position_s == pytest.approx(0.4)


def test_a_profile_changes_bitrate_and_packet_time_at_the_next_packet() -> None:
    made: list[FakeEncoder] = []

    def factory(profile: SendProfile) -> FakeEncoder:
        made.append(FakeEncoder(profile))
        return made[-1]

    packetiser = Packetiser(speech(40 + 60 + 60), START, factory)
    first = packetiser.next()
    packetiser.set_profile(LADDER["L2"])
    assert first is not None
    assert [(due, timestamp) for due, timestamp, _ in drain(packetiser)] == [(0.1, 1_920), (0.16, 4_800)]
    assert len(made) == 1
    assert made[0].bitrates == [16_000, 12_000]
    assert packetiser.profile.rung == "L2"


def test_another_fec_or_dtx_needs_another_encoder() -> None:
    made: list[FakeEncoder] = []

    def factory(profile: SendProfile) -> FakeEncoder:
        made.append(FakeEncoder(profile))
        return made[-1]

    packetiser = Packetiser(speech(80), START, factory)
    packetiser.set_profile(SendProfile("L1", 16_000, 40, fec=False))
    assert [encoder.profile.fec for encoder in made] == [True, False]


PAUSED = SendProfile("L5", 6_000, 120)


def test_on_l5_the_encoder_goes_on_all_is_kept_and_a_packet_goes_out_every_two_seconds() -> None:
    ring = OpusRing()
    packetiser = Packetiser(tone(9_600), START, ring=ring)
    while (packet := packetiser.next()) and packet.due < 0.99:
        assert not packet.is_held
    packetiser.set_profile(PAUSED)
    given = []
    while packet := packetiser.next():
        given.append(packet)
    sent = [packet for packet in given if not packet.is_held]
    assert [packet.due for packet in given] == pytest.approx([1 + 0.12 * n for n in range(1, len(given) + 1)])
    *pauses, last = [later.due - earlier.due for earlier, later in itertools.pairwise(sent)]
    assert all(2.0 <= pause <= 2.12 for pause in pauses)
    assert last < 2.0  # the recording's last packet, so that the server knows where it ends
    assert packetiser.held == len(given) - len(sent)
    kept = ring.cut(0, 10 * RTP_CLOCK)
    assert all(before.end == after.begin for before, after in itertools.pairwise(kept))
    assert kept[-1].end >= 9.6 * RTP_CLOCK


def test_after_l5_the_next_packet_goes_out() -> None:
    packetiser = Packetiser(tone(3_000), PAUSED)
    packets = [packetiser.next() for _ in range(5)]
    assert [packet is not None and packet.is_held for packet in packets] == [True] * 5
    packetiser.set_profile(LADDER["L4"])
    packet = packetiser.next()
    assert packet is not None
    assert not packet.is_held
    assert packet.timestamp == 5 * 120 * 48


def test_what_is_left_out_is_encoded_in_steps() -> None:
    ring = OpusRing()
    packetiser = Packetiser(tone(6_000), START, ring=ring)
    steps = 1
    while packetiser.skip_to(5.0, 2.0):
        steps += 1
    assert steps == 3
    assert (packetiser.position_s, packetiser.skipped_s, len(ring)) == (5.0, 5.0, 125)
    assert not packetiser.skip_to(4.0)
    without = Packetiser(tone(6_000), START)
    assert not without.skip_to(5.0, 2.0)
    assert without.skipped_s == 5.0


@pytest.mark.parametrize("rung", sorted(LADDER))
def test_libopus_makes_packets_of_each_rung(rung: str) -> None:
    profile = LADDER[rung]
    packetiser = Packetiser(tone(480), profile)
    decoder = OpusDecoder()
    decoded = 0
    while packet := packetiser.next():
        assert packet_samples(packet.payload, RTP_CLOCK) == 48 * profile.ptime_ms
        decoded += len(decoder.decode(packet.payload)) // 2
    assert decoded == 16 * 480


def test_libopus_in_silence_sends_a_packet_about_every_400_ms() -> None:
    packetiser = Packetiser(tone(400) + silence(4_000), START)
    dues = []
    while packet := packetiser.next():
        if packet.due > 1.5:
            dues.append((packet.due, len(packet.payload)))
    refreshes = [due for due, size in dues if size > MAX_DTX_BYTES]
    gaps = [later - earlier for earlier, later in itertools.pairwise(refreshes)]
    assert gaps
    assert all(0.35 <= gap <= 0.45 for gap in gaps)
    assert packetiser.silent > packetiser.sent / 2


def test_a_servers_profile_is_brought_into_range() -> None:
    profile = SendProfile.from_fields({"rung": "L5", "max_bitrate": 0, "ptime_ms": 50, "fec": False})
    assert profile == SendProfile("L5", 6_000, 40, fec=False, dtx=True)
    assert SendProfile.from_fields({}) == SendProfile("?", 16_000, 40)


def test_the_profile_of_the_command_line() -> None:
    assert chosen_profile(None, None, None) is None
    assert chosen_profile("l3", None, None) == LADDER["L3"]
    assert chosen_profile(None, 8_000, None) == SendProfile("fixed", 8_000, 40)
    assert chosen_profile("L0", None, 60) == SendProfile("fixed", 24_000, 60)


@pytest.mark.parametrize(
    ("rung", "bitrate", "ptime", "named"),
    [("L9", None, None, "--profile"), (None, 5_999, None, "--bitrate"), (None, None, 30, "--ptime")],
)
def test_a_wrong_profile_names_the_option(
    rung: str | None, bitrate: int | None, ptime: int | None, named: str
) -> None:
    with pytest.raises(VisitError, match=named):
        chosen_profile(rung, bitrate, ptime)
