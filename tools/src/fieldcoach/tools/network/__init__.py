"""A bad network on this machine: an impaired link in virtual time, and a UDP relay that plays it.

`loss`, `conditions`, `profiles`, `direction` and `link` are told the time and do no I/O; `relay` is the shell
around them, `sdp` puts it between a client and the media server.
"""

from .link import ImpairedLink, Way
from .profiles import Phase, Schedule, schedule_of
from .relay import Relay

__all__ = ["ImpairedLink", "Phase", "Relay", "Schedule", "Way", "schedule_of"]
