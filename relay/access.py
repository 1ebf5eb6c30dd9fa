"""Access to one node, whatever the work there: its tokens, and what may be told of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay.events import Event
from relay.redact import AS_IS, Hide, hiding
from relay.token import mint_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.connection import Connections, Peer
    from relay.token import Mint


@dataclass
class Access:
    """What a piece of work needs to reach one node.

    Its tokens are remembered: `hide` takes them out of whatever is told of the node, be it an
    event, a success or a failure (BUG-41).
    """

    peer: Peer
    mint: Mint
    connections: Connections
    emit: Callable[[Event], None]
    _tokens: list[str] = field(default_factory=list, init=False, repr=False)
    _hide: Hide = field(default_factory=lambda: AS_IS, init=False, repr=False)

    async def token(self) -> str:
        """Get a new token of the node (SEQ-08).

        Raises:
            AttemptError: There is none, or not in time.
        """
        limit = self.connections.limits.mint
        try:
            async with asyncio.timeout(limit):
                token = await self.mint.mint(self.peer, self.connections)
        except TimeoutError as error:
            raise mint_failure(f"no answer in {limit:g} s") from error
        self._tokens.append(token)
        self._hide = hiding(self._tokens, "[token]")
        return token

    def hide(self, value: Any) -> Any:
        """The same text or JSON value without the tokens of this node."""
        return self._hide(value)

    def tell(self, name: str, data: Mapping[str, object]) -> None:
        """Emit an event of this node."""
        self.emit(Event(self.peer.node.name, name, self.hide(data)))
