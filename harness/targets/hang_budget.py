"""When a target is asked no more: nobody waits half a minute for each of hundreds of cases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.targets.outcome import TargetHungError, TargetSkippedError

_HANGS = 3


class Patience:
    """Bears every hang of a target that has come back once, and the first few of any other."""

    def __init__(self, most: int = _HANGS) -> None:
        """`most`: how many hangs of one that has not come back yet."""
        self._most = most
        self._hangs = 0
        self._came_back = False

    @property
    def is_over(self) -> bool:
        """Whether it is not worth it to ask once more."""
        return self._hangs == self._most and not self._came_back

    def hung(self) -> None:
        self._hangs += not self._came_back

    def came_back(self) -> None:
        self._came_back = True

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for a deploy inside.

        Raises:
            TargetSkippedError: it is not worth it.

        """
        if self.is_over:
            raise TargetSkippedError(
                f"not asked: none of the first {self._most} deploys was answered in time"
            )
        try:
            yield
        except TargetHungError:
            self.hung()
            raise
        except Exception:
            self.came_back()
            raise
        self.came_back()
