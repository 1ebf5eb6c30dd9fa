"""Ways to mint a token for one attempt (SEQ-06, SEQ-08, MINT-01…07, MINT-11)."""

from dataclasses import dataclass, field

from deploy_relay_kit.relay.errors import InputError, PeerError, check_text
from deploy_relay_kit.relay.node import MintContext

OPERATION = "create_authentication_tokens"
LONGEST_TOKEN = 16_384  # characters; with its headers, a peer's HTTP server takes no more


@dataclass(frozen=True)
class OperationsMint:
    """Asks the node's operations API for a token, with a user name and password (MINT-11).

    Args:
        username: A super user of the node.
        password: The user's password.
        expires_in: Requested lifetime of the token. A peer checks a token when an upload begins, so
            minutes are enough; its own default is a day (MINT-07, MINT-13).
    """

    username: str
    password: str = field(repr=False)
    expires_in: str | int = "5m"

    def __post_init__(self) -> None:
        check_text("username", self.username)
        check_text("password", self.password)
        check_lifetime(self.expires_in)

    async def mint(self, context: MintContext, /) -> str:
        request = {
            "operation": OPERATION,
            "username": self.username,
            "password": self.password,
            "expires_in": self.expires_in,
        }
        context.hide(self.password, "[password]")
        answer = await context.ask(request)
        hide_refresh_token(answer, context)
        return token_in(answer)


def check_lifetime(expires_in: object) -> None:
    """Refuse what is no lifetime of a token; a peer would ignore it, or not mint (MINT-07).

    Raises:
        InputError: It is neither a text nor seconds.
    """
    is_text = isinstance(expires_in, str) and bool(expires_in)
    is_seconds = type(expires_in) is int and expires_in > 0
    if not is_text and not is_seconds:
        raise InputError(
            f"expires_in must be a text such as '5m', or seconds above 0, not {expires_in!r}"
        )


@dataclass(frozen=True)
class GivenToken:
    """A token that was minted elsewhere; all nodes with this mint get the same token."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not fits_a_header(self.token):
            raise InputError(
                f"the given token is empty, longer than {LONGEST_TOKEN} characters, "
                "or holds a space or a control character"
            )

    async def mint(self, _: MintContext, /) -> str:
        return self.token


def token_in(answer: object) -> str:
    """The token in a peer's answer, over either way of minting (MINT-02, MINT-03).

    Raises:
        PeerError: There is no token.
    """
    for holder in _holders(answer):
        token = holder.get("operation_token")
        if fits_a_header(token):
            return str(token)
        if isinstance(token, str) and len(token) > LONGEST_TOKEN:
            raise PeerError("mint", f"its token is longer than {LONGEST_TOKEN} characters")
    raise PeerError("mint", "peer did not return an operation_token")


def hide_refresh_token(answer: object, context: MintContext) -> None:
    """Nobody uses the refresh token beside a token, but the peer may quote it (MINT-04, BUG-41)."""
    for holder in _holders(answer):
        token = holder.get("refresh_token")
        if isinstance(token, str) and len(token) <= LONGEST_TOKEN:
            context.hide(token, "[refresh token]")


def _holders(answer: object) -> list[dict[str, object]]:
    inner = answer.get("results") if isinstance(answer, dict) else None
    return [holder for holder in (answer, inner) if isinstance(holder, dict)]


def fits_a_header(token: object) -> bool:
    """BUG-35: a header value is printable ASCII and not empty, so it cannot end its line.

    `Peer.token` checks it for every mint, also for those of a caller.
    """
    if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TOKEN:
        return False
    return all("!" <= it <= "~" for it in token)
