"""The WHIP resource of one peer connection (RFC 9725 section 4.3): its name, its ICE session, a PATCH.

Pure. The entity tag names the ICE session: it changes with every restart, the resource's name does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fieldcoach.common.messages import Problem

from .fragment import IceFragment

ANY = "*"
"""`If-Match: *`: an ICE restart, whatever the client last knew."""

Meaning = Literal["restart", "repeat", "trickle"]


@dataclass(slots=True)
class WhipResource:
    """Which ICE session a connection is in."""

    name: str
    etag: str
    remote_ufrag: str
    remote_pwd: str

    def judge(
        self, fragment: IceFragment, if_match: str
    ) -> Literal["restart", "repeat", "trickle"] | Problem:
        """What the client asks for.

        `repeat` is a restart whose answer the client did not get: it gets the same one again.
        """
        tags = [tag.strip() for tag in if_match.split(",")]
        if ANY not in tags and self.etag not in tags:
            return Problem(
                type="etag-mismatch",
                title="Another ICE session",
                status=412,
                detail="If-Match does not name the present ICE session",
                field="If-Match",
                fix='restart ICE with If-Match: "*", or make a new offer',
            )
        is_present = fragment.ufrag in ("", self.remote_ufrag)
        if ANY not in tags and is_present:
            return "trickle"
        if not fragment.ufrag or not fragment.pwd:
            return Problem(
                type="not-supported",
                title="Not supported",
                status=422,
                detail="an ICE restart without new credentials",
                field="a=ice-ufrag, a=ice-pwd",
                fix="send both as the new local description has them",
            )
        if is_present:
            return "repeat" if fragment.pwd == self.remote_pwd else _same_ufrag()
        return "restart"

    def restarted(self, fragment: IceFragment, new_etag: Callable[[], str]) -> None:
        """The connection is in another ICE session now."""
        self.remote_ufrag, self.remote_pwd = fragment.ufrag, fragment.pwd
        self.etag = new_etag()


def _same_ufrag() -> Problem:
    return Problem(
        type="not-supported",
        title="Not supported",
        status=422,
        detail="another password for the same user name",
        field="a=ice-ufrag",
        fix="restart ICE with a new user name and a new password",
    )


def superseded() -> Problem:
    """The resource was replaced by a newer connection of the same session."""
    return Problem(
        type="replaced",
        title="A newer connection has taken over",
        status=409,
        detail="another peer connection of this session is in use",
        fix="make a new offer if this client is to go on",
    )


def unknown() -> Problem:
    """There is no such connection, or not any more."""
    return Problem(
        type="not-found",
        title="No media",
        status=404,
        detail="this peer connection is not known, or has been freed",
        fix="make a new offer for the same session",
    )
