"""The other nodes of a cluster, and how they are reached."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from deploy_relay_kit.relay.errors import InputError, OriginError, PeerError
from deploy_relay_kit.relay.fanout import ONCE, FanOut, Reach
from deploy_relay_kit.relay.files import read_text
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.config import Config, nodes_of
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.replication import send_operation
from deploy_relay_kit.relay.report import Record
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.tls import Tls
from deploy_relay_kit.relay.token import OperationsMint
from deploy_relay_kit.relay.urls import resolve


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
    password = read_text(cluster.password_file, "password_file").rstrip("\r\n")
    if not password:
        raise InputError(f"password_file {str(cluster.password_file)!r} is empty")
    # WS-06: a replication socket knows this node by its certificate.
    own = (config.certificate_file, config.key_file) if config.replication_port is not None else ()
    reach: Reach = {
        "mint": OperationsMint(cluster.username, password),
        "tls": Tls(cluster.ca_file, *own),
        "limits": Limits(**structs.asdict(cluster.limits)),
    }
    return Others(nodes_of(config), reach)


def looked(look: Look) -> Others:
    """The other nodes now; raises InputError for every mistake that shows before they are asked."""
    others = look()
    FanOut(others.nodes, **others.reach)
    return others


def check(look: Look) -> None:
    """Raise InputError for every mistake that shows when a node starts.

    In a deploy, an unusable URL is in the record of that node, and stops no other (SEQ-07).
    """
    others = looked(look)
    for node in others.nodes:
        try:
            resolve(node)
        except (OriginError, InputError) as error:
            why = str(error).removesuffix(", or allow it (--allow-http)")  # no option of a node
            raise InputError(f"node {node.name!r} of the cluster: {why}") from None


async def differing_from(
    payload_hash: object, others: Others, records: Sequence[Record]
) -> list[str]:
    """The nodes of these records that may use another build than this, with the reason (BUG-42).

    Nodes that are no `relay serve`, by their answer, are not asked.
    """
    ids = {
        it["node"]: it.get("deployment_id")
        for it in records
        if it["status"] == "success" and "payload_hash" in it
    }

    async def ask(peer: Peer) -> Mapping[str, object]:
        question = {"operation": "get_deployment", "deployment_id": ids[peer.node.name]}
        return await peer.query(question)

    nodes = [it for it in others.nodes if it.name in ids]
    try:
        report = await FanOut(nodes, **others.reach).run(ask)
    except InputError as error:  # a file of certificates has changed since the deploy read it
        return [f"{it.name} ({error})" for it in nodes]
    differing = []
    for row in report.records:
        if "reason" in row:
            differing.append(f"{row['node']} ({row['reason']})")
        elif row.get("live") is not True:
            differing.append(f"{row['node']} (another deploy reached it)")
        elif row.get("payload_hash") != payload_hash:
            differing.append(f"{row['node']} (it has the build of another deploy)")
    return differing


async def everywhere(others: Others, operation: Mapping[str, object]) -> list[Record]:
    """Send an operation to all other nodes over their replication sockets (SEQ-01)."""

    async def send(peer: Peer) -> Mapping[str, object]:
        limit = peer.limits.answer
        try:
            async with asyncio.timeout(limit):
                return await send_operation(peer, {**operation, "replicated": False})
        except TimeoutError:
            raise PeerError("answer", f"no answer in {limit:g} s", uncertain=True) from None

    try:
        return (await FanOut(others.nodes, **others.reach).run(send)).records
    except InputError as error:
        raise RefusalError(500, f"rolled back here, not replicated: {error}") from None
