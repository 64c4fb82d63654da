"""Which decode comes next: earliest deadline first, and no session twice while another waits as long.

A partial that is asked for again keeps the place of the first request, so a busy worker does not starve it;
one that nobody needs any more at its deadline is dropped. Finals are never dropped.
"""

from collections import defaultdict

from .jobs import Job, Kind


class Scheduler:
    """The queue before the decoders. At most one partial and one speculation per session stand in it."""

    def __init__(self) -> None:
        self._single: dict[tuple[str, Kind], Job] = {}
        self._finals: list[Job] = []
        self._served: defaultdict[str, int] = defaultdict(int)
        self._turn = 0
        self._dropped: list[Job] = []

    def __len__(self) -> int:
        return len(self._single) + len(self._finals)

    def submit(self, job: Job) -> None:
        """Queue a job; a partial or speculation replaces the session's queued one."""
        if job.kind is Kind.FINAL:
            self._finals.append(job)
            return
        self._single[job.session, job.kind] = job

    def withdraw(self, session: str, kind: Kind) -> bool:
        """Take back the session's queued partial or speculation; False if it has started or never was."""
        return self._single.pop((session, kind), None) is not None

    def forget(self, session: str) -> None:
        """The session is gone, with all its jobs."""
        for kind in (Kind.PARTIAL, Kind.SPECULATIVE):
            self.withdraw(session, kind)
        self._finals = [job for job in self._finals if job.session != session]
        self._served.pop(session, None)

    def next(self, now: float) -> Job | None:
        """The job to start now."""
        for key, job in list(self._single.items()):
            if job.kind is Kind.PARTIAL and job.deadline < now:
                del self._single[key]
                self._dropped.append(job)
        waiting = [*self._finals, *self._single.values()]
        if not waiting:
            return None
        job = min(waiting, key=lambda job: (job.deadline, self._served[job.session]))
        if job.kind is Kind.FINAL:
            self._finals.remove(job)
        else:
            del self._single[job.session, job.kind]
        self._turn += 1
        self._served[job.session] = self._turn
        return job

    def take_dropped(self) -> list[Job]:
        """The partials that grew too old since this was last asked."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def oldest_deadline(self) -> float | None:
        """The earliest deadline of a queued final; how far it lies in the past is the lag."""
        return min((job.deadline for job in self._finals), default=None)
