"""What the `fieldcoach` command says when it can't go on. Every message ends with what to do.

ToolError
├── ProjectNotFound        not inside a checkout
├── StackError
│   ├── AlreadyRunning     another stack holds the same run directory
│   ├── PortInUse          somebody else listens there
│   ├── NatsServerMissing  no nats-server beside the interpreter or on PATH
│   ├── ProcessDied        one of the stack's processes ended by itself; carries its last log lines
│   ├── NotReady           a service did not become ready in time; carries its reason
│   └── NoStack            nothing runs from this run directory
├── AudioUnreadable        the file can't be decoded
├── VisitError
│   ├── TokenMissing       no token was given and none can be had
│   ├── GatewayUnreachable no answer; retryable
│   ├── Refused            the gateway answered with a problem; retryable if the status is 429 or 503
│   ├── MediaFailed        no media connection in time
│   ├── EventsClosed       the events channel was closed for good, or stayed away
│   └── SummaryMissing     the visit ended and no summary came
├── NetworkError           the network simulator can't stand where it should
│   └── UnknownNetwork     no network has this name
└── BenchError             a benchmark can't run on what it was given
"""

from collections.abc import Sequence

from fieldcoach.common.errors import FieldCoachError


class ToolError(FieldCoachError):
    """Root of what a command reports on standard error before it exits with status 1."""


class ProjectNotFound(ToolError):
    """No checkout of the project at or above the working directory."""


class StackError(ToolError):
    """The local stack can't start or run."""


class AlreadyRunning(StackError):
    """The run directory is held by a live stack."""


class PortInUse(StackError):
    """The port of the gateway is taken."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} is in use by another program; choose another one: PORT={port + 1} make up"
            f" (or: fieldcoach up --port {port + 1})"
        )
        self.port = port


class NatsServerMissing(StackError):
    """No nats-server to start."""


class ProcessDied(StackError):
    """A process of the stack ended by itself."""

    def __init__(self, name: str, status: int, last_lines: Sequence[str]) -> None:
        shown = "\n".join(f"  {line}" for line in last_lines) or "  (it wrote nothing)"
        super().__init__(f"{name} ended with status {status}; its last lines:\n{shown}")
        self.name = name
        self.status = status


class NotReady(StackError):
    """A service is alive, but says why it can't work yet."""

    def __init__(self, reasons: dict[str, str], seconds: float) -> None:
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        super().__init__(f"not ready after {seconds:.0f} s: {told}")
        self.reasons = reasons


class NoStack(StackError):
    """No running stack in the run directory."""


class AudioUnreadable(ToolError):
    """FFmpeg finds no audio in the file."""


class VisitError(ToolError):
    """The phone can't make its visit."""


class TokenMissing(VisitError):
    """No user token."""


class GatewayUnreachable(VisitError):
    """The gateway does not answer."""

    retryable = True


class Refused(VisitError):
    """The gateway answered with a problem (RFC 9457)."""

    def __init__(self, call: str, status: int, problem: dict[str, object]) -> None:
        title = str(problem.get("title") or "no reason given")
        parts = [f"{call}: {status} {title}"]
        for name in ("detail", "field", "fix"):
            if problem.get(name):
                parts.append(f"{name}: {problem[name]}")
        super().__init__("; ".join(parts))
        self.status = status
        self.problem = problem
        self.retryable = status in (429, 503)


class MediaFailed(VisitError):
    """ICE or DTLS did not come up."""


class EventsClosed(VisitError):
    """The events channel is gone for good."""


class SummaryMissing(VisitError):
    """The visit's summary did not come."""


class NetworkError(ToolError):
    """The network simulator can't do its work."""


class UnknownNetwork(NetworkError):
    """No network has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"--network {name}: use one of {', '.join(known)}, or l<percent>b<burst>, e.g. l05b3 for 5 % loss"
            " in bursts of 3"
        )
        self.name = name


class BenchError(ToolError):
    """The benchmark can't run as asked."""
