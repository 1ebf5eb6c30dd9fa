"""A target in the words of the cases: `relay.deploy(to=[peer])[peer].status`."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.kinds import group_of
from deploy_relay_kit.harness.peer.payloads import Payload
from deploy_relay_kit.harness.replication.socket import FakeReplicationSocket
from deploy_relay_kit.harness.targets import Target
from deploy_relay_kit.harness.targets.deploy_command import (
    MINT_CAPABILITIES,
    DeployCommand,
    DeployNode,
    GivenToken,
    Mint,
    OperationsMint,
    ReplicationMint,
)
from deploy_relay_kit.harness.targets.outcome import DEADLINE, Outcome, TargetHungError
from deploy_relay_kit.harness.witness.timeline import progress

_NODES = 1  # whose progress is told when a deploy hangs
_END = 100  # characters of what a target wrote that are kept then


class NotApplicable(Exception):  # noqa: N818 - it says what a case is
    """The case needs what the target does not declare.

    Attributes:
        capabilities: their names.
    """

    def __init__(self, capabilities: Collection[str]) -> None:
        super().__init__(", ".join(sorted(capabilities)))
        self.capabilities = sorted(capabilities)


class Served(Protocol):
    """What a node can be reached through: a fake peer, or a front of one."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...


def usual_mint(served: Served, declared: Collection[str]) -> Mint:
    """The first way to mint on this node that a target declares."""
    kind = next(
        (kind for kind, name in MINT_CAPABILITIES.items() if name in declared), OperationsMint
    )
    tokens = getattr(served, "tokens", None)
    if kind is GivenToken and tokens is not None:
        return GivenToken(tokens.issue(served.username))
    if kind is ReplicationMint:
        return ReplicationMint()
    return OperationsMint(served.username, served.password)


ABSENT = object()
"""The value of a default member that a request is to lack."""


