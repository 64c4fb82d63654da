"""What aiortc's sender and aioice lack on a bad link; the only file of the phone with their private names.

aioice asks for consent once every 5 s and waits 0.5 s; after six failures it closes the connection, so a
healthy link with a longer round trip dies after half a minute. A browser waits for 30 s of silence (RFC 7675
section 5.1).
"""

import random
from asyncio import sleep
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from aioice.ice import CONSENT_INTERVAL, CandidatePair, Connection
from aioice.stun import TransactionError
from aiortc import RTCRtpSender

CONSENT_TRIES = 3
"""Retransmissions of a check: with 0.5 s doubling they span 7.5 s, more than any 2G round trip."""
CONSENT_LOST_S = 120.0
"""Our own page comes back after a cellar by ICE restart; this phone waits as long as the server does."""
RTP_HISTORY = "_RTCRtpSender__rtp_history"


@dataclass(slots=True)
class Retransmissions:
    """Packets that the sender still had when it was asked for them."""

    count: int = 0


def ice_connection(sender: RTCRtpSender) -> Connection:
    """The ICE connection below a sender; it exists once there is a local description."""
    return sender.transport.transport._connection


def nominated_pair(sender: RTCRtpSender) -> CandidatePair | None:
    """The pair of addresses that ICE has chosen; None before it has."""
    return next(iter(ice_connection(sender)._nominated.values()), None)


def keep_consent(sender: RTCRtpSender) -> None:
    """Replace the consent check of the sender's connection by a patient one."""
    connection = ice_connection(sender)

    async def query_consent() -> None:
        await _query_consent(connection)

    connection.query_consent = query_consent  # type: ignore[method-assign]


async def _query_consent(connection: Connection) -> None:
    assert connection.remote_password is not None
    heard = monotonic()
    while True:
        await sleep(CONSENT_INTERVAL * random.uniform(0.8, 1.2))
        for pair in list(connection._nominated.values()):
            try:
                await pair.protocol.request(
                    connection.build_request(pair, nominate=False),
                    pair.remote_addr,
                    integrity_key=connection.remote_password.encode(),
                    retransmissions=CONSENT_TRIES,
                )
                heard = monotonic()
            except TransactionError:
                continue
        if monotonic() - heard > CONSENT_LOST_S:
            connection._query_consent_task = None
            await connection.close()
            return


def rtp_origin(sender: RTCRtpSender, place_of: Callable[[bytes], int | None]) -> int | None:
    """The RTP timestamp that the sender gave to place 0 (48 kHz); None before it has sent anything.

    aiortc keeps that random number to itself, but it also keeps its last 128 packets: `place_of` knows where
    their bytes belong.
    """
    found: Counter[int] = Counter()
    for packet in getattr(sender, RTP_HISTORY).values():
        place = place_of(packet.payload)
        if place is not None:
            found[(packet.timestamp - place) % (1 << 32)] += 1
    return max(found, key=lambda origin: found[origin]) if found else None


def note_retransmissions(sender: RTCRtpSender) -> Retransmissions:
    """Count what the sender sends again. It keeps its last 128 packets."""
    noted = Retransmissions()
    resend = sender._retransmit
    history: dict[int, Any] = getattr(sender, RTP_HISTORY)

    async def retransmit(sequence_number: int) -> None:
        kept: Sequence[Any] = [p for p in history.values() if p.sequence_number == sequence_number]
        if kept:
            noted.count += 1
            await resend(sequence_number)

    sender._retransmit = retransmit  # type: ignore[method-assign]
    return noted
