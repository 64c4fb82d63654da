"""Which pages may call."""

import pytest

from fieldcoach.gateway.origins import OriginPolicy, is_host, is_local_host, normal_origin

POLICY = OriginPolicy(("https://app.example.org",))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost:8080"),
        ("http://localhost:8080", "localhost:8080"),
        ("https://localhost", "localhost"),
        ("https://visits.example.org", "visits.example.org:443"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://app.example.org", "visits.example.org"),
        ("https://APP.example.org:443", "visits.example.org"),
    ],
)
def test_served(origin: str | None, host: str) -> None:
    assert POLICY.allows(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "localhost:8080"),
        ("http://localhost:8081", "localhost:8080"),
        ("https://localhost", "localhost:8080"),
        ("http://app.example.org", "visits.example.org"),
        ("null", "localhost"),
        ("file://", "localhost"),
        ("https://app.example.org.evil.example", "localhost"),
        ("https://user@localhost", "localhost"),
        ("http://localhost:99999", "localhost"),
        ("http://localhost/path", "localhost"),
        ("http://x", ""),
        ("", "localhost"),
    ],
)
def test_refused(origin: str, host: str) -> None:
    assert not POLICY.allows(origin, host)


def test_local_hosts() -> None:
    assert all(is_local_host(host) for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080"))
    assert not any(
        is_local_host(host)
        for host in ("", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "localhost, x", "a b")
    )


def test_hosts_and_origins_as_texts() -> None:
    assert not is_host("a\r\nb")
    assert not is_host("a;b")
    assert normal_origin("http://[broken") is None
    assert normal_origin("https://a.example") == ("https", "a.example", 443)
