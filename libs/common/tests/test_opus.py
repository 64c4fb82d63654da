import array
import gc
import math
import random

import pytest

from fieldcoach.common import opus
from fieldcoach.common.opus import (
    OpusDecoder,
    OpusEncoder,
    OpusError,
    OpusUnavailable,
    frame_samples,
    is_dtx,
    packet_has_lbrr,
    packet_samples,
)


def vowel(n: int, start: int = 0, rate: int = 16_000) -> bytes:
    """A voice-like tone with harmonics under a slow envelope."""
    return array.array(
        "h",
        [
            int(
                5_000
                * (0.6 + 0.4 * math.sin(2 * math.pi * 3 * i / rate))
                * sum(math.sin(2 * math.pi * 140 * k * i / rate) / k for k in range(1, 8))
                / 2
            )
            for i in range(start, start + n)
        ],
    ).tobytes()


def correlation(a: bytes, b: bytes, max_lag: int = 400) -> float:
    """The best correlation over the encoder's delay."""
    x, y = array.array("h", a), array.array("h", b)
    best = 0.0
    for lag in range(0, max_lag + 1, 2):
        u, w = x[: len(x) - lag], y[lag:]
        length = min(len(u), len(w))
        dot = sum(p * q for p, q in zip(u[:length:3], w[:length:3], strict=True))
        norm = math.sqrt(sum(p * p for p in u[:length:3]) * sum(q * q for q in w[:length:3])) or 1
        best = max(best, dot / norm)
    return best


@pytest.mark.parametrize("frame_ms", [20, 40, 60, 80, 100, 120])
def test_round_trip_at_every_packet_time(frame_ms: opus.FrameMs) -> None:
    encoder = OpusEncoder(frame_ms=frame_ms, dtx=False)
    decoder = OpusDecoder()
    n = encoder.frame_samples
    source = b"".join(vowel(n, start) for start in range(0, 9_600, n))
    heard = b""
    for start in range(0, len(source), 2 * n):
        packet = encoder.encode(source[start : start + 2 * n])
        assert packet_samples(packet, 16_000) == n
        assert packet_samples(packet) == 3 * n
        heard += decoder.decode(packet)
    assert len(heard) == len(source)
    assert correlation(source, heard) > 0.85


def test_bitrate_and_packet_time_change_in_mid_stream() -> None:
    encoder = OpusEncoder(bitrate=24_000, frame_ms=60, dtx=False)
    big = [len(encoder.encode(vowel(960, i * 960))) for i in range(20)][10:]
    encoder.set_bitrate(8_000)
    small = [len(encoder.encode(vowel(960, i * 960))) for i in range(20, 40)][10:]
    assert sum(small) < 0.6 * sum(big)
    encoder.set_frame_ms(20)
    assert packet_samples(encoder.encode(vowel(320)), 16_000) == 320


def test_dtx_packets_are_tiny_and_silent() -> None:
    encoder = OpusEncoder(frame_ms=20)
    for i in range(25):
        encoder.encode(vowel(320, i * 320))
    noise = random.Random(1)
    quiet = [
        encoder.encode(array.array("h", [noise.randint(-3, 3) for _ in range(320)]).tobytes())
        for _ in range(60)
    ]
    assert sum(map(is_dtx, quiet)) >= 20
    decoder = OpusDecoder()
    tiny = next(packet for packet in quiet if is_dtx(packet))
    assert len(decoder.decode(tiny)) == 640


def test_fec_restores_the_lost_frame_better_than_concealment() -> None:
    encoder = OpusEncoder(bitrate=24_000, frame_ms=20, dtx=False, expected_loss_percent=20)
    frames = []
    for i in range(30):  # a sweep, so that the past does not predict the lost frame
        f = 120 + 25 * i
        frames.append(
            array.array(
                "h",
                [int(6_000 * math.sin(2 * math.pi * f * t / 16_000) * (t % 100) / 100) for t in range(320)],
            ).tobytes()
        )
    packets = [encoder.encode(frame) for frame in frames]
    assert packet_has_lbrr(packets[21])
    whole, fec, plc = OpusDecoder(), OpusDecoder(), OpusDecoder()
    for packet in packets[:20]:
        for decoder in (whole, fec, plc):
            decoder.decode(packet)
    truth = whole.decode(packets[20])
    from_fec = fec.decode_fec(packets[21], 320)
    made_up = plc.conceal(320)
    assert len(from_fec) == len(made_up) == 640
    assert correlation(truth, from_fec, 0) > correlation(truth, made_up, 0)
    assert len(fec.decode(packets[21])) == 640


def test_lbrr_flag_is_absent_without_fec_and_in_celt() -> None:
    plain = OpusEncoder(bitrate=24_000, dtx=False, fec=False)
    assert not any(packet_has_lbrr(plain.encode(vowel(320, i * 320))) for i in range(10))
    assert not packet_has_lbrr(bytes([31 << 3, 1, 2, 3]))
    assert not packet_has_lbrr(bytes([9 << 3]))


