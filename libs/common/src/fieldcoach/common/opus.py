"""libopus by ctypes: decode to any rate, with in-band FEC and concealment, and encode at a given rung.

PyAV can do neither FEC nor concealment nor 16 kHz; `opuslib` is unmaintained. The library is the copy that
PyAV's wheel carries, else the system's `libopus.so.0`. PCM is always s16 little endian, interleaved.

FieldCoachError
├── OpusUnavailable        no libopus on this machine
└── OpusError              libopus refused a packet, a frame or a setting
"""

import ctypes
import importlib.util
import sys
import weakref
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from .errors import FieldCoachError

SYSTEM_LIBRARY: Final = "libopus.so.0"
MAX_PACKET_MS: Final = 120
"""RFC 6716 section 3.2.5: a packet holds at most 120 ms."""
MAX_PACKET_BYTES: Final = 1_275 * 6
"""RFC 6716 sections 3.2.1 and 3.4: at most 1,275 bytes a frame; 120 ms in frames of 20 ms are six."""
MAX_DTX_BYTES: Final = 2
"""opus.h: what `opus_encode` returns as 2 bytes or less need not be sent, it is silence."""

SampleRate = Literal[8_000, 12_000, 16_000, 24_000, 48_000]
FrameMs = Literal[20, 40, 60, 80, 100, 120]

# opus_defines.h
_APPLICATION_VOIP: Final = 2_048
_SIGNAL_VOICE: Final = 3_001
_BANDWIDTH_WIDEBAND: Final = 1_103
_SET_BITRATE: Final = 4_002
_SET_MAX_BANDWIDTH: Final = 4_004
_SET_COMPLEXITY: Final = 4_010
_SET_INBAND_FEC: Final = 4_012
_SET_PACKET_LOSS_PERC: Final = 4_014
_SET_DTX: Final = 4_016
_SET_SIGNAL: Final = 4_024
_RESET_STATE: Final = 4_028
_MAX_FRAMES: Final = 48  # RFC 6716 section 3.2.5: 120 ms in frames of 2.5 ms

_Int16Pointer = ctypes.POINTER(ctypes.c_int16)


class OpusUnavailable(FieldCoachError):
    """Neither place has a libopus; the message names both and the fix."""


class OpusError(FieldCoachError):
    """libopus said no. `operation` is what was asked, `code` its error number (opus_defines.h), 0 if ours."""

    def __init__(self, operation: str, code: int = 0, detail: str = "") -> None:
        reason = detail or (_library().opus_strerror(code).decode() if code else "refused")
        super().__init__(f"{operation}: {reason}")
        self.operation = operation
        self.code = code


def library_paths() -> tuple[str, ...]:
    """Where libopus is looked for, in order. PyAV is found, not imported: that would load all of FFmpeg."""
    bundled: list[str] = []
    spec = importlib.util.find_spec("av")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent.parent / "av.libs"
        bundled = sorted(str(path) for path in folder.glob("libopus*"))
    return (*bundled, SYSTEM_LIBRARY)


@cache
def _library() -> ctypes.CDLL:
    for path in library_paths():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        _declare(library)
        return library
    raise OpusUnavailable(
        f"no libopus: neither in the wheel of PyAV (av.libs/libopus*) nor as {SYSTEM_LIBRARY}; "
        "install the wheel `av` or the system package (Debian: libopus0)"
    )


