"""One attempt at one node, whatever its work: its token, and what may be told of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from relay.answer import success_members
from relay.events import Event
from relay.redact import AS_IS, Hide, hiding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.connection import Connections, Peer
    from relay.token import Mint


@dataclass
class Attempt:
    """What a piece of work needs to reach one node.

    Its tokens are remembered: `hide` takes them out of whatever is told of the attempt, be it an
    event, a success or a failure (BUG-41).
    """

    peer: Peer
    mint: Mint
    connections: Connections
    emit: Callable[[Event], None]
    _tokens: list[str] = field(default_factory=list, init=False, repr=False)

    async def token(self) -> str:
        """Get a new token of the node (SEQ-08).

        Raises:
            AttemptError: There is none.
        """
        token = await self.mint.mint(self.peer, self.connections)
        self._tokens.append(token)
        return token

    def hide(self, value: Any) -> Any:
        """The same text or JSON value without the tokens of this node."""
        return hiding(self._tokens, "[token]")(value)

    def tell(self, name: str, data: Mapping[str, object]) -> None:
        """Emit an event of this node."""
        self.emit(Event(self.peer.node.name, name, self.hide(data)))


async def ask(
    peer: Peer,
    connections: Connections,
    request: Mapping[str, object],
    *,
    token: str | None = None,
    hide: Hide = AS_IS,
) -> dict[str, object]:
    """Ask a peer's operations API for something small; the members of its answer.

    Args:
        peer: Whom to ask.
        connections: How to reach it.
        request: The operation, as JSON members.
        token: Goes into the head when given.
        hide: Applied to a raw answer that becomes a reason, before it is shortened (RES-07).

    Raises:
        AttemptError: There is no answer, or it is no success.
    """
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    answer = await connections.post(peer, headers, json.dumps(request).encode())
    return success_members(replace(answer, hide=hide))
