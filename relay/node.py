"""Pure: what a caller says about a node, and what a mint is."""

import math
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import KW_ONLY, dataclass, field
from typing import Protocol

import aiohttp

from deploy_relay_kit.relay.errors import InputError, check_type
from deploy_relay_kit.relay.limits import Limits

AnyPath = str | os.PathLike[str]

_TEXT = str | None
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
        if self.rate is not None and (
            type(self.rate) not in {int, float} or not 0 < self.rate < math.inf
        ):
            raise InputError(
                f"rate of node {self.name!r} must be a number above 0, not {self.rate!r}"
            )


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
