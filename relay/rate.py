"""Pure: at most so many bytes of the payload in a second."""

from dataclasses import dataclass

_BEHIND_SECONDS = 0.1  # a timer that ends late is made up for, a pause of the peer is not
_BLOCK_SECONDS = 0.05  # what is sent at once


@dataclass
class Rate:
    """One limit, of all nodes together or of one. Nodes that share it take turns.

    Args:
        bytes_per_second: None for no limit.
    """

    bytes_per_second: float | None
    _free_at: float | None = None

    def take(self, count: int, now: float) -> float:
        """Reserve so many bytes; return the time from which on they may be sent.

        The first bytes wait, too, so that no number of bytes is sent sooner than the rate allows.
        """
        if self.bytes_per_second is None:
            return now
        begin = now if self._free_at is None else max(self._free_at, now - _BEHIND_SECONDS)
        self._free_at = begin + count / self.bytes_per_second
        return self._free_at

    def block(self, largest: int) -> int:
        """How many bytes to send at once, so that the rate is even."""
        if self.bytes_per_second is None:
            return largest
        return max(1, min(largest, int(self.bytes_per_second * _BLOCK_SECONDS)))
