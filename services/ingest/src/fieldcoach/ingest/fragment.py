"""Trickle ICE fragments (RFC 8840, RFC 9725 section 4.3): text in, data out, and our own as text. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp, candidate_to_sdp

from fieldcoach.common.messages import MAX_SDP_BYTES, Problem

from .errors import OfferRejected
from .negotiation import LocalTransport, Offer, usable_candidates

UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
PWD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
"""RFC 8839 section 5.4."""


@dataclass(frozen=True, slots=True)
class IceFragment:
    """What a `PATCH` says: credentials (empty if it names none) and candidates."""

    ufrag: str
    pwd: str
    candidates: tuple[RTCIceCandidate, ...]


def parse_fragment(text: str) -> IceFragment:
    """Check and read a fragment. Other lines than ours are passed over, as RFC 8840 section 9 wants.

    Raises:
        OfferRejected: `bad-sdp`.
    """
    if len(text.encode("utf-8", "replace")) > MAX_SDP_BYTES:
        raise _bad("more than 64 KiB", "body")
    ufrag = pwd = ""
    candidates: list[RTCIceCandidate] = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(":")
        match name:
            case "a=ice-ufrag":
                # the bundle has one transport, so that a second m-line may only repeat the first
                if not UFRAG.fullmatch(value) or ufrag not in ("", value):
                    raise _bad("no usable ICE user name", "a=ice-ufrag")
                ufrag = value
            case "a=ice-pwd":
                if not PWD.fullmatch(value) or pwd not in ("", value):
                    raise _bad("no usable ICE password", "a=ice-pwd")
                pwd = value
            case "a=candidate":
                candidates.append(_candidate(value))
    if not ufrag and not candidates and "a=end-of-candidates" not in text:
        raise _bad("neither credentials nor candidates", "body")
    return IceFragment(ufrag, pwd, usable_candidates(candidates))


def write_fragment(offer: Offer, local: LocalTransport) -> str:
    """Our side after an ICE restart: new credentials, the same addresses."""
    audio = offer.sections[offer.audio]
    lines = [f"a=group:BUNDLE {audio.mid}"] if offer.is_bundled else []
    lines.append(f"m={audio.kind} 9 {audio.protocol} {offer.payload_type}")
    if audio.mid:
        lines.append(f"a=mid:{audio.mid}")
    lines += [f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.pwd}"]
    lines += _candidate_lines(local.candidates)
    return "\r\n".join([*lines, "a=end-of-candidates", ""])


def _candidate_lines(candidates: Sequence[RTCIceCandidate]) -> list[str]:
    return [f"a=candidate:{candidate_to_sdp(candidate)}" for candidate in candidates]


def _candidate(value: str) -> RTCIceCandidate:
    try:
        return candidate_from_sdp(value)
    except Exception as error:  # an assertion, a ValueError or an IndexError, by where the text is cut
        raise _bad(f"a candidate can't be parsed ({type(error).__name__})", "a=candidate") from error


def _bad(detail: str, field: str) -> OfferRejected:
    return OfferRejected(
        Problem(
            type="bad-sdp",
            title="The ICE fragment can't be used",
            status=400,
            detail=detail,
            field=field,
            fix="send application/trickle-ice-sdpfrag as RFC 8840 has it",
        )
    )
