"""Offer in, answer out (RFC 8829, RFC 9725): pure text and data, no transport.

aiortc's parser raises six exception classes on bad text; here all of them are one problem that names the
line and the fix. The answer is written here, since aiortc's carries no Opus parameters and no packet time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiortc import RTCIceCandidate
from aiortc.rtcdtlstransport import RTCDtlsFingerprint
from aiortc.sdp import MediaDescription, SessionDescription, candidate_to_sdp

from fieldcoach.common.messages import MAX_SDP_BYTES, Problem

from .errors import OfferRejected
from .profile import MAX_PTIME_MS, SendProfile

MAX_CANDIDATES: Final = 20
"""More candidates only make ICE slower: a phone has three to six."""
MAX_SECTIONS: Final = 16
"""m-lines of an offer; a page of ours sends one."""
FINGERPRINTS: Final = ("sha-256", "sha-384", "sha-512")
"""What the DTLS transport can compare (RFC 8122 forbids the older ones)."""
OPUS_RATE: Final = 48_000
OPUS_CHANNELS: Final = 2
"""RFC 7587 section 4.1: always named opus/48000/2, whatever is coded."""


@dataclass(frozen=True, slots=True)
class Section:
    """One m-line of the offer, as far as the answer repeats it."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What an offer says about its one audio section that we take."""

    sections: tuple[Section, ...]
    audio: int
    payload_type: int
    ssrcs: tuple[int, ...]
    ice_ufrag: str
    ice_pwd: str
    ice_lite: bool
    fingerprints: tuple[RTCDtlsFingerprint, ...]
    setup: str
    candidates: tuple[RTCIceCandidate, ...]
    is_bundled: bool
    has_nack: bool
    """The phone sends lost audio again when asked (`a=rtcp-fb:… nack`)."""

    @property
    def answer_setup(self) -> str:
        """Our DTLS role. Where we may choose we are active: it saves a round trip (RFC 8842 section 5.3)."""
        return "passive" if self.setup == "active" else "active"


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """Our side of ICE and DTLS."""

    ufrag: str
    pwd: str
    fingerprints: Sequence[RTCDtlsFingerprint]
    candidates: Sequence[RTCIceCandidate]


def parse_offer(text: str) -> Offer:
    """Check and read an offer.

    Raises:
        OfferRejected: `bad-sdp`, `no-audio` or `unsupported-codec`.
    """
    if len(text.encode("utf-8", "replace")) > MAX_SDP_BYTES:
        raise _bad_sdp("more than 64 KiB", "body", "offer one audio section and few candidates")
    if not text.lstrip().startswith("v=0"):
        raise _bad_sdp("it does not begin with v=0", "v=", "send the SDP offer as it is")
    try:
        description = SessionDescription.parse(text)
    except Exception as error:  # six unrelated classes on mutated text, some of them without a message
        raise _bad_sdp(
            f"it can't be parsed ({type(error).__name__})", "body", "send the SDP offer as it is"
        ) from error
    media = description.media
    if len(media) > MAX_SECTIONS:
        raise _bad_sdp(f"{len(media)} m-lines", "m=", f"offer at most {MAX_SECTIONS}")
    index, audio = _choose_audio(media)
    payload_type = _opus_payload_type(audio)
    bundle = next((group for group in description.group if group.semantic == "BUNDLE"), None)
    is_bundled = bundle is not None and audio.rtp.muxId in bundle.items
    transport = _transport_section(media, audio, str(bundle.items[0]) if bundle and is_bundled else None)
    _check_transport(transport)
    if not audio.rtcp_mux:
        raise _bad_sdp("the audio section has no RTCP multiplexing", "a=rtcp-mux", "offer a=rtcp-mux")
    assert transport.ice is not None
    assert transport.dtls is not None
    return Offer(
        sections=tuple(
            Section(m.kind, m.profile, tuple(str(fmt) for fmt in m.fmt), m.rtp.muxId) for m in media
        ),
        audio=index,
        payload_type=payload_type,
        ssrcs=tuple(source.ssrc for source in audio.ssrc),
        ice_ufrag=transport.ice.usernameFragment or "",
        ice_pwd=transport.ice.password or "",
        ice_lite=transport.ice.iceLite,
        fingerprints=tuple(transport.dtls.fingerprints),
        setup={"client": "active", "server": "passive"}.get(transport.dtls.role, "actpass"),
        candidates=usable_candidates(transport.ice_candidates),
        is_bundled=is_bundled,
        has_nack=_has_nack(audio, payload_type),
    )


def usable_candidates(candidates: Sequence[RTCIceCandidate]) -> tuple[RTCIceCandidate, ...]:
    """UDP candidates of the first component with a real address, at most 20.

    A `.local` name would cost a second of multicast DNS each, and is of no use across a network; such a
    phone is found by its own checks (peer-reflexive).
    """
    usable = [
        candidate
        for candidate in candidates
        if candidate.protocol.lower() == "udp"
        and candidate.component == 1
        and not candidate.ip.lower().endswith(".local")
    ]
    return tuple(usable[:MAX_CANDIDATES])