def test_lbrr_flag_of_long_and_stereo_packets() -> None:
    # wide band SILK of 60 ms: three activity bits, then the LBRR flag
    assert packet_has_lbrr(bytes([11 << 3, 0b0001_0000, 0]))
    assert not packet_has_lbrr(bytes([11 << 3, 0b1110_1111, 0]))
    # hybrid of 20 ms, stereo: activity, LBRR of mid; activity, LBRR of side
    assert packet_has_lbrr(bytes([13 << 3 | 4, 0b0001_0000, 0]))
    assert not packet_has_lbrr(bytes([13 << 3 | 4, 0b1010_1111, 0]))


def test_concealment_fades_to_silence() -> None:
    encoder, decoder = OpusEncoder(dtx=False), OpusDecoder()
    for i in range(10):
        decoder.decode(encoder.encode(vowel(320, i * 320)))
    made_up = [max(map(abs, array.array("h", decoder.conceal(320)))) for _ in range(12)]
    assert made_up[0] > 300
    assert made_up[-1] < made_up[0] / 4


@pytest.mark.parametrize("packet", [b"", b"\xff", bytes([3, 0]), bytes([0x7B, 0x3F, 1, 2]), bytes([0x4B])])
def test_corrupt_packets_raise_and_leave_the_decoder_usable(packet: bytes) -> None:
    decoder = OpusDecoder()
    with pytest.raises(OpusError):
        decoder.decode(packet)
    assert len(decoder.decode(OpusEncoder().encode(vowel(320)))) == 640


@pytest.mark.parametrize("packet", [b"", bytes([3, 0]), bytes([0x4B])])
def test_corrupt_packets_have_no_duration_and_no_lbrr(packet: bytes) -> None:
    with pytest.raises(OpusError):
        packet_samples(packet)
    with pytest.raises(OpusError):
        packet_has_lbrr(packet)


def test_random_bytes_never_do_worse_than_an_error() -> None:
    noise = random.Random(7)
    decoder = OpusDecoder()
    for _ in range(3_000):
        packet = noise.randbytes(noise.randint(1, 60))
        try:
            assert 0 < len(decoder.decode(packet)) <= 3_840
            packet_has_lbrr(packet)
        except OpusError:
            pass


@pytest.mark.parametrize("n_samples", [0, -40, 41, 1_960])
def test_only_multiples_of_two_and_a_half_ms_can_be_concealed(n_samples: int) -> None:
    decoder = OpusDecoder()
    with pytest.raises(OpusError):
        decoder.conceal(n_samples)
    with pytest.raises(OpusError):
        decoder.decode_fec(b"\x48\x00", n_samples)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(OpusError, match="frame_ms 30"):
        OpusEncoder(frame_ms=30)  # type: ignore[arg-type] # what a caller may get wrong
    with pytest.raises(OpusError, match="frame_ms 10"):
        OpusEncoder().set_frame_ms(10)  # type: ignore[arg-type] # as above
    with pytest.raises(OpusError, match="bitrate"):
        OpusEncoder(bitrate=500)
    with pytest.raises(OpusError, match="to 101"):
        OpusEncoder(expected_loss_percent=101)
    with pytest.raises(OpusError):
        OpusEncoder(sample_rate=44_100)  # type: ignore[arg-type] # as above
    with pytest.raises(OpusError):
        OpusDecoder(sample_rate=44_100)  # type: ignore[arg-type] # as above
    with pytest.raises(OpusError, match="one frame"):
        OpusEncoder().encode(bytes(600))


def test_closed_state_is_an_error_not_a_crash() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packet = encoder.encode(vowel(320))
    decoder.reset()
    for codec in (encoder, decoder):
        codec.close()
        codec.close()
    with pytest.raises(OpusError, match="closed"):
        encoder.encode(vowel(320))
    with pytest.raises(OpusError, match="closed"):
        decoder.decode(packet)
    with pytest.raises(OpusError, match="closed"):
        decoder.reset()


def test_the_native_state_goes_with_the_object() -> None:
    decoder = OpusDecoder()
    release = decoder._release
    del decoder
    gc.collect()
    assert not release.alive


def test_without_any_library_the_error_names_both_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "library_paths", lambda: ("/nonexistent/libopus.so.0",))
    opus._library.cache_clear()
    try:
        with pytest.raises(OpusUnavailable, match=r"(?s)av.libs.*libopus\.so\.0"):
            OpusDecoder()
    finally:
        opus._library.cache_clear()


def test_the_system_library_is_the_second_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opus.library_paths()[-1] == "libopus.so.0"
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert opus.library_paths() == ("libopus.so.0",)


def test_the_version_is_told() -> None:
    assert "opus" in opus.library_version()


def test_long_packets_hold_several_frames() -> None:
    packet = OpusEncoder(frame_ms=120, dtx=False).encode(vowel(1_920))
    assert packet_samples(packet, 16_000) == 1_920
    assert frame_samples(packet, 16_000) == 960
    with pytest.raises(OpusError):
        frame_samples(b"")
