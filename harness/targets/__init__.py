"""What is judged: a target takes a deploy command and returns the records that its relay made.

`Relay` is the target in the words of the cases: `relay.deploy(to=[peer])[peer].status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.payloads import Payload


@dataclass(frozen=True, slots=True)
class DeployNode:
    """A node as the origin knows it.

    Attributes:
        name: the node's name.
        url: URL of its operations API.
        username, password: what to mint with over the operations API of this node.
        verify: False when the node's configuration switches certificate verification off.

    """

    name: str
    url: str
    username: str
    password: str
    verify: bool = True


@dataclass(frozen=True, slots=True)
class DeployCommand:
    """Everything that a target needs for one deploy."""

    nodes: tuple[DeployNode, ...]
    request: Mapping[str, Any]
    payload: Path
    ca_file: Path | None


class Target(Protocol):
    """A relay that can be told to deploy."""

    name: str

    def deploy(self, command: DeployCommand) -> list[dict[str, Any]]:
        """Relay the deploy; return one record per node, in node order."""

    def close(self) -> None:
        """Release what the target holds; called once, after the last case."""


class UnknownTargetError(ValueError):
    """The name of a target that the kit does not know."""


def open_target(spec: str) -> Target:
    """The target that `--relay` names.

    Raises:
        UnknownTargetError: the spec names none.

    """
    if spec == "reference":
        from harness.targets.reference import ReferenceTarget  # noqa: PLC0415 - only when judged

        return ReferenceTarget()
    raise UnknownTargetError(f"--relay {spec!r}: no such target; use `reference`")


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


@dataclass(frozen=True, slots=True)
class Record:
    """One record that the target returned, with its common members at hand."""

    members: Mapping[str, Any]

    @property
    def status(self) -> Any:
        return self.members.get("status")

    @property
    def reason(self) -> str:
        """The reason; an empty text when the record gives none."""
        return str(self.members.get("reason", ""))

    @property
    def status_code(self) -> Any:
        """`statusCode`; None when the record has none."""
        return self.members.get("statusCode")

    def __contains__(self, member: str) -> bool:
        return member in self.members

    def __getitem__(self, member: str) -> Any:
        return self.members[member]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The records of one deploy, in the order in which the target returned them."""

    records: tuple[Record, ...]

    def __getitem__(self, node: Served) -> Record:
        """The record of a node; an AssertionError when there is not exactly one."""
        found = [record for record in self.records if record.members.get("node") == node.name]
        if len(found) != 1:
            names = [record.members.get("node") for record in self.records]
            raise AssertionError(f"{len(found)} records of {node.name!r}, not one, among {names}")
        return found[0]

    @property
    def nodes(self) -> list[Any]:
        return [record.members.get("node") for record in self.records]

    @property
    def statuses(self) -> list[Any]:
        return [record.status for record in self.records]


class Relay:
    """A target in the words of the cases."""

    def __init__(self, target: Target, *, ca_file: Path, payload: Payload) -> None:
        """Deploy `payload` through `target` to nodes that `ca_file` vouches for, by default."""
        self.target = target
        self._ca_file = ca_file
        self._payload = payload

    def deploy(
        self,
        to: Iterable[Served],
        *,
        request: Mapping[str, Any] | None = None,
        payload: Path | None = None,
        ca_file: Path | None = None,
        verify: bool = True,
    ) -> Outcome:
        """Deploy to these nodes and return what the target reported.

        Args:
            to: the nodes, in order.
            request: members of the deploy request beside `operation`; `project` is `demo` if left
                out.
            payload: staged payload; the case's small one if left out.
            ca_file: CA bundle; the cluster's own if left out.
            verify: False to tell every node's certificate to be trusted unseen.

        """
        nodes = tuple(
            DeployNode(node.name, node.url, node.username, node.password, verify) for node in to
        )
        command = DeployCommand(
            nodes=nodes,
            request={"operation": "deploy_component", "project": "demo", **(request or {})},
            payload=payload or self._payload.path,
            ca_file=ca_file or self._ca_file,
        )
        return Outcome(tuple(Record(members) for members in self.target.deploy(command)))