def _completed(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the members that every deploy needs."""
    usual = {"operation": "deploy_component", "project": "demo"}
    whole = request if usual.keys() <= request.keys() else {**usual, **request}
    return {name: value for name, value in whole.items() if value is not ABSENT}


def _has_mint_fault(served: Served | DeployNode) -> bool:
    """Whether a node has a fault that only a mint over its operations API can see."""
    return any(group_of(fault) == "mint" for fault in getattr(served, "faults", ()))


class Relay:
    """A target in the words of the cases.

    Attributes:
        target: the target.
        blocked_by: why nothing can be judged; empty when something can.
        commands: the deploy commands that it got so far, in order.
        outcomes: what it reported so far, deploy by deploy.
        left_out: the names of nodes whose faults a case does not ask about.
    """

    def __init__(
        self,
        target: Target,
        *,
        ca_file: Path,
        payload: Payload,
        cluster: FakeCluster | None = None,
        blocked_by: str = "",
    ) -> None:
        """By default, deploy `payload` through `target` to nodes that `ca_file` vouches for.

        For a target that can mint over the replication socket only, `cluster` starts a socket for
        each of its peers that a case deploys to. `blocked_by` says why the relay cannot even deploy
        to a healthy peer; empty when it can.
        """
        self.target = target
        self.blocked_by = blocked_by
        self.commands: list[DeployCommand] = []
        self.outcomes: list[Outcome] = []
        self.left_out: set[str] = set()
        self._written: list[str] = []
        self._cluster = cluster
        self._sockets: dict[str, str] = {}
        self._ca_file = ca_file
        self.payload = payload

    def deploy(
        self,
        to: Iterable[Served | DeployNode],
        *,
        request: Mapping[str, Any] | None = None,
        payload: Path | None = None,
        ca_file: Path | None = None,
        verify: bool = True,
        deadline: float = DEADLINE,
        **how: Any,
    ) -> Outcome:
        """Deploy to these nodes and return what the target reported.

        Args:
            to: the nodes, in order; a `DeployNode` is taken as it is.
            request: members of the deploy request; `operation` and `project` come first, unless
                it has both, and are not sent if they are `ABSENT`.
            payload: staged payload; by default the case's small one.
            ca_file: CA bundle; by default the cluster's own.
            verify: False: do not verify the certificate of any node.
            deadline: seconds after which a target that has not answered counts as hanging.
            how: further attributes of `DeployCommand`.

        Raises:
            NotApplicable: the target does not declare what the deploy needs.
            TargetBrokeError: the target crashed, hung or broke the adapter protocol.
            TargetSkippedError: the target did not do what it declares.
        """
        __tracebackhide__ = True  # the case that deploys is of interest
        to = list(to)
        command = DeployCommand(
            nodes=tuple(
                node if isinstance(node, DeployNode) else self.node(node, verify=verify)
                for node in to
            ),
            request=_completed(request or {}),
            payload=payload or self.payload.path,
            ca_file=ca_file or self._ca_file,
            **how,
        )
        needed = set(command.needs)
        if any(map(_has_mint_fault, to)):
            needed.add(MINT_CAPABILITIES[OperationsMint])
        self.need(*needed)
        if self.commands:  # the target forgets it now
            self._written.append(self.target.output)
        self.commands.append(command)
        try:
            self.outcomes.append(self.target.deploy(command, deadline))
        except TargetHungError as error:
            first, _, rest = str(error).partition("\n")
            lines = [first, *self._progress(command), rest[-_END:]]
            raise TargetHungError("\n".join(filter(None, lines))) from error
        return self.outcomes[-1]

    @property
    def output(self) -> str:
        """What the target wrote to its own stdout and stderr during all deploys of the case."""
        return "\n".join([*self._written, self.target.output])

    def _progress(self, command: DeployCommand) -> list[str]:
        """How far the nodes of a deploy came that hangs, a line each."""
        if self._cluster is None:
            return []
        told = {node.name for node in command.nodes}
        peers = [it for it in self._cluster.peers if it.name in told]
        sockets = [it for it in self._cluster.sockets if it.name in told]
        lines = [progress(it.title, it.live_connections) for it in [*peers, *sockets]]
        unfinished = list(filter(None, lines)) or ["each node had sent its whole answer"]
        left = len(unfinished) - _NODES
        more = [f"… and {left} more node{'s' * (left > 1)}"] if left > 0 else []
        return [*(f"by then {line}" for line in unfinished[:_NODES]), *more]

    def leave_out(self, served: Served) -> None:
        """Ask nothing about a node: what it cannot show is another requirement's business."""
        self.left_out.add(served.name)

    def need(self, *capabilities: str) -> None:
        """Raise NotApplicable unless the target declares all of these."""
        if missing := set(capabilities) - set(self.target.capabilities):
            raise NotApplicable(missing)

    def node(self, served: Served, **how: Any) -> DeployNode:
        """A peer as the origin knows it; `how` are attributes of `DeployNode` that differ."""
        mint = how.pop("mint", None) or usual_mint(served, self.target.capabilities)
        usual = {"name": served.name, "url": served.url, "mint": mint}
        if isinstance(mint, ReplicationMint) and "replication_url" not in how:
            usual["replication_url"] = self._socket(served.name)
        return DeployNode(**{**usual, **how})

    def minting(self, served: Served, **how: Any) -> DeployNode:
        """A node whose token is minted over its operations API."""
        return self.node(served, mint=OperationsMint(served.username, served.password), **how)

    def minting_over(self, socket: FakeReplicationSocket, peer: Served, **how: Any) -> DeployNode:
        """A node whose token is minted over this replication socket."""
        how.setdefault("replication_url", socket.url)
        return self.node(peer, mint=ReplicationMint(), **how)

    def _socket(self, name: str) -> str | None:
        """The URL of a node's replication socket, which is started when first needed."""
        if self._cluster is None:
            return None
        if name not in self._sockets:
            if name not in self._cluster:
                return None
            self._sockets[name] = self._cluster.replication(self._cluster[name]).url
        return self._sockets[name]
