"""Listens on the stack's own bus: which samples the ingest publishes, how they came to be, and when."""

import time
from types import TracebackType
from typing import Self

from fieldcoach.common.audio import unpack_chunk
from fieldcoach.common.bus import Bus
from fieldcoach.common.messages import BackfillAudio
from fieldcoach.common.telemetry import Headers

from ..stack.plan import REGION
from .delivered import Stretch
from .speech_share import sounding

_ALL_AUDIO = f"fc.v1.{REGION}.audio.*.*"
"""Every session at every worker; a wildcard that no service has a use for."""

_ALL_BACKFILL = f"fc.v1.{REGION}.asr.backfill.*"
"""Sound of missing ranges that came afterwards, to every worker."""


class AudioTap:
    """By session. The sound itself is not kept."""

    def __init__(self, nats_url: str) -> None:
        self._bus = Bus(nats_url, REGION, "bench")
        self._sessions: dict[str, list[Stretch]] = {}
        self._late: dict[str, list[Stretch]] = {}
        self._piece_ends: dict[tuple[str, int], int] = {}

    async def __aenter__(self) -> Self:
        await self._bus.connect()
        await self._bus.subscribe(_ALL_AUDIO, self._take)
        await self._bus.subscribe(_ALL_BACKFILL, self._take_late)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._bus.drain()

    def of(self, session: str) -> list[Stretch]:
        """What has come of a session."""
        return self._sessions.get(session, [])

    def late_of(self, session: str) -> list[Stretch]:
        """What of a session went to be transcribed afterwards."""
        return self._late.get(session, [])

    def _take(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        arrival = time.monotonic()
        chunk = unpack_chunk(payload)
        stretch = Stretch(chunk.sample_index, chunk.n_samples, chunk.flags, arrival)
        self._sessions.setdefault(chunk.session, []).append(stretch)

    def _take_late(self, _subject: str, payload: bytes, _headers: Headers) -> None:
        audio = BackfillAudio.decode(payload)
        place = (audio.session, audio.range)
        # a range comes in pieces; one that failed comes again from the first
        first = self._piece_ends.get(place, audio.first_sample) if audio.piece else audio.first_sample
        self._piece_ends[place] = first + len(audio.pcm) // 2
        self._late.setdefault(audio.session, []).extend(sounding(first, audio.pcm, time.monotonic()))
