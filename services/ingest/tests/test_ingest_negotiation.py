"""Offers and answers as text."""

import random

import pytest
from aiortc.rtcdtlstransport import RTCDtlsFingerprint
from aiortc.rtcicetransport import RTCIceCandidate
from aiortc.sdp import SessionDescription

from fieldcoach.ingest.errors import OfferRejected
from fieldcoach.ingest.negotiation import LocalTransport, parse_offer, write_answer
from fieldcoach.ingest.profile import START

FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
HEAD = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1 2"]
TRANSPORT = ["a=ice-ufrag:Abcd", "a=ice-pwd:" + "p" * 24, FINGERPRINT, "a=setup:actpass"]
AUDIO = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0",
    "c=IN IP4 0.0.0.0",
    *TRANSPORT,
    "a=mid:0",
    "a=sendonly",
    "a=rtcp-mux",
    "a=rtpmap:111 opus/48000/2",
    "a=rtcp-fb:111 transport-cc",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:63 red/48000/2",
    "a=fmtp:63 111/111",
    "a=rtpmap:0 PCMU/8000",
    "a=ssrc:1234 cname:x",
    "a=candidate:1 1 udp 2113937151 0a1b.local 5000 typ host",
    "a=candidate:2 1 udp 2113937150 192.0.2.9 5001 typ host",
    "a=candidate:3 1 tcp 2113937149 192.0.2.9 9 typ host tcptype active",
    "a=candidate:4 2 udp 2113937148 192.0.2.9 5002 typ host",
]
VIDEO = [
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "c=IN IP4 0.0.0.0",
    *TRANSPORT,
    "a=mid:1",
    "a=sendrecv",
    "a=rtcp-mux",
    "a=rtpmap:96 VP8/90000",
]
DATA = [
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    *TRANSPORT,
    "a=mid:2",
    "a=sctp-port:5000",
]
LOCAL = LocalTransport(
    "ufra",
    "p" * 22,
    [RTCDtlsFingerprint("sha-256", ":".join(["CD"] * 32))],
    [RTCIceCandidate(1, "f", "127.0.0.1", 40_000, 1, "udp", "host")],
)


def text(*sections: list[str]) -> str:
    return "\r\n".join(line for section in sections for line in section) + "\r\n"


def without(section: list[str], start: str) -> list[str]:
    return [line for line in section if not line.startswith(start)]


def changed(section: list[str], old: str, new: str) -> list[str]:
    return [line.replace(old, new) for line in section]


def test_a_browsers_offer_is_understood() -> None:
    offer = parse_offer(text(HEAD, AUDIO, VIDEO, DATA))
    assert (offer.audio, offer.payload_type, offer.ssrcs) == (0, 111, (1234,))
    assert (offer.ice_ufrag, offer.setup, offer.ice_lite, offer.is_bundled) == (
        "Abcd",
        "actpass",
        False,
        True,
    )
    assert [(c.ip, c.port) for c in offer.candidates] == [("192.0.2.9", 5001)]


def test_the_answer_takes_the_audio_and_refuses_the_rest() -> None:
    answer = write_answer(parse_offer(text(HEAD, AUDIO, VIDEO, DATA)), LOCAL, START, 7)
    lines = answer.split("\r\n")
    assert [line for line in lines if line.startswith("m=")] == [
        "m=audio 40000 UDP/TLS/RTP/SAVPF 111",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
    ]
    assert "a=group:BUNDLE 0" in lines
    for line in (
        "a=recvonly",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 maxplaybackrate=16000;stereo=0;sprop-stereo=0;maxaveragebitrate=16000;cbr=0;"
        "useinbandfec=1;usedtx=1",
        "a=ptime:40",
        "a=maxptime:120",
        "a=setup:active",
        "a=candidate:f 1 udp 1 127.0.0.1 40000 typ host",
        "a=end-of-candidates",
    ):
        assert line in lines
    audio = SessionDescription.parse(answer).media[0]
    assert audio.ice is not None
    assert (audio.ice.usernameFragment, audio.direction) == ("ufra", "recvonly")


@pytest.mark.parametrize(
    ("setup", "answer"), [("actpass", "active"), ("passive", "active"), ("active", "passive")]
)
def test_the_dtls_role_follows_the_offer(setup: str, answer: str) -> None:
    sdp = write_answer(parse_offer(text(HEAD, changed(AUDIO, "actpass", setup))), LOCAL, START, 1)
    assert f"a=setup:{answer}\r\n" in sdp


def test_an_offer_without_bundle_or_mid_or_candidates_works() -> None:
    offer = parse_offer(text(HEAD[:4], without(without(AUDIO, "a=mid"), "a=candidate")))
    assert not offer.is_bundled
    answer = write_answer(offer, LocalTransport("u", "p", [], []), START, 1)
    assert "BUNDLE" not in answer
    assert "a=mid" not in answer
    assert "m=audio 9 " in answer
    assert parse_offer(text(HEAD, ["a=ice-lite"], AUDIO)).ice_lite


def test_addresses_of_both_families_stand_in_the_answer() -> None:
    local = LocalTransport("u", "p", [], [RTCIceCandidate(1, "f", "2001:db8::1", 40_000, 1, "udp", "host")])
    assert "c=IN IP6 2001:db8::1" in write_answer(parse_offer(text(HEAD, AUDIO)), local, START, 1)


