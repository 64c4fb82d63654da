"""LocalAgreement: what two successive decodes of a growing utterance say alike is committed.

After Liu et al. 2020 and whisper_streaming: the longest common prefix of the last two hypotheses. What has
been committed is never taken back, also when a later decode would change it: a reader may have acted on it.
"""


class LocalAgreement:
    """The committed and tentative words of one open utterance."""

    def __init__(self) -> None:
        self._committed: list[str] = []
        self._last: list[str] = []

    @property
    def committed(self) -> str:
        """The words that will not change before the final."""
        return " ".join(self._committed)

    def update(self, text: str) -> tuple[str, str]:
        """Take the newest hypothesis; returns (committed, tentative)."""
        words = text.split()
        agreed = _common_prefix(self._last, words)
        if agreed > len(self._committed) and words[: len(self._committed)] == self._committed:
            self._committed = words[:agreed]
        self._last = words
        return self.committed, " ".join(words[len(self._committed) :])


def _common_prefix(one: list[str], other: list[str]) -> int:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length


def without_overlap(before: str, text: str, most: int = 2) -> str:
    """`text` without its first words that also ended `before`: both parts of a cut heard them."""
    ended, begins = before.split(), text.split()
    for n in range(min(most, len(ended), len(begins)), 0, -1):
        if ended[-n:] == begins[:n]:
            return " ".join(begins[n:])
    return text
