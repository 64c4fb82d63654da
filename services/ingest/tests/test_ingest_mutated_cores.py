"""Mutated text and packets in process: every one is taken, or refused and counted; nothing is raised."""

from collections import Counter

import pylibsrtp
import pytest
from tests.mutations import Mutator, rtcp_samples, rtp_samples

from fieldcoach.common.audio import SAMPLE_RATE
from fieldcoach.common.opus import OpusEncoder
from fieldcoach.ingest.addresses import MediaAddresses
from fieldcoach.ingest.errors import OfferRejected
from fieldcoach.ingest.fragment import parse_fragment
from fieldcoach.ingest.media_path import MediaPath
from fieldcoach.ingest.negotiation import LocalTransport, parse_offer, write_answer
from fieldcoach.ingest.peer import Peer
from fieldcoach.ingest.profile import START
from fieldcoach.ingest.rtp import MalformedRtp, parse_rtp
from fieldcoach.ingest.session import Session
from fieldcoach.ingest.telemetry import IngestTelemetry
from fieldcoach.ingest.workers import WorkerTable

OFFER = "\r\n".join(
    [
        *("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"),
        *("m=audio 9 UDP/TLS/RTP/SAVPF 111 63", "c=IN IP4 0.0.0.0", "a=mid:0", "a=ice-ufrag:Abcd"),
        *("a=ice-pwd:" + "p" * 24, "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass"),
        *("a=sendonly", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"),
        *("a=rtcp-fb:111 nack", "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=ssrc:7 cname:phone"),
        *("a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=extmap-allow-mixed"),
        *("a=candidate:2 1 udp 2113937150 192.0.2.9 9 typ host", "a=candidate:3 1 udp 7 x.local 9 typ host"),
        *("a=candidate:4 1 tcp 7 2001:db8::1 9 typ host tcptype active", "a=end-of-candidates"),
        *("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:1", "a=sctp-port:5000", ""),
    ]
)
FRAGMENT = "\r\n".join(
    [
        *("a=ice-ufrag:Abcd", "a=ice-pwd:" + "p" * 24, "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0"),
        *("a=candidate:2 1 udp 2113937150 192.0.2.9 9 typ host", "a=end-of-candidates", ""),
    ]
)
SSRC = 7


def test_mutated_offers_are_answered_or_refused() -> None:
    mutator, outcomes = Mutator(1), Counter[str]()
    local = LocalTransport("ufrag", "p" * 22, [], [])
    for _ in range(4_000):
        text = mutator.text([OFFER, OFFER.replace("m=audio", "m=video", 1)])
        try:
            offer = parse_offer(text)
        except OfferRejected as rejected:
            outcomes[rejected.problem.type] += 1
            has_fix = bool(rejected.problem.fix) and rejected.problem.status == 400
            outcomes["without a fix"] += not has_fix
            continue
        answer = write_answer(offer, local, START, 1)
        assert answer.count("\r\nm=") == len(offer.sections)
        assert answer.count("a=recvonly") == 1  # all other sections are refused, data channels among them
        outcomes["answered"] += 1
    assert outcomes.pop("without a fix") == 0
    assert set(outcomes) == {"answered", "bad-sdp", "no-audio", "unsupported-codec"}


def test_mutated_fragments_are_taken_or_refused() -> None:
    mutator, outcomes = Mutator(2), Counter[str]()
    for _ in range(3_000):
        try:
            parse_fragment(mutator.text([FRAGMENT]))
        except OfferRejected as rejected:
            outcomes[rejected.problem.type] += 1
        else:
            outcomes["taken"] += 1
    assert set(outcomes) == {"taken", "bad-sdp"}


def srtp(direction: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(key=bytes(range(30)), ssrc_type=direction)
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return pylibsrtp.Session(policy)


def encoded(n: int) -> list[bytes]:
    encoder = OpusEncoder(frame_ms=60, dtx=False)
    tone = b"".join(((i * 37) % 8_000).to_bytes(2, "little") for i in range(SAMPLE_RATE * 60 // 1_000))
    found = [encoder.encode(tone) for _ in range(n)]
    encoder.close()
    return found


class Phone:
    """A session with one connection whose keys are known, up to its timeline."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("fieldcoach.ingest.media_path.time.monotonic", lambda: self.now)
        self.counts = Counter[str]()
        self.telemetry = IngestTelemetry()
        self.session = Session(
            "s" * 26, ("en",), WorkerTable(1.0), self.telemetry, lambda: True, lambda _session: None, self.now
        )
        self.peer = Peer(
            parse_offer(OFFER),
            MediaAddresses(("127.0.0.1",)),
            self.session,
            lambda r: self.counts.update([r]),
        )
        self.session.attach(self.peer, self.now)
        self.path = MediaPath(111, self.peer, lambda reason: self.counts.update([reason]))
        self.path.open(srtp(pylibsrtp.Policy.SSRC_ANY_INBOUND))
        self.out = srtp(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.session.tick(self.now)


async def test_right_keys_and_wrong_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """RTP and RTCP whose encryption is right, as a hostile phone in its own session sends them."""
    phone, mutator = Phone(monkeypatch), Mutator(3)
    media, control = rtp_samples(111, SSRC, encoded(32)), rtcp_samples(SSRC)
    for number in range(8_000):
        is_rtcp = number % 4 == 3
        plain = mutator.datagram("rtcp" if is_rtcp else "rtp", control if is_rtcp else media)
        try:
            data = phone.out.protect_rtcp(plain) if is_rtcp else phone.out.protect(plain)
        except (pylibsrtp.Error, ValueError):
            data = plain  # not even libsrtp makes a packet of it
        before = sum(phone.counts.values()) + phone.telemetry.packets.total()
        was_taken = phone.path.take(data)
        has_counted = sum(phone.counts.values()) + phone.telemetry.packets.total() > before
        assert was_taken or has_counted, data
        phone.tick(0.002)
    assert phone.counts["media-handler"] == 0
    for kind in ("rtp-padding", "rtp-other-payload", "rtcp-malformed", "too-many-sources", "srtp-malformed"):
        assert phone.counts[kind] > 0, kind
    assert phone.session.delivery.held <= 2_000
    await phone.peer.close()


def test_mutated_headers_are_read_or_named() -> None:
    """Without libsrtp in front, which looks at most of a header itself."""
    mutator, outcomes = Mutator(5), Counter[str]()
    samples = rtp_samples(111, SSRC, encoded(8))
    for _ in range(10_000):
        try:
            outcomes[f"{parse_rtp(mutator.datagram('rtp', samples)).payload_type == 111}"] += 1
        except MalformedRtp as malformed:
            outcomes[malformed.reason] += 1
    assert set(outcomes) == {"True", "False", "short", "version", "csrc", "extension", "padding"}


async def test_a_strangers_packets_never_reach_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    phone, mutator = Phone(monkeypatch), Mutator(4)
    seen = [phone.out.protect(plain) for plain in rtp_samples(111, SSRC, encoded(32))]
    for data in seen:
        assert phone.path.take(data)
        phone.tick(0.06)
    position = phone.telemetry.packets.total()
    for _ in range(5_000):
        mutant = mutator.datagram("rtp", seen)
        assert not phone.path.take(mutant)
    assert phone.telemetry.packets.total() == position
    assert sum(phone.counts.values()) >= 5_000
    assert {"srtp-forged", "srtp-replay", "srtp-malformed"} <= set(phone.counts)
    await phone.peer.close()
