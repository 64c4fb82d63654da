"""The vocabulary of problems (RFC 9457): each type with its one status and title."""

from typing import Final, NamedTuple

from fieldcoach.common.messages import Problem

URN: Final = "urn:fieldcoach:problem:"
MEDIA_TYPE: Final = "application/problem+json"


class Kind(NamedTuple):
    """What a problem type always says."""

    status: int
    title: str


KINDS: Final[dict[str, Kind]] = {
    "bad-request": Kind(400, "The request can't be used"),
    "bad-sdp": Kind(400, "The SDP can't be used"),
    "no-audio": Kind(400, "The offer has no audio"),
    "unsupported-codec": Kind(400, "The offer has no codec that we speak"),
    "token-missing": Kind(401, "A token is needed"),
    "token-invalid": Kind(401, "The token is not valid"),
    "token-expired": Kind(401, "The token has expired"),
    "not-yours": Kind(403, "The token does not open this session"),
    "consent-missing": Kind(403, "No audio without consent"),
    "origin": Kind(403, "This origin may not call"),
    "not-found": Kind(404, "There is nothing here"),
    "method-not-allowed": Kind(405, "The path has no such method"),
    "not-acceptable": Kind(406, "No representation that you accept"),
    "too-slow": Kind(408, "The client is too slow"),
    "replaced": Kind(409, "A newer connection has taken over"),
    "etag-mismatch": Kind(412, "Another ICE session"),
    "too-large": Kind(413, "The body is too large"),
    "unsupported-media-type": Kind(415, "The media type is not understood"),
    "invalid": Kind(422, "A field is not valid"),
    "not-supported": Kind(422, "Not supported"),
    "if-match-missing": Kind(428, "The request must name the state that it knows"),
    "too-many": Kind(429, "Too many requests"),
    "internal": Kind(500, "Something went wrong on our side"),
    "no-capacity": Kind(503, "All lines are busy"),
    "not-ready": Kind(503, "A part of the system is away"),
}

NO_CAPACITY_RETRY_S: Final = 10
"""A visit's end frees a line; asking more often than this only adds load when there is most of it."""
NOT_READY_RETRY_S: Final = 2
"""A restarted ingest or worker is heard again within two seconds."""


def problem(
    kind: str,
    detail: str,
    *,
    field: str | None = None,
    fix: str | None = None,
    retry_after_s: int | None = None,
) -> Problem:
    """A problem of our vocabulary; `kind` must be in `KINDS`."""
    status, title = KINDS[kind]
    return Problem(
        type=URN + kind,
        title=title,
        status=status,
        detail=detail,
        field=field,
        fix=fix,
        retry_after_s=retry_after_s,
    )


def with_urn(foreign: Problem) -> Problem:
    """A problem that another service wrote, with the type as clients know it."""
    if foreign.type.startswith("urn:"):
        return foreign
    return foreign.model_copy(update={"type": URN + foreign.type})


def label(shown: Problem) -> str:
    """The type as a metrics label: a word of the vocabulary, so that labels stay few."""
    word = shown.type.removeprefix(URN)
    return word if word in KINDS else "other"


def body(shown: Problem) -> dict[str, object]:
    """The JSON members that are set."""
    return shown.model_dump(exclude_none=True)
