"""Free TCP ports on the loopback address."""

import socket
from contextlib import ExitStack

from ..errors import PortInUse

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def require_free(port: int) -> int:
    """The port itself, if it can be listened on.

    Raises:
        PortInUse: it can't.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server would, past TIME_WAIT
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortInUse(port) from error
    return port
