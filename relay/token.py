"""Minting: one token from one peer for one attempt (SEQ-06, SEQ-08, MINT-01…07, MINT-11)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from relay.errors import InputError, PeerError

if TYPE_CHECKING:
    from relay.connection import Connections, Peer

OPERATION = "create_authentication_tokens"


class Mint(Protocol):
    """A way to get a token from a peer. Its repr must not show what it knows.

    One of your own returns the token; `peer.node` tells of which node. What it raises becomes the
    reason of a failed record, so it must not tell secrets either.
    """

    async def mint(self, peer: Peer, connections: Connections) -> str:
        """Get a new token of this peer; cancelled when the limit of a mint ends.

        Raises:
            Exception: There is none.
        """


@dataclass(frozen=True)
class OperationsMint:
    """Asks the peer's operations API for a token, with a user's name and password (MINT-11).

    Args:
        username: A super user of the peer.
        password: That user's password.
        expires_in: Lifetime that is asked for. A token is judged when an upload begins, so minutes
            are enough, and the peer's own default is a day (MINT-07, MINT-13).
    """

    username: str
    password: str = field(repr=False)
    expires_in: str | int = "5m"

    def __post_init__(self) -> None:
        if not self.password:
            raise InputError("the password is empty")

    async def mint(self, peer: Peer, connections: Connections) -> str:
        request = {
            "operation": OPERATION,
            "username": self.username,
            "password": self.password,
            "expires_in": self.expires_in,
        }
        peer.secrets.add(self.password, "[password]")
        try:
            members = await connections.ask(peer, request)
        except PeerError as error:
            raise mint_failure(error.reason, error) from error
        return token_in(members)


@dataclass(frozen=True)
class GivenToken:
    """A token that somebody else minted; every node it is given for sees the same one."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not fits_a_header(self.token):
            raise InputError("the given token is empty or holds a space or a control character")

    # Unused, the arguments are those of every Mint.
    async def mint(self, peer: Peer, connections: Connections) -> str:  # noqa: ARG002
        return self.token


def token_in(answer: object) -> str:
    """The token in a peer's answer, whichever way it was asked (MINT-02, MINT-03).

    Raises:
        PeerError: There is none.
    """
    for holder in (answer, answer.get("results") if isinstance(answer, dict) else None):
        token = holder.get("operation_token") if isinstance(holder, dict) else None
        if fits_a_header(token):
            return str(token)
    raise mint_failure("peer did not return an operation_token")


def mint_failure(reason: str, cause: PeerError | None = None) -> PeerError:
    """A failed mint in the words of SEQ-06; failing to connect at all stays a stage of its own."""
    return PeerError(
        cause.stage if cause and cause.stage in {"connect", "tls"} else "mint",
        f"token mint failed: {reason}",
        status_code=cause.status_code if cause else None,
        retryable=bool(cause and cause.retryable),
        retry_after=cause.retry_after if cause else None,
    )


def fits_a_header(token: object) -> bool:
    """BUG-35: a header value is printable ASCII and not empty, so it cannot end its line."""
    return isinstance(token, str) and token != "" and all("!" <= it <= "~" for it in token)
