"""Access to one node, whatever the work there: its tokens, and what may be told of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay.errors import AttemptError
from relay.events import Event
from relay.token import fits_a_header, mint_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.connection import Connections, Peer
    from relay.token import Mint


@dataclass
class Access:
    """What a piece of work needs to reach one node.

    Its tokens are remembered, so that none is told of with the node (BUG-41).
    """

    peer: Peer
    mint: Mint
    connections: Connections
    emit: Callable[[Event], None]

    async def token(self) -> str:
        """Get a new token of the node (SEQ-08).

        Raises:
            AttemptError: There is none, or not in time.
        """
        limit = self.connections.limits.mint
        try:
            async with asyncio.timeout(limit):
                token = await self.mint.mint(self.peer, self.connections)
        except AttemptError:
            raise
        except TimeoutError as error:
            raise mint_failure(f"no answer in {limit:g} s") from error
        except Exception as error:
            raise mint_failure(f"{type(error).__name__}: {error}") from error
        if not fits_a_header(token):
            raise mint_failure("the token is no text that can stand in a header")
        self.peer.secrets.add(token, "[token]")
        return token

    def hide(self, value: Any) -> Any:
        """The same text or JSON value without the secrets of this node."""
        return self.peer.secrets.hide(value)

    def tell(self, name: str, data: Mapping[str, object]) -> None:
        """Emit an event of this node."""
        self.emit(Event(self.peer.node.name, name, self.hide(data)))
