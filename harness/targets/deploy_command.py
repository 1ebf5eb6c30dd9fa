"""The deploy command: everything that a target is told for one deploy. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class OperationsMint:
    """Mint over the node's operations API, as this user."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReplicationMint:
    """Mint over the node's replication socket, as whom the relay's certificate names."""


@dataclass(frozen=True, slots=True)
class GivenToken:
    """Do not mint; use this token of the node."""

    token: str = field(repr=False)


Mint = OperationsMint | ReplicationMint | GivenToken

MINT_CAPABILITIES: dict[type[Mint], str] = {
    OperationsMint: "mint.operations",
    GivenToken: "mint.given",
    ReplicationMint: "mint.replication",
}
"""What a target must declare for each way of minting, the usual one first."""


def no_way_to_mint(declared: Collection[str]) -> str:
    """What is wrong with capabilities among which is no way to mint; empty when there is one."""
    ways = MINT_CAPABILITIES.values()
    if set(ways) & set(declared):
        return ""
    return f"no way to mint is declared; declare one of {', '.join(ways)}"


@dataclass(frozen=True, slots=True)
class DeployNode:
    """A node as the origin knows it.

    Attributes:
        name: the node's name.
        url: URL of its operations API; None leaves the relay to put one together from the rest.
        mint: how to get its token.
        verify: False when the node's configuration switches certificate verification off.
        host, port: where it is, when it has no URL; a port may be written `host:port`.
        replication_url: URL of its replication socket.
        ca_file: authorities trusted for this node only.

    """

    name: str
    url: str | None
    mint: Mint
    verify: bool = True
    host: str | None = None
    port: int | str | None = None
    replication_url: str | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a relay may wait, in seconds, and how often it may try.

    Attributes:
        connect: for name lookup, connection and TLS handshake together.
        mint: for a token.
        stall: for a peer that takes no byte of an upload.
        answer: from the last byte of an upload to the end of the answer.
        attempts: how many attempts each node may take.
        retry_delay: longest pause before the second attempt.

    """

    connect: float = 10.0
    mint: float = 10.0
    stall: float = 10.0
    answer: float = 20.0
    attempts: int = 1
    retry_delay: float = 0.05


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The origin's own ports, for nodes without a URL of that kind; None is not configured."""

    secure_port: int | str | None = None
    insecure_port: int | str | None = None
    secure_replication_port: int | str | None = None
    insecure_replication_port: int | str | None = None


STOCK = LocalSettings(secure_port=9925, secure_replication_port=9933)
"""Of an origin whose configuration nobody has changed (URL-06)."""


@dataclass(frozen=True, slots=True)
class DeployCommand:
    """Everything that a target needs for one deploy.

    Attributes:
        nodes: where to deploy, in the order of the records.
        request: the deploy request as the origin holds it.
        payload: the staged payload.
        ca_file: the cluster's authorities, trusted besides those of the system.
        certificate_file, key_file: the relay's own certificate chain and its key.
        local: the origin's own settings.
        limits: time limits and attempts.
        allow_http: whether plain http to another machine is allowed.
        events: whether to ask the nodes for event streams.
        cancel_after: seconds after which the deploy is given up; None never does.
        deadline: seconds after which a target that has not answered counts as hanging.

    """

    nodes: tuple[DeployNode, ...]
    request: Mapping[str, Any]
    payload: Path
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    local: LocalSettings | None = None
    limits: Limits = Limits()
    allow_http: bool = False
    events: bool = False
    cancel_after: float | None = None
    deadline: float = 30.0

    @property
    def needs(self) -> set[str]:
        """The capabilities without which a target cannot do what this command says."""
        needed = {MINT_CAPABILITIES[type(node.mint)] for node in self.nodes}
        asked = {
            "insecure_node": any(not node.verify for node in self.nodes),
            "node_ca": any(node.ca_file for node in self.nodes),
            "urls_from_parts": any(node.url is None for node in self.nodes),
            "client_certificate": self.certificate_file is not None,
            "retry": self.limits.attempts > 1,
            "limits": self._times != _USUAL_TIMES,
            "allow_http": self.allow_http,
            "events": self.events,
            "cancel": self.cancel_after is not None,
        }
        return needed | {name for name, is_asked in asked.items() if is_asked}

    @property
    def _times(self) -> tuple[float, ...]:
        return _times(self.limits)


def _times(limits: Limits) -> tuple[float, ...]:
    return (limits.connect, limits.mint, limits.stall, limits.answer)


_USUAL_TIMES = _times(Limits())