def _declare(library: ctypes.CDLL) -> None:
    c_int, c_int32, c_char_p, c_void_p = ctypes.c_int, ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p
    int_pointer = ctypes.POINTER(c_int)
    # the `_ctl` functions are variadic: only their fixed arguments are declared
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "opus_decoder_create": (c_void_p, [c_int32, c_int, int_pointer]),
        "opus_decoder_ctl": (c_int, [c_void_p, c_int]),
        "opus_decoder_destroy": (None, [c_void_p]),
        "opus_decode": (c_int, [c_void_p, c_char_p, c_int32, _Int16Pointer, c_int, c_int]),
        "opus_encoder_create": (c_void_p, [c_int32, c_int, c_int, int_pointer]),
        "opus_encoder_ctl": (c_int, [c_void_p, c_int]),
        "opus_encoder_destroy": (None, [c_void_p]),
        "opus_encode": (c_int32, [c_void_p, c_char_p, c_int, c_void_p, c_int32]),
        "opus_packet_get_nb_samples": (c_int, [c_char_p, c_int32, c_int32]),
        "opus_packet_get_samples_per_frame": (c_int, [c_char_p, c_int32]),
        "opus_packet_parse": (
            c_int,
            [c_char_p, c_int32, c_void_p, ctypes.POINTER(c_void_p), _Int16Pointer, int_pointer],
        ),
        "opus_strerror": (c_char_p, [c_int]),
        "opus_get_version_string": (c_char_p, []),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def library_version() -> str:
    """What the loaded library calls itself, e.g. `libopus 1.6.1`.

    Raises:
        OpusUnavailable: there is none.
    """
    version: bytes = _library().opus_get_version_string()
    return version.decode()


def packet_samples(packet: bytes, sample_rate: int = 48_000) -> int:
    """Duration of a packet at `sample_rate`, from its table-of-contents byte; ptime is not to be trusted.

    Raises:
        OpusError: an empty packet, a wrong frame count, or more than 120 ms.
    """
    samples = _head_samples(packet[:2], sample_rate)
    if samples < 0:
        raise OpusError("packet", samples)
    if samples == 0:
        raise OpusError("packet", detail="a frame count of zero")
    return samples


@lru_cache(maxsize=1_024)
def _head_samples(head: bytes, sample_rate: int) -> int:
    """RFC 6716 section 3: the first two bytes tell all. A phone sends few kinds, and libopus costs 0.6 µs."""
    samples: int = _library().opus_packet_get_nb_samples(head, len(head), sample_rate)
    return samples


def frame_samples(packet: bytes, sample_rate: int = 48_000) -> int:
    """Duration of one frame of a packet: what its redundancy can restore of the packet before.

    Raises:
        OpusError: an empty packet.
    """
    if not packet:
        raise OpusError("packet", detail="empty packet")
    samples: int = _library().opus_packet_get_samples_per_frame(packet, sample_rate)
    return samples


def packet_has_lbrr(packet: bytes) -> bool:
    """Whether the packet carries low bit-rate redundancy: FEC for the frame before it.

    RFC 6716 sections 4.2.3 and 4.2.4: the LBRR flag follows one voice-activity bit per 20 ms SILK frame.

    Raises:
        OpusError: not an Opus packet.
    """
    frames = (ctypes.c_void_p * _MAX_FRAMES)()
    sizes = (ctypes.c_int16 * _MAX_FRAMES)()
    count = _library().opus_packet_parse(packet, len(packet), None, frames, sizes, None)
    if count < 0:
        raise OpusError("packet", count)
    config = packet[0] >> 3
    if config >= 16 or sizes[0] == 0:  # RFC 6716 table 2: CELT only, which has no LBRR; or an empty frame
        return False
    # configurations 12 to 15 are hybrid, of 10 and 20 ms; below them SILK, of 10, 20, 40 and 60 ms
    silk_frames = 1 if config >= 12 else max(1, config % 4)
    first = ctypes.cast(frames[0] or 0, ctypes.POINTER(ctypes.c_uint8))[0]
    is_stereo = bool(packet[0] & 4)
    has_mid = (first >> (7 - silk_frames)) & 1
    has_side = is_stereo and (first >> (6 - 2 * silk_frames)) & 1
    return bool(has_mid or has_side)


def is_dtx(packet: bytes) -> bool:
    """Whether the packet says only "silence": nothing but its table-of-contents byte."""
    return len(packet) <= MAX_DTX_BYTES


