"""Peers that flood the relay get a small part of the event loop, all together (AGG-04)."""

import asyncio
from dataclasses import dataclass

_FREE = 0.01  # seconds of work for one peer before it counts as a flood
_SHARE = 4  # a second of work for floods is followed by this many seconds for the others
_LEAST = 0.002  # seconds; a timer is not more exact


class Pace:
    """What all peers of a deploy share."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def rest(self, seconds: float) -> None:
        """Wait until the others have had their part, after so many seconds of work for floods."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + _SHARE * seconds
        await asyncio.sleep(self._free_at - now)


@dataclass
class Work:
    """The work for one exchange with one peer, in seconds."""

    _pace: Pace
    _free: float = _FREE
    _owed: float = 0.0

    async def rest(self, seconds: float) -> None:
        """Let the others work, after so many seconds of work for this peer."""
        if self._free > 0:
            self._free -= seconds
        else:
            self._owed += seconds
        if self._owed > _LEAST:
            owed, self._owed = self._owed, 0.0
            await self._pace.rest(owed)
        else:
            await asyncio.sleep(0)
