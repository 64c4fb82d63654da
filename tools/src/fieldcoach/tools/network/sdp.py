"""An offer without a way past the relay, and an answer that points at it."""

from collections.abc import Mapping
from dataclasses import dataclass

# RFC 8839 section 5.1: candidate:<foundation> <component> <transport> <priority> <address> <port> typ <type>
_PREFIX = "a=candidate:"
_TRANSPORT, _ADDRESS, _PORT = 2, 4, 5

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Line:
    fields: list[str]

    @property
    def target(self) -> Address:
        return self.fields[_ADDRESS], int(self.fields[_PORT])


def candidates_of(answer: str) -> list[Address]:
    """Where the server listens for UDP, each address once, in its order."""
    found = (line.target for text in answer.splitlines() if (line := _udp_candidate(text)))
    return list(dict.fromkeys(found))


def rewritten(answer: str, relays: Mapping[Address, Address]) -> str:
    """The same answer with each UDP candidate at its relay's address; what has none, and TCP, is left out.

    The address in `m=` and `c=` becomes the first relay's: ICE takes candidates alone (RFC 8839 section
    4.2.1.2), but no line should lead past the relay.
    """
    first = next(iter(relays.values()), None)
    lines = []
    for text in answer.splitlines():
        if text.startswith(_PREFIX):
            line = _udp_candidate(text)
            if line is not None and line.target in relays:
                host, port = relays[line.target]
                fields = line.fields.copy()
                fields[_ADDRESS], fields[_PORT] = host, str(port)
                lines.append(" ".join(fields))
        elif text.startswith("m=") and first is not None:
            kind, port_text, rest = text.split(" ", 2)
            # 0 refuses the section, 9 names no port
            lines.append(f"{kind} {port_text if port_text in ('0', '9') else first[1]} {rest}")
        elif text.startswith("c=IN ") and first is not None and not text.endswith(" 0.0.0.0"):
            lines.append(f"c=IN {'IP6' if ':' in first[0] else 'IP4'} {first[0]}")
        else:
            lines.append(text)
    return "\r\n".join(lines) + "\r\n"


def hidden(offer: str) -> str:
    """The same offer without the phone's addresses: the server finds the phone by the checks that come to it.

    Otherwise it would check the phone's own addresses, and the phone would choose that better way.
    """
    lines = []
    for text in offer.splitlines():
        if text.startswith("m="):
            kind, port, rest = text.split(" ", 2)
            lines.append(f"{kind} {'0' if port == '0' else '9'} {rest}")
        elif text.startswith("c=IN "):
            lines.append("c=IN IP4 0.0.0.0")
        elif not text.startswith((_PREFIX, "a=end-of-candidates", "a=rtcp:")):
            lines.append(text)
    return "\r\n".join(lines) + "\r\n"


def _udp_candidate(text: str) -> _Line | None:
    fields = text.split(" ")
    if not text.startswith(_PREFIX) or len(fields) < 8 or fields[_TRANSPORT].lower() != "udp":
        return None
    return _Line(fields) if fields[_PORT].isdigit() else None