class OpusDecoder:
    """One stream's decoder. It keeps state from packet to packet, so feed it in order; not thread-safe."""

    def __init__(self, sample_rate: SampleRate = 16_000, channels: Literal[1, 2] = 1) -> None:
        """Make a decoder.

        Raises:
            OpusUnavailable: no libopus.
            OpusError: a sample rate or channel count that Opus does not have.
        """
        library = _library()
        error = ctypes.c_int()
        state = library.opus_decoder_create(sample_rate, channels, ctypes.byref(error))
        if error.value != 0 or not state:
            raise OpusError("decoder", error.value)
        self.sample_rate = sample_rate
        self.channels = channels
        self._library = library
        self._state = state
        self._max_samples = sample_rate * MAX_PACKET_MS // 1_000
        self._frame_unit = sample_rate // 400  # 2.5 ms: what libopus conceals in
        self._pcm = (ctypes.c_int16 * (self._max_samples * channels))()
        self._pcm_bytes = memoryview(self._pcm).cast("B")
        self._release = weakref.finalize(self, library.opus_decoder_destroy, state)
        self._is_closed = False

    def decode(self, packet: bytes) -> bytes:
        """The PCM of one packet.

        Raises:
            OpusError: corrupt; the decoder's state is unharmed.
        """
        if not packet:  # libopus takes an empty packet for a lost one
            raise OpusError("decode", detail="empty packet")
        return self._decode(packet, self._max_samples, 0)

    def decode_fec(self, next_packet: bytes, n_samples: int) -> bytes:
        """`n_samples` that were lost just before `next_packet`, from its redundancy.

        Without redundancy in the packet, or for more than its one frame, libopus conceals the rest. Decode
        `next_packet` itself afterwards.

        Raises:
            OpusError: corrupt, or `n_samples` is over 120 ms or not a multiple of 2.5 ms.
        """
        self._check_frame(n_samples)
        return self._decode(next_packet, n_samples, 1)

    def conceal(self, n_samples: int) -> bytes:
        """`n_samples` made up from what came before (packet loss concealment); it fades within 60 ms.

        Raises:
            OpusError: `n_samples` is over 120 ms or not a multiple of 2.5 ms.
        """
        self._check_frame(n_samples)
        return self._decode(None, n_samples, 0)

    def reset(self) -> None:
        """Forget the past, as for a new stream."""
        self._require_open()
        self._library.opus_decoder_ctl(self._state, _RESET_STATE)

    def close(self) -> None:
        """Free the native state now; else it goes with the object."""
        self._is_closed = True
        self._release()

    def _check_frame(self, n_samples: int) -> None:
        if not 0 < n_samples <= self._max_samples or n_samples % self._frame_unit:
            raise OpusError("conceal", detail=f"{n_samples} samples are no multiple of 2.5 ms up to 120 ms")

    def _decode(self, packet: bytes | None, max_samples: int, fec: int) -> bytes:
        self._require_open()
        size = 0 if packet is None else len(packet)
        samples = self._library.opus_decode(self._state, packet, size, self._pcm, max_samples, fec)
        if samples < 0:
            raise OpusError("decode", samples)
        return _little_endian(bytes(self._pcm_bytes[: samples * self.channels * 2]))

    def _require_open(self) -> None:
        if self._is_closed:  # a call with freed state would crash the process
            raise OpusError("decode", detail="closed")


