"""Hold a fake cluster up for programs outside of this process."""

from __future__ import annotations

import json
import signal
import stat
import sys
import threading
from collections import defaultdict
from os import fstat
from typing import TYPE_CHECKING

from harness.cluster import FakeCluster
from harness.fault_text import parse_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.faults import Fault


def parse_faults(texts: Iterable[str], nodes: int) -> dict[str, tuple[Fault, ...]]:
    """Faults by node name, from texts like `node-3=ResetAfter:65536`.

    Raises:
        ValueError: a text has another form, or names no node or no fault.

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
    return {name: tuple(shown) for name, shown in faults.items()}


def serve(nodes: int, faults: Mapping[str, tuple[Fault, ...]], profile: str) -> int:
    """Serve until interrupted, terminated, or at the end of a piped standard input; return 0."""
    over = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: over.set())
    with FakeCluster() as cluster:
        for number in range(1, nodes + 1):
            name = f"node-{number}"
            cluster.peer(name, fault=faults.get(name), profile=profile)
        print(json.dumps(cluster.describe()), flush=True)
        if stat.S_ISFIFO(fstat(0).st_mode):
            # Whoever started us and dies leaves no cluster behind.
            threading.Thread(target=_set_at_end_of_input, args=(over,), daemon=True).start()
        over.wait()
        print(cluster.timelines(), file=sys.stderr)
    return 0


def _set_at_end_of_input(over: threading.Event) -> None:
    sys.stdin.buffer.read()
    over.set()
