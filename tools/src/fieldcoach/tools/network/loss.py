"""Packet loss that comes in bursts (Gilbert-Elliott), reproducible by its seed."""

import random


class GilbertElliott:
    """Two states: in the good one every packet gets through, in the bad one none does (Gilbert's case, 1960).

    `mean_loss` is the share of packets lost in the long run, `mean_burst` the mean number of packets lost in
    a row. A burst's length is geometric; with `mean_burst` 1 every loss is single, with a packet that gets
    through on either side of it.

    Raises:
        ValueError: no chain has these two; the message gives the limit.
    """

    def __init__(self, mean_loss: float, mean_burst: float, draw: random.Random) -> None:
        if not 0 <= mean_loss < 1 or mean_burst < 1:
            raise ValueError("mean_loss is within 0 and 1, mean_burst at least 1")
        # the share of time in the bad state is p / (p + r), its mean stay 1 / r
        self._leave = 1 / mean_burst
        self._enter = mean_loss * self._leave / (1 - mean_loss)
        if self._enter > 1:
            limit = mean_burst / (1 + mean_burst)
            raise ValueError(f"bursts of {mean_burst:g} allow a mean loss of at most {limit:.2f}")
        self._draw = draw
        self._is_bad = False

    def next_is_lost(self) -> bool:
        """The fate of the next packet."""
        # one number for each packet, whatever the state: two links of one seed stay comparable
        number = self._draw.random()
        self._is_bad = number >= self._leave if self._is_bad else number < self._enter
        return self._is_bad