class OpusEncoder:
    """One stream's encoder: VOIP application, voice, at most wide band. Not thread-safe."""

    def __init__(
        self,
        sample_rate: SampleRate = 16_000,
        channels: Literal[1, 2] = 1,
        bitrate: int = 16_000,
        frame_ms: FrameMs = 20,
        dtx: bool = True,
        fec: bool = True,
        expected_loss_percent: int = 0,
        complexity: int = 9,
    ) -> None:
        """Make an encoder. Packets of 80 to 120 ms need libopus 1.2.

        `complexity` 9 is what browsers use for voice on a computer; the range is 0 to 10.

        Raises:
            OpusUnavailable: no libopus.
            OpusError: a value that Opus does not have.
        """
        if frame_ms not in (20, 40, 60, 80, 100, 120):
            raise OpusError("encoder", detail=f"frame_ms {frame_ms} is none of 20, 40, 60, 80, 100, 120")
        library = _library()
        error = ctypes.c_int()
        state = library.opus_encoder_create(sample_rate, channels, _APPLICATION_VOIP, ctypes.byref(error))
        if error.value != 0 or not state:
            raise OpusError("encoder", error.value)
        self.sample_rate = sample_rate
        self.channels = channels
        self.frame_ms = frame_ms
        self.frame_samples = sample_rate * frame_ms // 1_000
        self._library = library
        self._state = state
        self._out = ctypes.create_string_buffer(MAX_PACKET_BYTES)
        self._release = weakref.finalize(self, library.opus_encoder_destroy, state)
        self._set(_SET_SIGNAL, _SIGNAL_VOICE)
        self._set(_SET_MAX_BANDWIDTH, _BANDWIDTH_WIDEBAND)
        self._set(_SET_COMPLEXITY, complexity)
        self._set(_SET_INBAND_FEC, int(fec))
        self._set(_SET_DTX, int(dtx))
        self.set_expected_loss(expected_loss_percent)
        self.set_bitrate(bitrate)

    def set_bitrate(self, bits_per_second: int) -> None:
        """Change the bitrate from the next frame on (6,000 to 510,000).

        Raises:
            OpusError: out of range.
        """
        if not 6_000 <= bits_per_second <= 510_000:
            raise OpusError("bitrate", detail=f"{bits_per_second} is not within 6000 and 510000")
        self._set(_SET_BITRATE, bits_per_second)

    def set_expected_loss(self, percent: int) -> None:
        """Tell the expected packet loss, by which the encoder weighs its FEC.

        Raises:
            OpusError: not 0 to 100.
        """
        self._set(_SET_PACKET_LOSS_PERC, percent)

    def set_frame_ms(self, frame_ms: FrameMs) -> None:
        """Change the packet time from the next frame on.

        Raises:
            OpusError: no packet time of ours.
        """
        if frame_ms not in (20, 40, 60, 80, 100, 120):
            raise OpusError("encoder", detail=f"frame_ms {frame_ms} is none of 20, 40, 60, 80, 100, 120")
        self.frame_ms = frame_ms
        self.frame_samples = self.sample_rate * frame_ms // 1_000

    def encode(self, pcm: bytes) -> bytes:
        """One packet from exactly one frame of PCM; at most `MAX_DTX_BYTES` long in DTX.

        Raises:
            OpusError: not one frame.
        """
        self._require_open()
        if len(pcm) != 2 * self.channels * self.frame_samples:
            expected = 2 * self.channels * self.frame_samples
            raise OpusError("encode", detail=f"{len(pcm)} bytes are not one frame of {expected}")
        size = self._library.opus_encode(
            self._state, _little_endian(pcm), self.frame_samples, self._out, MAX_PACKET_BYTES
        )
        if size < 0:
            raise OpusError("encode", size)
        return self._out.raw[:size]

    def close(self) -> None:
        """Free the native state now; else it goes with the object."""
        self._release()

    def _set(self, request: int, value: int) -> None:
        self._require_open()
        code = self._library.opus_encoder_ctl(self._state, request, ctypes.c_int32(value))
        if code != 0:
            raise OpusError(f"setting {request} to {value}", code)

    def _require_open(self) -> None:
        if not self._release.alive:
            raise OpusError("encode", detail="closed")


def _little_endian(pcm: bytes) -> bytes:
    if sys.byteorder == "little":
        return pcm
    swapped = bytearray(pcm)
    swapped[0::2], swapped[1::2] = pcm[1::2], pcm[0::2]
    return bytes(swapped)
