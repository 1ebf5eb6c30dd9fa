"""Hold a fake cluster up for programs outside of this process."""

import json
import os
import resource
import signal
import stat
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from deploy_relay_kit.harness.cli.admin import admin
from deploy_relay_kit.harness.cli.output import say
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.faults.kinds import Fault
from deploy_relay_kit.harness.faults.schedule import FaultSchedule
from deploy_relay_kit.harness.faults.text import parse_fault
from deploy_relay_kit.harness.peer.options import PeerOptions
from deploy_relay_kit.harness.profiles import ProfileName

_OF_A_PEER = 4  # file descriptors: three of the server, and one connection
_OF_A_SOCKET = 4
_OF_ALL = 32  # of the process, and of connections that are about to close


def parse_faults(texts: Iterable[str], nodes: int) -> dict[str, tuple[Fault, ...]]:
    """Faults by node name, from texts like `node-3=ResetAfter:65536`.

    Raises:
        ValueError: a text has another form, or names no node or no fault, or a node has two faults
            that contradict each other.

    """
    if nodes < 1:
        raise ValueError(f"--nodes {nodes}: give at least 1")
    names = [f"node-{number}" for number in range(1, nodes + 1)]
    faults = defaultdict(list)
    for text in texts:
        name, separator, fault = text.partition("=")
        if not separator:
            raise ValueError(f"--fault {text!r}: write it as NODE=FAULT")
        if name not in names:
            raise ValueError(f"--fault {text!r}: the nodes are {names[0]} to {names[-1]}")
        faults[name].append(parse_fault(fault))
    for name, shown in faults.items():
        try:
            FaultSchedule(tuple(shown))
        except ValueError as error:
            raise ValueError(f"--fault for {name}: {error}") from None
    return {name: tuple(shown) for name, shown in faults.items()}


def serve(
    nodes: int,
    faults: Mapping[str, tuple[Fault, ...]],
    profile: ProfileName,
    *,
    user: str | None = None,
    password: str | None = None,
    replication: bool = False,
    nodes_file: Path | None = None,
    ca_file: Path | None = None,
    administered: bool = False,
) -> int:
    """Serve until interrupted, terminated, or at the end of a piped standard input; return 0.

    Prints `FakeCluster.describe` as one line of JSON to standard output, and at the end what every
    node saw to standard error.

    Args:
        nodes: how many there are, named `node-1` and so on.
        faults: by the name of the node.
        profile: what kind of peers they are.
        user: the one user of all nodes; None gives each node a user of its own.
        password: the one password of all nodes; None gives each node a password of its own.
        replication: whether every node has a replication socket, too.
        nodes_file: gets a line NAME=URL for each node, as `relay deploy --nodes` takes it.
        ca_file: gets the authority of the nodes, as `relay deploy --ca` takes it.
        administered: whether to serve the admin endpoint; the JSON has its `url` and `token`.

    Raises:
        InputError: so many nodes cannot be started here, or the file cannot be written.

    """
    _check_descriptors(nodes, replication=replication)
    over = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: over.set())
    with FakeCluster() as cluster, ExitStack() as stack:
        how: PeerOptions = {"profile": profile, "username": user, "password": password}
        for number in range(1, nodes + 1):
            name = f"node-{number}"
            try:
                peer = cluster.peer(name, fault=faults.get(name), **how)
                if replication:
                    cluster.replication(peer)
            except (OSError, RuntimeError) as error:  # RuntimeError: no thread left
                why = f"{name} cannot be started: {getattr(error, 'strerror', error)}"
                remedy = "give fewer, or raise the limit (ulimit -n)"
                raise InputError(f"--nodes {nodes}: {why}; {remedy}") from error
        described = cluster.describe()
        if ca_file is not None:
            _write("--ca-file", ca_file, cluster.ca_file.read_text(encoding="utf-8"))
        if nodes_file is not None:
            lines = [f"{peer.name}={peer.url}\n" for peer in cluster]
            head = f"# a fake cluster; its authority: --ca {ca_file or cluster.ca_file}\n"
            _write("--nodes-file", nodes_file, head + "".join(lines))
        if administered:
            described["admin"] = stack.enter_context(admin(cluster))
        say([json.dumps(described)])
        mode = 0 if sys.stdin is None else os.fstat(0).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):  # Node's pipes are sockets
            # Whoever started us and dies leaves no cluster behind.
            threading.Thread(target=_set_at_end_of_input, args=(over,), daemon=True).start()
        over.wait()
        print(cluster.timelines(), file=sys.stderr)
    return 0


def _check_descriptors(nodes: int, *, replication: bool) -> None:
    """Refuse more nodes than there are file descriptors for, before any of them is started."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    each = _OF_A_PEER + _OF_A_SOCKET * replication
    most = max(0, limit - _OF_ALL) // each
    if limit != resource.RLIM_INFINITY and nodes > most:
        raise InputError(
            f"--nodes {nodes}: at most {most}, because each takes {each} file descriptors and this "
            f"process may open {limit}; give fewer, or raise the limit (ulimit -n)"
        )


def _write(option: str, file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{option} {file}: {error.strerror}") from error


def _set_at_end_of_input(over: threading.Event) -> None:
    # Not by `sys.stdin`, whose lock the thread would hold when the interpreter wants to end.
    while os.read(0, 65536):
        pass
    over.set()
