"""Ctrl-C and its like, which end a deploy in an orderly way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Self, TypeVar

_T = TypeVar("_T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 3  # signals after which nothing is cleaned up any more


class Interrupts:
    """The first signal gives up what is under way, and no other one disturbs the clean-up."""

    def __init__(self) -> None:
        self.caught: list[int] = []
        self._give_up: Callable[[], object] | None = None

    def __enter__(self) -> Self:
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # One that is ignored stays so, as under nohup.
        self._before = {it: how for it, how in before.items() if how is not signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, work: Coroutine[object, object, _T]) -> _T:
        """Run it to its end in an event loop.

        Raises:
            KeyboardInterrupt: It was given up, and all that it held is closed.
        """

        async def watched() -> _T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            self._give_up = lambda: loop.call_soon_threadsafe(task.cancel)
            try:
                return await work
            finally:
                self._give_up = int  # what is left to do takes no time

        try:
            return asyncio.run(watched())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            self._give_up = None

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        self.caught.append(number)
        if len(self.caught) >= _PATIENCE:
            os._exit(128 + number)
        if len(self.caught) > 1:
            return
        if self._give_up is None:
            raise KeyboardInterrupt
        self._give_up()
