"""When a target is no longer asked: nobody waits half a minute for each of hundreds of cases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.targets.outcome import TargetHungError, TargetSkippedError

_HANGS = 3


class HangBudget:
    """Tolerates a few hangs of a target that never answered, and any number after an answer."""

    def __init__(self, limit: int = _HANGS) -> None:
        """`limit`: hangs of a target that has not answered yet."""
        self._limit = limit
        self._hangs = 0
        self._has_answered = False

    @property
    def is_spent(self) -> bool:
        """Whether the target should not be asked again."""
        return self._hangs == self._limit and not self._has_answered

    def hung(self) -> None:
        self._hangs += not self._has_answered

    def answered(self) -> None:
        self._has_answered = True

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for a deploy inside.

        Raises:
            TargetSkippedError: the budget is spent.
        """
        if self.is_spent:
            raise TargetSkippedError(
                f"not asked: none of the first {self._limit} deploys was answered in time"
            )
        try:
            yield
        except TargetHungError:
            self.hung()
            raise
        except Exception:
            self.answered()
            raise
        self.answered()
