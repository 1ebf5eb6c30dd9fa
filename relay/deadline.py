"""A time limit that does not count the time in which this process is stopped."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

_LATE_SECONDS = 1.0  # a timer is that late only if nothing ran meanwhile (Ctrl-Z, SIGSTOP)


class Deadline:
    """Raises a TimeoutError from its context, like `asyncio.timeout`, and can be started again.

    After a stop of the process the limit starts again, so that what has arrived is read first. A
    peer is not slow because the relay was stopped.
    """

    def __init__(self, seconds: float | None = None) -> None:
        """With None it waits for `start`."""
        self._seconds = seconds
        self._when = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        if self._seconds is not None:
            self.start(self._seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def start(self, seconds: float) -> None:
        """The limit begins now, in place of the one before."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._timer is not None:
            if abs(when - self._when) <= seconds / 100:  # skip tiny changes
                return
            self._timer.cancel()
        self._seconds, self._when = seconds, when
        self._timer = loop.call_at(when, self._reach)

    def _reach(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        if self._seconds is not None and now - self._when > _LATE_SECONDS:
            self.start(self._seconds)
            return
        with contextlib.suppress(RuntimeError):  # it ends already
            self._timeout.reschedule(now)
