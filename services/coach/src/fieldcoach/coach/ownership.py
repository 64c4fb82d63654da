"""Who coaches a session: asked on its owner subject before it is taken, answered while it is held.

Two coaches may reach for the same session at once (one by the queue group, one adopting at its start).
Each first listens on the owner subject, then asks on it; the one that sees the other lets go. At least
one of the two questions comes after both listen, so never both keep it; if both let go, each looks again
after a random pause.
"""

import asyncio
from typing import Final, Literal

from nats.aio.subscription import Subscription

from fieldcoach.common.bus import Bus
from fieldcoach.common.errors import BusUnavailable, MessageRejected
from fieldcoach.common.messages import Message, SessionId

_OWN_ANSWER_S: Final = 0.1
"""Our own answer to our own question comes late on purpose, so that another's comes first."""
_ANSWER_WITHIN_S: Final = 0.5


class OwnerQuestion(Message):
    """Does anybody coach this session? `coach` asks."""

    kind: Literal["coach.owner?"] = "coach.owner?"
    coach: SessionId


class OwnerAnswer(Message):
    """`coach` does."""

    kind: Literal["coach.owner"] = "coach.owner"
    coach: SessionId


class Ownership:
    """One coach's claim on one session."""

    def __init__(self, bus: Bus, coach: str, session: str) -> None:
        self._bus = bus
        self._coach = coach
        self._subject = bus.subjects.coach_owner(session)
        self._listening: Subscription | None = None

    async def is_free(self) -> bool:
        """Whether nobody answers for the session."""
        try:
            await self._ask()
        except BusUnavailable as error:
            return str(error) == "no-responders"
        except MessageRejected:
            return False  # somebody of another version is there
        return False

    async def claim(self) -> bool:
        """Take the session; False if another has it."""
        self._listening = await self._bus.serve(self._subject, self._answer)
        try:
            owner = (await self._ask()).coach
        except BusUnavailable:
            return True  # no answer, not even our own: the bus is away, and so is everybody else
        except MessageRejected:
            owner = ""
        if owner == self._coach:
            return True
        await self.release()
        return False

    async def release(self) -> None:
        """Answer no more."""
        listening, self._listening = self._listening, None
        if listening and self._bus.is_connected:
            await listening.unsubscribe()

    async def _ask(self) -> OwnerAnswer:
        question = OwnerQuestion(coach=self._coach)
        return await self._bus.request(self._subject, question, OwnerAnswer, _ANSWER_WITHIN_S)

    async def _answer(self, payload: bytes) -> OwnerAnswer:
        if OwnerQuestion.decode(payload).coach == self._coach:
            await asyncio.sleep(_OWN_ANSWER_S)
        return OwnerAnswer(coach=self._coach)
