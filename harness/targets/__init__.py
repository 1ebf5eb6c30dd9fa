"""What is judged: a target takes a deploy command and returns what its relay made of it.

`Relay` is the target in the words of the cases: `relay.deploy(to=[peer])[peer].status`.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from harness.catalogue import requirements
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


class Relay:
    """A target in the words of the cases."""

    def __init__(self, target: Target, *, ca_file: Path, payload: Payload) -> None:
        """Deploy `payload` through `target` to nodes that `ca_file` vouches for, by default."""
        self.target = target
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
        missing = command.needs - set(self.target.capabilities)
        if missing:
            names = ", ".join(sorted(missing))
            pytest.skip(f"not applicable: {self.target.name} does not declare {names}")
        self.outcomes.append(self.target.deploy(command))
        return self.outcomes[-1]

    def node(self, served: Served, **how: Any) -> DeployNode:
        """A peer as the origin knows it; `how` are attributes of `DeployNode` to differ in."""
        usual = {
            "url": served.url,
            "mint": how.pop("mint", None) or usual_mint(served, self.target.capabilities),
        }
        return DeployNode(served.name, **{**usual, **how})
