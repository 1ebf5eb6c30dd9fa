"""What is judged: a target takes a deploy command and returns what its relay made of it.

`Relay` is the target in the words of the cases: `relay.deploy(to=[peer])[peer].status`.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Protocol, get_args

import pytest

from harness.catalogue import requirements
from harness.faults import MintFault
from harness.targets.deploy import (
    MINT_CAPABILITIES,
    DeployCommand,
    DeployNode,
    GivenToken,
    Limits,
    LocalSettings,
    Mint,
    OperationsMint,
    ReplicationMint,
)
from harness.targets.outcome import Outcome, Record, TargetBrokeError, TargetSkippedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from harness.cluster import FakeCluster
    from harness.payloads import Payload

__all__ = [
    "DeployCommand",
    "DeployNode",
    "GivenToken",
    "Limits",
    "LocalSettings",
    "OperationsMint",
    "Outcome",
    "Record",
    "Relay",
    "ReplicationMint",
    "Target",
    "TargetBrokeError",
    "TargetSkippedError",
    "UnknownTargetError",
    "not_declared",
    "open_target",
    "usual_mint",
]


class Target(Protocol):
    """A relay that can be told to deploy."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str:
        """Which relay it says it is, with its version; may raise as `capabilities` does."""

    @property
    def capabilities(self) -> Collection[str]:
        """What of the optional it can do; may raise TargetBrokeError when it must be started."""

    @property
    def pid(self) -> int:
        """The process in which the relay runs."""

    @property
    def output(self) -> str:
        """What it wrote to its own stdout and stderr during the last deploy; "" in-process."""

    @property
    def stderr(self) -> str:
        """Of that, what went to stderr, for a person to read."""

    def deploy(self, command: DeployCommand) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetBrokeError: the target is at fault in a way that is no outcome.
            TargetSkippedError: the target would not do it.

        """

    def close(self) -> None:
        """Release what the target holds; called once, after the last case."""


class UnknownTargetError(ValueError):
    """The name of a target that the kit does not know, or that cannot be found."""


def open_target(spec: str) -> Target:
    """The target that `--relay` names: `reference`, `cmd:COMMAND` or `python:MODULE:FUNCTION`.

    Raises:
        UnknownTargetError: the spec names none.

    """
    kind, _, rest = spec.partition(":")
    if spec == "reference":
        from harness.targets.reference import ReferenceTarget  # noqa: PLC0415 - only when judged

        return ReferenceTarget()
    if kind == "cmd" and rest.strip():
        from harness.targets.command import CommandTarget  # noqa: PLC0415 - only when judged

        try:
            return CommandTarget(shlex.split(rest))
        except ValueError as error:
            raise UnknownTargetError(f"--relay {spec!r}: {error}") from error
    if kind == "python" and rest.count(":") == 1:
        from harness.targets.function import (  # noqa: PLC0415 - only when judged
            FunctionTarget,
            UnusableFunctionError,
        )

        try:
            return FunctionTarget(rest)
        except UnusableFunctionError as error:
            raise UnknownTargetError(f"--relay {error}") from error
    raise UnknownTargetError(
        f"--relay {spec!r}: no such target; use `reference`, `cmd:COMMAND` "
        "or `python:package.module:function`"
    )


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
