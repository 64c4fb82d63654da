"""One RTP stream from packets to sound: jitter buffer and decoder, onto the session's timeline."""

from collections.abc import Callable
from typing import Final

from fieldcoach.common.audio import SAMPLE_RATE, Flag
from fieldcoach.common.opus import OpusDecoder, OpusError, is_dtx, packet_samples

from .jitter import CONCEAL_UNIT, RTP_RATE, AudioPacket, Frame, FrameKind, JitterBuffer
from .timeline import TICKS_PER_SAMPLE, Timeline

_CONCEAL_SAMPLES: Final = CONCEAL_UNIT // TICKS_PER_SAMPLE
_OK: Final = Flag.OK
_DTX: Final = Flag.DTX


class AudioStream:
    """Belongs to one SSRC of one peer connection. `break_reason` says why there is a hole before it.

    `count` is told what becomes of each packet, as by the jitter buffer; `undecodable` is one whose header
    was sound and whose body was not.
    """

    def __init__(
        self,
        timeline: Timeline,
        count: Callable[[str, int], None],
        break_reason: str = "reconnected",
        has_nack: bool = False,
    ) -> None:
        self._timeline = timeline
        self._count = count
        self._jitter = JitterBuffer(count, has_nack)
        self._decoder = OpusDecoder(SAMPLE_RATE)
        self._is_idle = False
        timeline.break_off(break_reason)

    @property
    def is_idle(self) -> bool:
        """Whether only a packet can change anything, as mostly."""
        return self._is_idle

    @property
    def next_due(self) -> float | None:
        """When `poll` has something to do."""
        return self._jitter.next_due

    def hold(self, longest_silence_s: float | None) -> None:
        """While the phone may hold sound back, a longer silence than this is a hole; None: it does not."""
        ticks = None if longest_silence_s is None else round(longest_silence_s * RTP_RATE)
        self._jitter.longest_silence = ticks

    @property
    def is_asking(self) -> bool:
        """Whether `nacks` may have something, now or soon."""
        return self._jitter.is_asking

    def push(self, packet: AudioPacket) -> bool:
        """A packet arrived; says whether it came because it was asked for."""
        position = self._jitter.next_in_order(packet)
        if position is not None:
            is_silent = is_dtx(packet.payload)
            flags = _DTX if is_silent else _OK
            try:
                pcm = self._decoder.decode(packet.payload)
            except OpusError:
                pcm, flags = self._undecodable(packet_samples(packet.payload, SAMPLE_RATE))
            self._timeline.audio(position, pcm, flags, packet.arrival)
            self._is_idle = not is_silent
            return False
        self._is_idle = False
        repaired = self._jitter.repaired
        frames = self._jitter.push(packet)
        if frames:
            self._play(frames)
        return self._jitter.repaired != repaired

    def nacks(self, now: float, rtt: float | None) -> list[int]:
        """The sequence numbers to ask for now; `rtt` in seconds, as the connection knows it."""
        return self._jitter.nacks(now, rtt)

    def poll(self, now: float) -> None:
        """Time has passed."""
        self._play(self._jitter.poll(now))

    def close(self, now: float) -> None:
        """Play what is held and free the decoder. The stream is of no use afterwards."""
        self._play(self._jitter.flush(now))
        self._timeline.cut()
        self._decoder.close()

    def _play(self, frames: list[Frame]) -> None:
        for frame in frames:
            match frame.kind:
                case FrameKind.SILENCE:
                    self._timeline.silence(frame.timestamp + frame.duration, frame.arrival)
                case FrameKind.GAP:
                    self._timeline.lost(frame.timestamp + frame.duration)
                case FrameKind.HELD:
                    self._timeline.lost(frame.timestamp + frame.duration, "held")
                case FrameKind.RESTART:
                    self._decoder.reset()
                    self._timeline.break_off("restarted")
                case _:
                    pcm, flags = self._decode(frame)
                    self._timeline.audio(frame.timestamp, pcm, flags, frame.arrival)

    def _decode(self, frame: Frame) -> tuple[bytes, Flag]:
        n_samples = frame.duration // TICKS_PER_SAMPLE
        try:
            if frame.kind is FrameKind.PACKET:
                if is_dtx(frame.payload):
                    return self._decoder.decode(frame.payload), Flag.DTX
                return self._decoder.decode(frame.payload), Flag.NACK if frame.is_repaired else Flag.OK
            if frame.kind is FrameKind.FEC:
                return self._decoder.decode_fec(frame.payload, n_samples), Flag.FEC
        except OpusError:
            return self._undecodable(n_samples)
        return self._conceal(n_samples)

    def _undecodable(self, n_samples: int) -> tuple[bytes, Flag]:
        self._count("undecodable", 1)
        return self._conceal(n_samples)

    def _conceal(self, n_samples: int) -> tuple[bytes, Flag]:
        whole = max(_CONCEAL_SAMPLES, n_samples // _CONCEAL_SAMPLES * _CONCEAL_SAMPLES)
        return self._decoder.conceal(whole), Flag.PLC
