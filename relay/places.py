"""How many nodes are served at the same time; fewer if the machine runs out of something."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from deploy_relay_kit.relay.errors import ExhaustedError
from deploy_relay_kit.relay.limits import Limits

_T = TypeVar("_T")

_PAUSE_SECONDS = 0.1  # until another try, when there is one place only


class Places:
    """Places for attempts, which are given out in the order of the requests.

    An attempt that found no file descriptor, port or memory is no failure of its node. It begins
    again when another attempt has ended, and from then on there is one place less.
    """

    def __init__(self, count: int, limits: Limits) -> None:
        self._count = count
        self._patience = limits.connect
        self._free = asyncio.Semaphore(count)
        self._ended_at = 0.0

    async def use(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """What the attempt returns; an `ExhaustedError` only if nothing becomes free."""
        clock = asyncio.get_running_loop().time
        begin = clock()
        while True:
            await self._free.acquire()
            is_given_back = True
            try:
                outcome = await attempt()
                if not isinstance(outcome, ExhaustedError):
                    self._ended_at = clock()
                    return outcome
                if clock() - max(begin, self._ended_at) > self._patience:
                    return outcome
                if self._count > 1:
                    self._count -= 1
                    is_given_back = False
                    continue
                await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                if is_given_back:
                    self._free.release()
