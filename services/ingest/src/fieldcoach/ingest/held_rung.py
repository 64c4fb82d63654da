"""A ladder on which nobody moves: for measuring what one rung costs. No I/O."""

from fieldcoach.common.messages import Rung

from .arrivals import LinkWindow
from .ladder import Ladder
from .profile import LADDER


class HeldRung(Ladder):
    """Every connection begins on one rung and stays there, whatever the link does."""

    def __init__(self, now: float, rung: Rung) -> None:
        super().__init__(now)
        self._held = next(place for place, profile in enumerate(LADDER) if profile.rung == rung)
        self.rung = self._held

    @property
    def first_rung(self) -> int:
        """The held one."""
        return self._held

    def judge(self, link: LinkWindow, now: float) -> int | None:
        """Stay."""
        return None
