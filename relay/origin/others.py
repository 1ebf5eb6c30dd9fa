"""The other nodes of a cluster, and how they are reached."""

from collections.abc import Callable
from dataclasses import dataclass, field

from deploy_relay_kit.relay.fanout import ONCE, Reach
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.origin.config import Config, nodes_of, read_secret
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
    reach: Reach = {
        "mint": OperationsMint(cluster.username, password),
        "tls": Tls(ca_file=cluster.ca_file),
    }
    return Others(nodes_of(config), reach)
