"""What an origin costs: a deploy by way of a real node, beside a direct deploy of the same bytes.

    python -m tests.benchmarks.origin_overhead [MiB] [ROUNDS]

Both reach two real nodes that keep the payload packed; the origin also stages, hashes and keeps it.
The two take turns, and a ratio is of two runs of one round.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from deploy_relay_kit import relay
from deploy_relay_kit.relay.via import deploy_via
from tests.origin.nodes import PASSWORD, RealCluster, real_cluster

REQUEST = {"operation": "deploy_component", "project": "demo"}


def seconds_of(cluster: RealCluster, payload: Path, *, via: bool) -> float:
    """The time of one deploy."""
    nodes = [relay.Node(it.name, it.url) for it in cluster.nodes]
    reach = {
        "mint": relay.OperationsMint("admin", PASSWORD),
        "tls": relay.Tls(cluster.home / "ca.pem"),
    }
    begin = time.monotonic()
    if via:
        report = asyncio.run(deploy_via(nodes[0], REQUEST, payload, **reach))  # type: ignore[arg-type]
    else:
        report = asyncio.run(relay.deploy(nodes[1:], REQUEST, payload, **reach))  # type: ignore[arg-type]
    assert report.succeeded, report.records
    return time.monotonic() - begin


def main(size: int = 256, rounds: int = 5) -> None:
    """Measure, and print the median and the range of the ratios."""
    with tempfile.TemporaryDirectory() as home, real_cluster(Path(home) / "cluster") as cluster:
        payload = Path(home) / "payload.tar.gz"
        with payload.open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(1 << 20))
        for name in ("n1", "n2", "n3"):
            cluster.start(name, "unpack = false")
        cluster.publish()
        ratios = []
        for _ in range(rounds):
            direct = seconds_of(cluster, payload, via=False)
            through = seconds_of(cluster, payload, via=True)
            ratios.append(through / direct)
            sys.stdout.write(f"direct {direct:.2f} s, by way of an origin {through:.2f} s\n")
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        sys.stdout.write(f"{size} MiB to 2 nodes: {middle:.2f} ({low:.2f} to {high:.2f}) times\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
