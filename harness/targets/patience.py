"""When a target is asked no more: nobody waits half a minute for each of hundreds of cases."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.targets.outcome import TargetHungError, TargetSkippedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HANGS = 3


class Patience:
    """Bears every hang of a target that has come back once, and the first few of any other."""

    def __init__(self) -> None:
        self._hangs = 0
        self._came_back = False

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for a deploy inside.

        Raises:
            TargetSkippedError: it is not worth it.

        """
        if self._hangs == _HANGS:
            raise TargetSkippedError(
                f"not asked: none of the first {_HANGS} deploys was answered in time"
            )
        try:
            yield
        except TargetHungError:
            self._hangs += not self._came_back
            raise
        except Exception:
            self._came_back = True
            raise
        self._came_back = True
