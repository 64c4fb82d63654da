"""Which web pages may call, by their `Origin` (RFC 6454)."""

import re
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def normal_origin(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None if the text is no origin of a web page (`null` is none)."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    if parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


def is_host(host: str) -> bool:
    """Whether the text may stand in a `Host` header, and so in our own headers."""
    return _HOST.fullmatch(host) is not None


def is_local_host(host: str) -> bool:
    """Whether a `Host` header names this machine. A page that rebinds its DNS name to us does not."""
    return is_host(host) and urlsplit(f"//{host}").hostname in _LOCAL_NAMES


class OriginPolicy:
    """Same origin always, others by list, and what sends no `Origin` is no browser page."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = {normal_origin(origin) for origin in allowed} - {None}

    def allows(self, origin: str | None, host: str) -> bool:
        """Whether a request with these headers may be served."""
        return origin is None or self.is_same(origin, host) or normal_origin(origin) in self._allowed

    def is_same(self, origin: str, host: str) -> bool:
        """Whether the page came from us.

        The scheme is not compared: a proxy in front ends TLS, and what it tells about it is optional.
        """
        page = normal_origin(origin)
        if page is None or not is_host(host):
            return False
        parts = urlsplit(f"//{host}")
        return page[1:] == (parts.hostname, parts.port or _DEFAULT_PORTS[page[0]])