def test_transport_parameters_may_stand_in_the_first_section_of_the_bundle() -> None:
    bare = [line for line in AUDIO if line not in TRANSPORT]
    first = changed(HEAD, "BUNDLE 0 1 2", "BUNDLE 2 0")
    assert parse_offer(text(first, DATA, bare)).ice_ufrag == "Abcd"


def test_a_second_audio_section_is_taken_if_the_first_sends_nothing() -> None:
    silent = changed(changed(AUDIO, "sendonly", "recvonly"), "a=mid:0", "a=mid:1")
    assert parse_offer(text(HEAD, silent, AUDIO)).audio == 1


def test_at_most_twenty_candidates_are_used() -> None:
    many = [f"a=candidate:{i} 1 udp 1 192.0.2.1 {5000 + i} typ host" for i in range(50)]
    assert len(parse_offer(text(HEAD, AUDIO, many)).candidates) == 20


@pytest.mark.parametrize(
    ("sdp", "problem", "field"),
    [
        ("", "bad-sdp", "v="),
        ("v=0\r\n" + "a=x\r\n" * 20_000, "bad-sdp", "body"),
        ("v=0\r\nm=audio\r\n", "bad-sdp", "body"),
        (text(HEAD, *[VIDEO] * 17), "bad-sdp", "m="),
        (text(HEAD), "no-audio", "m=audio"),
        (text(HEAD, VIDEO, DATA), "no-audio", "m=audio"),
        (text(HEAD, changed(AUDIO, "sendonly", "recvonly")), "no-audio", "a=sendonly"),
        (text(HEAD, changed(AUDIO, "sendonly", "inactive")), "no-audio", "a=sendonly"),
        (text(HEAD, changed(AUDIO, "m=audio 9", "m=audio 0")), "no-audio", "a=sendonly"),
        (text(HEAD, changed(AUDIO, "opus/48000/2", "G722/8000")), "unsupported-codec", "a=rtpmap"),
        (text(HEAD, changed(AUDIO, "SAVPF 111 63 0", "SAVPF 0")), "unsupported-codec", "a=rtpmap"),
        (text(HEAD, without(AUDIO, "a=ice-ufrag")), "bad-sdp", "a=ice-ufrag, a=ice-pwd"),
        (text(HEAD, without(AUDIO, "a=ice-pwd")), "bad-sdp", "a=ice-ufrag, a=ice-pwd"),
        (text(HEAD, without(AUDIO, "a=setup")), "bad-sdp", "a=setup"),
        (text(HEAD, changed(AUDIO, "actpass", "holdconn")), "bad-sdp", "body"),
        (text(HEAD, without(AUDIO, "a=fingerprint")), "bad-sdp", "a=fingerprint"),
        (text(HEAD, changed(AUDIO, "sha-256", "md5")), "bad-sdp", "a=fingerprint"),
        (text(HEAD, without(AUDIO, "a=rtcp-mux")), "bad-sdp", "a=rtcp-mux"),
        (text(HEAD, changed(AUDIO, "UDP/TLS/RTP/SAVPF", "RTP/AVP")), "bad-sdp", "m=audio"),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(sdp: str, problem: str, field: str) -> None:
    with pytest.raises(OfferRejected) as rejected:
        parse_offer(sdp)
    assert (rejected.value.problem.type, rejected.value.problem.field) == (problem, field)
    assert rejected.value.problem.status == 400
    assert rejected.value.problem.fix


def cut(draw: random.Random, sdp: str) -> str:
    return sdp[: draw.randrange(1, len(sdp))]


def swap(draw: random.Random, sdp: str) -> str:
    return sdp.replace(draw.choice(sdp), draw.choice("\0\n=:/ 9é"))


def shuffle(draw: random.Random, sdp: str) -> str:
    lines = sdp.split("\r\n")
    return "\r\n".join(draw.sample(lines, len(lines)))


def thin(draw: random.Random, sdp: str) -> str:
    return "v=0\r\n" + "\r\n".join(line for line in sdp.split("\r\n") if draw.random() > 0.05)


def splice(draw: random.Random, sdp: str) -> str:
    place = draw.randrange(len(sdp))
    return sdp[:place] + draw.choice(["", "-1", "9" * 11, "\r\n"]) + sdp[place + 1 :]


MUTATIONS = (cut, swap, shuffle, thin, splice)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_offers_are_taken_or_refused_and_nothing_else(seed: int) -> None:
    draw = random.Random(seed)
    whole = text(HEAD, AUDIO, VIDEO, DATA)
    outcomes = {"taken": 0, "refused": 0}
    for _ in range(500):
        sdp = whole
        for _ in range(draw.randint(1, 3)):
            sdp = draw.choice(MUTATIONS)(draw, sdp)
        try:
            write_answer(parse_offer(sdp), LOCAL, START, 1).encode()
            outcomes["taken"] += 1
        except OfferRejected:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


def test_nack_is_answered_if_it_was_offered_for_the_audio() -> None:
    assert not parse_offer(text(HEAD, AUDIO)).has_nack
    assert "rtcp-fb" not in write_answer(parse_offer(text(HEAD, AUDIO)), LOCAL, START, 1)
    for line in ("a=rtcp-fb:111 nack", "a=rtcp-fb:* nack"):
        offer = parse_offer(text(HEAD, [*AUDIO, line]))
        assert offer.has_nack
        assert "a=rtcp-fb:111 nack\r\n" in write_answer(offer, LOCAL, START, 1)
    for line in ("a=rtcp-fb:63 nack", "a=rtcp-fb:111 nack pli"):
        assert not parse_offer(text(HEAD, [*AUDIO, line])).has_nack
