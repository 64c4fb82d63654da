"""ICE fragments and WHIP resources: text and data only."""

import pytest

from fieldcoach.common.messages import Problem
from fieldcoach.ingest.errors import OfferRejected
from fieldcoach.ingest.fragment import IceFragment, parse_fragment, write_fragment
from fieldcoach.ingest.negotiation import LocalTransport, Offer, parse_offer, usable_candidates
from fieldcoach.ingest.whip_resource import WhipResource, superseded, unknown

from .test_ingest_rtc_tap import OFFER

PWD = "q" * 24
CREDENTIALS = f"a=ice-ufrag:EfGh\r\na=ice-pwd:{PWD}\r\n"
CANDIDATE = "a=candidate:1 1 udp 2113937151 192.0.2.9 4000 typ host"


def offer(mid: str = "") -> Offer:
    bundle = f"a=group:BUNDLE {mid}\r\nm=audio" if mid else "m=audio"
    text = OFFER.replace("m=audio", bundle, 1)
    return parse_offer(text + (f"a=mid:{mid}\r\n" if mid else ""))


def test_a_fragment_as_rfc_8840_has_it() -> None:
    text = (
        f"{CREDENTIALS}m=audio 9 RTP/AVP 0\r\na=mid:0\r\n{CANDIDATE}\r\n"
        "a=candidate:2 1 tcp 1 192.0.2.9 9 typ host tcptype active\r\n"
        "a=candidate:3 1 udp 1 phone.local 9 typ host\r\na=end-of-candidates\r\na=unheard:of\r\n"
        f"m=video 9 RTP/AVP 0\r\na=mid:1\r\n{CREDENTIALS}"
    )
    fragment = parse_fragment(text)
    assert (fragment.ufrag, fragment.pwd) == ("EfGh", PWD)
    assert [candidate.ip for candidate in fragment.candidates] == ["192.0.2.9"]
    assert parse_fragment("a=end-of-candidates\n") == IceFragment("", "", ())


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "body"),
        ("hello", "body"),
        ("x" * 70_000, "body"),
        ("a=ice-ufrag:abc", "a=ice-ufrag"),
        ("a=ice-ufrag:ab cd", "a=ice-ufrag"),
        ("a=ice-ufrag:abcd\na=ice-ufrag:efgh", "a=ice-ufrag"),
        ("a=ice-pwd:short", "a=ice-pwd"),
        (f"a=ice-pwd:{PWD}\na=ice-pwd:{PWD}x", "a=ice-pwd"),
        ("a=candidate:1 1 udp", "a=candidate"),
        ("a=candidate:1 x udp 1 192.0.2.9 9 typ host", "a=candidate"),
    ],
)
def test_a_fragment_that_is_none(text: str, field: str) -> None:
    with pytest.raises(OfferRejected) as rejected:
        parse_fragment(text)
    problem = rejected.value.problem
    assert (problem.type, problem.status, problem.field) == ("bad-sdp", 400, field)
    assert problem.fix


def test_our_fragment_can_be_read_back() -> None:
    candidates = usable_candidates(parse_fragment(CANDIDATE).candidates)
    local = LocalTransport("wxyz", "s" * 22, (), candidates)
    for given in (offer(), offer("0")):
        text = write_fragment(given, local)
        read = parse_fragment(text)
        assert (read.ufrag, read.pwd) == ("wxyz", "s" * 22)
        assert [c.ip for c in read.candidates] == ["192.0.2.9"]
        assert ("a=mid:0" in text) == ("a=group:BUNDLE 0" in text) == bool(given.sections[0].mid)


def resource() -> WhipResource:
    return WhipResource("r1", "e1", "Abcd", "p" * 24)


@pytest.mark.parametrize(
    ("fragment", "if_match", "meaning"),
    [
        (IceFragment("", "", ()), "e1", "trickle"),
        (IceFragment("Abcd", "p" * 24, ()), "e0, e1", "trickle"),
        (IceFragment("EfGh", PWD, ()), "e1", "restart"),
        (IceFragment("EfGh", PWD, ()), "*", "restart"),
        (IceFragment("Abcd", "p" * 24, ()), "*", "repeat"),
        (IceFragment("EfGh", PWD, ()), "e0", 412),
        (IceFragment("", "", ()), "", 412),
        (IceFragment("", "", ()), "*", 422),
        (IceFragment("EfGh", "", ()), "e1", 422),
        (IceFragment("Abcd", PWD, ()), "*", 422),
    ],
)
def test_what_a_patch_means(fragment: IceFragment, if_match: str, meaning: str | int) -> None:
    judged = resource().judge(fragment, if_match)
    assert (judged.status if isinstance(judged, Problem) else judged) == meaning


def test_a_restart_changes_the_entity_tag_and_not_the_name() -> None:
    restarted = resource()
    fragment = IceFragment("EfGh", PWD, ())
    restarted.restarted(fragment, lambda: "e2")
    assert (restarted.name, restarted.etag) == ("r1", "e2")
    assert restarted.judge(fragment, "*") == "repeat"
    assert isinstance(restarted.judge(fragment, "e1"), Problem)


def test_what_has_gone() -> None:
    assert (superseded().status, unknown().status) == (409, 404)