def write_answer(offer: Offer, local: LocalTransport, profile: SendProfile, session_number: int) -> str:
    """The SDP answer: audio received as `profile` says, every other section refused."""
    lines = ["v=0", f"o=- {session_number} 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if offer.is_bundled:
        lines.append(f"a=group:BUNDLE {offer.sections[offer.audio].mid}")
    for index, section in enumerate(offer.sections):
        lines += (
            _audio_section(offer, section, local, profile)
            if index == offer.audio
            else _refused_section(section)
        )
    return "\r\n".join(lines) + "\r\n"


def _audio_section(offer: Offer, section: Section, local: LocalTransport, profile: SendProfile) -> list[str]:
    default = local.candidates[0] if local.candidates else None
    port = default.port if default else 9
    host = default.ip if default else "0.0.0.0"
    family = "IP6" if ":" in host else "IP4"
    payload_type = offer.payload_type
    lines = [f"m=audio {port} {section.protocol} {payload_type}", f"c=IN {family} {host}"]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    lines += [
        "a=recvonly",
        "a=rtcp-mux",
        f"a=rtpmap:{payload_type} opus/{OPUS_RATE}/{OPUS_CHANNELS}",
        *([f"a=rtcp-fb:{payload_type} nack"] if offer.has_nack else []),
        f"a=fmtp:{payload_type} {profile.format_parameters()}",
        f"a=ptime:{profile.ptime_ms}",
        f"a=maxptime:{MAX_PTIME_MS}",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.pwd}",
    ]
    lines += [f"a=fingerprint:{f.algorithm} {f.value}" for f in local.fingerprints]
    lines.append(f"a=setup:{offer.answer_setup}")
    lines += [f"a=candidate:{candidate_to_sdp(candidate)}" for candidate in local.candidates]
    lines.append("a=end-of-candidates")
    return lines


def _refused_section(section: Section) -> list[str]:
    # RFC 3264 section 6: port zero refuses; the formats stand there all the same
    lines = [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0"]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    return [*lines, "a=inactive"]


def _choose_audio(media: Sequence[MediaDescription]) -> tuple[int, MediaDescription]:
    audio = [(index, m) for index, m in enumerate(media) if m.kind == "audio"]
    if not audio:
        raise _problem(
            "no-audio", "The offer has no audio", "no m=audio line", "m=audio", "add the microphone"
        )
    for index, section in audio:
        # a bundle-only section has port zero too (RFC 8843 section 6), and then ICE parameters or none;
        # no client puts its only audio there, so port zero means refused
        if section.direction not in ("recvonly", "inactive") and section.port != 0:
            return index, section
    raise _problem(
        "no-audio",
        "The offer sends no audio",
        "every m=audio line is recvonly, inactive or refused",
        "a=sendonly",
        "offer the microphone as sendonly or sendrecv",
    )


def _opus_payload_type(audio: MediaDescription) -> int:
    for codec in audio.rtp.codecs:
        if (
            codec.mimeType.lower() == "audio/opus"
            and codec.clockRate == OPUS_RATE
            and codec.payloadType is not None
            and codec.payloadType in audio.fmt
        ):
            return codec.payloadType
    raise _problem(
        "unsupported-codec",
        "The offer has no Opus",
        "the audio section offers no opus/48000/2",
        "a=rtpmap",
        "offer opus/48000/2",
    )


def _has_nack(audio: MediaDescription, payload_type: int) -> bool:
    return any(
        feedback.type == "nack" and not feedback.parameter  # "nack pli" is for video
        for codec in audio.rtp.codecs
        if codec.payloadType == payload_type
        for feedback in codec.rtcpFeedback
    )


def _transport_section(
    media: Sequence[MediaDescription], audio: MediaDescription, bundle_mid: str | None
) -> MediaDescription:
    """Where the audio's ICE and DTLS stand: its own section, or the first of its bundle (RFC 8843)."""
    has_own = audio.ice is not None and audio.ice.usernameFragment and audio.dtls is not None
    if has_own or bundle_mid is None:
        return audio
    return next((m for m in media if m.rtp.muxId == bundle_mid), audio)


def _check_transport(section: MediaDescription) -> None:
    if "RTP/SAVP" not in section.profile and section.kind == "audio":
        raise _bad_sdp(f"{section.profile} is not encrypted", "m=audio", "offer UDP/TLS/RTP/SAVPF")
    if section.ice is None or not section.ice.usernameFragment or not section.ice.password:
        raise _bad_sdp("no ICE credentials", "a=ice-ufrag, a=ice-pwd", "offer both")
    if section.dtls is None:
        raise _bad_sdp("no DTLS role", "a=setup", "offer a=setup:actpass")
    if not any(f.algorithm.lower() in FINGERPRINTS for f in section.dtls.fingerprints):
        raise _bad_sdp("no usable fingerprint", "a=fingerprint", "offer a sha-256 fingerprint")


def _bad_sdp(detail: str, field: str, fix: str) -> OfferRejected:
    return _problem("bad-sdp", "The SDP offer can't be used", detail, field, fix)


def _problem(kind: str, title: str, detail: str, field: str, fix: str) -> OfferRejected:
    return OfferRejected(Problem(type=kind, title=title, status=400, detail=detail, field=field, fix=fix))
