"""Ctrl-C and similar signals, which cancel a deploy and let it clean up."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Self, TypeVar

_T = TypeVar("_T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST = 3  # the signal that ends the process without a clean-up


class Interrupts:
    """The first signal cancels the work; the second does not disturb the clean-up by default."""

    def __init__(self) -> None:
        self.caught: list[int] = []
        self._cancel: Callable[[], object] | None = None
        self._again = False

    def __enter__(self) -> Self:
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # An ignored signal stays ignored, as under nohup.
        self._before = {n: handler for n, handler in before.items() if handler != signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, work: Coroutine[object, object, _T], *, again: bool = False) -> _T:
        """Run the work in an event loop; with `again`, a second signal cancels its clean-up.

        Raises:
            KeyboardInterrupt: It was cancelled, and has cleaned up.
        """

        async def cancellable() -> _T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None

            def cancel() -> None:
                if again or not task.cancelling():
                    task.cancel()

            self._cancel = lambda: loop.call_soon_threadsafe(cancel)
            if self.caught:
                cancel()
            try:
                return await work
            finally:
                self._cancel = int  # only a quick clean-up is left

        self._again = again
        self._cancel = int  # a signal while the loop is made cancels the work at its beginning
        try:
            return asyncio.run(cancellable())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            self._cancel = None

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        self.caught.append(number)
        if len(self.caught) >= _LAST:
            os._exit(128 + number)
        if len(self.caught) > 1 and not self._again:
            return
        if self._cancel is None:
            raise KeyboardInterrupt
        self._cancel()
