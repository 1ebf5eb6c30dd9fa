"""The other nodes of a cluster, and how they are reached."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.fanout import ONCE, FanOut, Reach
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.origin.config import Config, nodes_of, read_secret
from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.replication import send_operation
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.tls import Tls
from deploy_relay_kit.relay.token import OperationsMint


@dataclass(frozen=True)
class Others:
    """What one deploy fans out to."""

    nodes: list[Node]
    reach: Reach = field(default_factory=Reach, repr=False)
    retry: Retry = ONCE


Look = Callable[[], Others]
"""Looks anew for each deploy, so that a changed file counts. Raises InputError."""


def look_in(config: Config) -> Others:
    """The nodes in the files of a configuration."""
    cluster = config.cluster
    if cluster is None:
        return Others([])
    password = read_secret(cluster.password_file)
    # WS-06: a replication socket knows this node by its certificate.
    own = (config.certificate_file, config.key_file) if config.replication_port is not None else ()
    reach: Reach = {
        "mint": OperationsMint(cluster.username, password),
        "tls": Tls(cluster.ca_file, *own),
    }
    return Others(nodes_of(config), reach)


def looked(look: Look) -> Others:
    """The other nodes.

    Raises:
        RefusalError: They cannot be known now; the text says why.
    """
    try:
        return look()
    except InputError as error:
        raise RefusalError(400, str(error)) from None


async def everywhere(others: Others, given: Mapping[str, object], done: str) -> dict[str, object]:
    """Send an operation to all other nodes over their replication sockets (SEQ-01).

    Returns:
        The member `replicated`, a record of each node.

    Raises:
        RefusalError: A node failed; the text says what is `done` on this one.
    """

    async def send(peer: Peer) -> Mapping[str, object]:
        return await send_operation(peer, {**given, "replicated": False})

    try:
        report = await FanOut(others.nodes, **others.reach).run(send)
    except InputError as error:
        raise RefusalError(500, f"{done} here, not replicated: {error}") from None
    if not report.failed:
        return {"replicated": report.records}
    names = ", ".join(f"{it['node']} ({it['reason']})" for it in report.failed)
    raise RefusalError(
        500,
        f"{done} here, but {len(report.failed)} of {len(report.records)} nodes failed: {names}",
        replicated=report.records,
        failed_peers=[{"node": it["node"], "error": it["reason"]} for it in report.failed],
    )
