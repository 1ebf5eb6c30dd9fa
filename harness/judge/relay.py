"""A target in the words of the cases: `relay.deploy(to=[peer])[peer].status`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, get_args

import pytest

from harness.cluster import FakeCluster
from harness.faults.kinds import MintFault
from harness.judge.catalogue import requirements
from harness.peer.payloads import Payload
from harness.targets import Target
from harness.targets.deploy_command import (
    MINT_CAPABILITIES,
    DeployCommand,
    DeployNode,
    GivenToken,
    Mint,
    OperationsMint,
    ReplicationMint,
)
from harness.targets.outcome import Outcome


def not_declared(target: Target, ids: Iterable[str]) -> str:
    """Why a case of these requirements does not apply to a target; empty when it does.

    Raises:
        TargetBrokeError: the target does not start.

    """
    for id_ in ids:
        needed = requirements()[id_].capabilities
        if needed and not set(needed) & set(target.capabilities):
            return f"{id_} needs {' or '.join(needed)}, which {target.name} does not declare"
    return ""


class Served(Protocol):
    """What a node can be reached through: a fake peer, or a proxy in front of one."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...


def usual_mint(served: Served, declared: Collection[str]) -> Mint:
    """The first way of minting on this node that a target declares."""
    kind = next(
        (kind for kind, name in MINT_CAPABILITIES.items() if name in declared), OperationsMint
    )
    tokens = getattr(served, "tokens", None)
    if kind is GivenToken and tokens is not None:
        return GivenToken(tokens.issue(served.username))
    if kind is ReplicationMint:
        return ReplicationMint()
    return OperationsMint(served.username, served.password)


def _goes_wrong_at_the_mint(served: Served | DeployNode) -> bool:
    """Whether a node shows what only who mints over its operations API can see."""
    shown = getattr(served, "faults", ())
    return any(isinstance(fault, get_args(MintFault)) for fault in shown)


class Relay:
    """A target in the words of the cases."""

    def __init__(
        self,
        target: Target,
        *,
        ca_file: Path,
        payload: Payload,
        cluster: FakeCluster | None = None,
    ) -> None:
        """Deploy `payload` through `target` to nodes that `ca_file` vouches for, by default.

        Where a target can mint over the replication socket only, `cluster` starts one for each of
        its peers that a case deploys to.
        """
        self.target = target
        self._cluster = cluster
        self._sockets: dict[str, str] = {}
        self.asked: list[DeployCommand] = []
        """What it was told so far, deploy by deploy."""
        self.outcomes: list[Outcome] = []
        """What it reported so far, deploy by deploy."""
        self._ca_file = ca_file
        self._payload = payload

    def deploy(
        self,
        to: Iterable[Served | DeployNode],
        *,
        request: Mapping[str, Any] | None = None,
        payload: Path | None = None,
        ca_file: Path | None = None,
        verify: bool = True,
        **how: Any,
    ) -> Outcome:
        """Deploy to these nodes and return what the target reported.

        A case that needs what the target does not declare ends here, as not applicable.

        Args:
            to: the nodes, in order; a `DeployNode` is taken as it is.
            request: members of the deploy request beside `operation`; `project` is `demo` if left
                out.
            payload: staged payload; the case's small one if left out.
            ca_file: CA bundle; the cluster's own if left out.
            verify: False to tell every node's certificate to be trusted unseen.
            how: further attributes of `DeployCommand`.

        Raises:
            TargetBrokeError: the target crashed, hung or broke the adapter protocol.
            TargetSkippedError: the target would not do what it declares.

        """
        __tracebackhide__ = True  # of interest is the case that deploys
        to = list(to)
        command = DeployCommand(
            nodes=tuple(
                node if isinstance(node, DeployNode) else self.node(node, verify=verify)
                for node in to
            ),
            request={"operation": "deploy_component", "project": "demo", **(request or {})},
            payload=payload or self._payload.path,
            ca_file=ca_file or self._ca_file,
            **how,
        )
        needed = set(command.needs)
        if any(_goes_wrong_at_the_mint(it) for it in to):
            needed.add(MINT_CAPABILITIES[OperationsMint])
        missing = needed - set(self.target.capabilities)
        if missing:
            names = ", ".join(sorted(missing))
            pytest.skip(f"not applicable: {self.target.name} does not declare {names}")
        self.asked.append(command)
        self.outcomes.append(self.target.deploy(command))
        return self.outcomes[-1]

    def node(self, served: Served, **how: Any) -> DeployNode:
        """A peer as the origin knows it; `how` are attributes of `DeployNode` to differ in."""
        mint = how.pop("mint", None) or usual_mint(served, self.target.capabilities)
        usual = {"url": served.url, "mint": mint}
        if isinstance(mint, ReplicationMint) and "replication_url" not in how:
            usual["replication_url"] = self._socket(served.name)
        return DeployNode(served.name, **{**usual, **how})

    def minting(self, served: Served) -> DeployNode:
        """A node whose token is minted over its operations API, for cases that look at that."""
        return self.node(served, mint=OperationsMint(served.username, served.password))

    def _socket(self, name: str) -> str | None:
        """The URL of the replication socket of a node, which is started when first asked for."""
        if self._cluster is None:
            return None
        if name not in self._sockets:
            peers = [peer for peer in self._cluster.peers if peer.name == name]
            if not peers:
                return None
            self._sockets[name] = self._cluster.replication(peers[0]).url
        return self._sockets[name]
