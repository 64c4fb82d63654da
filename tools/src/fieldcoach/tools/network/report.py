"""What the network did, in a few lines for a person."""

from .counts import Counts
from .link import Way


def report_lines(
    name: str,
    seed: int,
    counts: dict[Way, Counts],
    addresses: int,
    worst_late_ms: float,
    socket_errors: int,
) -> list[str]:
    """One line each way and one about the simulator itself."""
    lines = [f"network {name}, seed {seed}"]
    for way, title in ((Way.UP, "uplink"), (Way.DOWN, "downlink")):
        lines.append(f"  {title:<9} {_direction(counts[way])}")
    if addresses > 1:
        lines.append(f"  the phone had {addresses} addresses")
    errors = f", {socket_errors} socket errors" if socket_errors else ""
    lines.append(f"  the simulator was at most {worst_late_ms:.1f} ms late{errors}")
    return lines


def _direction(counts: Counts) -> str:
    if not counts.sent:
        return "no packet"
    parts = [f"{counts.sent} packets, {counts.delivered} delivered"]
    for reason, number in counts.dropped:
        text = f"{number} {reason} ({100 * number / counts.sent:.1f} %)"
        if reason == "lost":
            text += f" in bursts of {number / counts.bursts:.1f}"
        parts.append(text)
    if counts.duplicated:
        parts.append(f"{counts.duplicated} twice")
    if counts.reordered:
        parts.append(f"{counts.reordered} out of order")
    if counts.delivered:
        parts.append(f"delay {counts.mean_delay_s * 1e3:.0f} ms, at most {counts.max_delay_s * 1e3:.0f} ms")
    return "; ".join(parts)
