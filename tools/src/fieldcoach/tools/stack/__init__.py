"""The whole system on this machine: nats-server and the four services, each its own process."""

from .plan import StackOptions
from .stack import Progress, Stack
from .state import RunningStack

__all__ = ["Progress", "RunningStack", "Stack", "StackOptions"]
