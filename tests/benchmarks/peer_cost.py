"""What does it cost to start, to kill and to stop a fake peer?

Run by hand: `python -m tests.benchmarks.peer_cost [--rounds 50]`. Each round starts a TLS peer,
connects to it, kills it under the connection, restarts it and stops it. Prints one JSON document:
medians in milliseconds, and the slowest of each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable

from deploy_relay_kit.harness.cluster import FakeCluster
from tests.rawclient import RawClient


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each step: its median and its slowest."""
    taken: dict[str, list[float]] = defaultdict(list)

    def timed(step: str, action: Callable[[], object]) -> None:
        begin = time.perf_counter()
        action()
        taken[step].append((time.perf_counter() - begin) * 1000)

    with FakeCluster(peers=1) as cluster:  # makes the one certificate of this address
        host = cluster.peers[0].http.host
        for _ in range(rounds):
            timed("start", lambda: cluster.peer(host=host))
            peer = cluster.peers[-1]
            with RawClient(peer.url, ca_file=cluster.ca_file):
                timed("kill", peer.kill)
            timed("restart", peer.restart)
            with RawClient(peer.url, ca_file=cluster.ca_file):
                timed("stop", peer.stop)
    return {
        step: {"median_ms": round(statistics.median(ms), 2), "slowest_ms": round(max(ms), 2)}
        for step, ms in taken.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    print(json.dumps(measure(parser.parse_args().rounds), indent=2))
