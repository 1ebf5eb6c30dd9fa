"""The other nodes of a cluster, and how they are reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.fanout import ONCE, FanOut, Reach
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.origin.config import Config, nodes_of, read_secret
from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.replication import send_operation
from deploy_relay_kit.relay.report import Record
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


async def overwritten(others: Others, records: Sequence[Record]) -> list[str]:
    """Ask the nodes of these records whether the build of this deploy is still in use (BUG-42).

    Returns:
        The nodes where it is not, or which cannot be asked, with the reason. Nodes that are no
        `relay serve`, by their answer, are not asked.
    """
    ids = {
        it["node"]: it.get("deployment_id")
        for it in records
        if it["status"] == "success" and "payload_hash" in it
    }

    async def ask(peer: Peer) -> Mapping[str, object]:
        question = {"operation": "get_deployment", "deployment_id": ids[peer.node.name]}
        return await peer.ask(question, token=await peer.token())

    nodes = [it for it in others.nodes if it.name in ids]
    try:
        report = await FanOut(nodes, **others.reach).run(ask)
    except InputError as error:  # a file of certificates has changed since the deploy read it
        return [f"{it.name} ({error})" for it in nodes]
    return [
        f"{it['node']} ({it.get('reason', 'another deploy reached it')})"
        for it in report.records
        if it.get("live") is not True
    ]


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
