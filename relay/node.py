"""Pure: what a caller says about a node, and what a mint is."""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import KW_ONLY, dataclass, field
from typing import Protocol

import aiohttp

from deploy_relay_kit.relay.errors import InputError, check_path, check_type, is_number
from deploy_relay_kit.relay.limits import Limits

AnyPath = str | os.PathLike[str]

_TEXT = str | None
_PORT = "a number or a text such as host:port"
DEFAULT_PORT = 9925
DEFAULT_REPLICATION_PORT = 9933


class MintContext(Protocol):
    """What a mint may use to get a token from one node."""

    @property
    def node(self) -> "Node":
        """The node."""

    @property
    def limits(self) -> Limits:
        """The limits of the deploy."""

    async def ask(self, request: Mapping[str, object]) -> dict[str, object]:
        """Send an operation to the node's operations API and return the members of its answer."""

    def replication_socket(
        self, subprotocol: str
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse[bool]]:
        """Open the node's replication socket; its pings are messages, to be answered with pongs."""

    def hide(self, secret: str, word: str) -> None:
        """Show `word` in place of a secret in all records and events of the node."""


class Mint(Protocol):
    """A way to get a token from a node. Its repr must not show secrets.

    You can pass an object of your own. What it raises becomes the reason of a failed record, so the
    text must not hold secrets either.
    """

    async def mint(self, context: MintContext, /) -> str:
        """Return a new token of `context.node`; cancelled after `context.limits.mint` seconds.

        Raises:
            Exception: There is no token.
        """


@dataclass(frozen=True)
class Node:
    """One peer of the cluster. Its repr shows no URL, which may hold a password.

    Args:
        name: The node's name in the cluster and in its record.
        url: URL of its operations API, with path and query (URL-01, URL-08). Without it, the URL is
            made from `host`, `port` and the origin's own settings (URL-02…06).
        host: Host name or IP address.
        port: Port of the operations API, not of replication (URL-11).
        replication_url: URL of its replication socket (WS-01). The operations API takes at most the
            host from it (URL-04, URL-05).
        verify: Whether to verify its certificate (TLS-01).
        ca_file: PEM file with authorities that are trusted for this node only, in addition to those
            of the cluster (TLS-02).
        mint: How to get a token from this node; by default the deploy's own mint.
        rate: How many bytes of the payload it is sent in a second; by default without limit.

    Raises:
        InputError: A value is of another type, or the rate not a number above 0.
    """

    name: str
    url: str | None = field(default=None, repr=False)
    _: KW_ONLY
    host: str | None = None
    port: int | str | None = None
    replication_url: str | None = field(default=None, repr=False)
    verify: bool = True
    ca_file: AnyPath | None = None
    mint: Mint | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        check_type("name of a node", self.name, str, "a text")
        for name in ("url", "host", "replication_url"):
            check_type(f"{name} of node {self.name!r}", getattr(self, name), _TEXT, "a text")
        check_type(f"verify of node {self.name!r}", self.verify, bool, "True or False")
        check_port(f"port of node {self.name!r}", self.port)
        if self.ca_file is not None:
            check_path(f"ca_file of node {self.name!r}", self.ca_file)
        if self.mint is not None:
            check_mint(f"mint of node {self.name!r}", self.mint)
        if self.rate is not None and (not is_number(self.rate) or self.rate == 0):
            raise InputError(
                f"rate of node {self.name!r} must be a number above 0, not {self.rate!r}"
            )


def checked(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes as they are now (AGG-07).

    Raises:
        InputError: They are not nodes.
    """
    what = "a list of relay.Node(…)"
    check_type("nodes", nodes, Iterable, what)
    if isinstance(nodes, str | bytes | Mapping):
        raise InputError(f"nodes must be {what}, not {type(nodes).__name__}")
    found = tuple(nodes)
    for node in found:
        check_type("each of the nodes", node, Node, "a relay.Node(…)")
    return found


@dataclass(frozen=True)
class LocalSettings:
    """The origin's own ports, which apply to nodes without a URL (URL-02, URL-03, WS-01).

    A port may be written as `host:port` (URL-10). The defaults are those of a stock configuration
    (URL-06).
    """

    secure_port: int | str | None = DEFAULT_PORT
    insecure_port: int | str | None = None
    secure_replication_port: int | str | None = DEFAULT_REPLICATION_PORT
    insecure_replication_port: int | str | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_port(name, value)


def check_port(name: str, value: object) -> None:
    """Refuse what is no port; whether it is in range is a matter of its node (SEQ-07).

    Raises:
        InputError: It is of another type.
    """
    check_type(name, value, int | str | None, _PORT)
    if isinstance(value, bool):
        raise InputError(f"{name} must be {_PORT}, not {value}")


def check_mint(name: str, value: object) -> None:
    """Refuse what cannot mint; the value is not shown, as it may be a token.

    Raises:
        InputError: It is no object with a method `mint`.
    """
    if isinstance(value, type) or not callable(getattr(value, "mint", None)):
        what = type(value).__name__
        raise InputError(f"{name} must be such as relay.OperationsMint(…), not {what}")
