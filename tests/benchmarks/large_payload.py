"""Does memory stay flat? A sparse payload to fake peers in another process, and what both grew by.

Run by hand: `python -m tests.benchmarks.large_payload --gib 3 --peers 2`. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster

_MIB = 1 << 20


def peak_mib() -> float:
    """The largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MIB if sys.platform == "darwin" else 1024)


def hold_peers(count: int, pipe: Connection) -> None:
    """Child process: hold the peers up; afterwards tell what they saw and how far memory went."""
    with FakeCluster(peers=count) as cluster:
        before = peak_mib()
        pipe.send(
            (str(cluster.ca_file), [(p.name, p.url, p.username, p.password) for p in cluster.peers])
        )
        pipe.recv()
        files = [peer.upload.file for peer in cluster.peers]
        pipe.send((peak_mib() - before, [(f.length, f.sha256) for f in files if f]))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measure(gib: float, peers: int) -> dict[str, Any]:
    ours, theirs = multiprocessing.Pipe()
    holder = multiprocessing.get_context("spawn").Process(
        target=hold_peers, args=(peers, theirs), daemon=True
    )
    holder.start()
    ca_file, nodes = ours.recv()
    with tempfile.TemporaryDirectory() as directory:
        payload = Path(directory) / "package.tar.gz"
        with payload.open("wb") as file:
            file.truncate(int(gib * (1 << 30)))
        expected = (payload.stat().st_size, sha256_of(payload))
        before, start = peak_mib(), time.perf_counter()
        report = asyncio.run(
            relay.deploy(
                nodes=[
                    relay.Node(name, url, mint=relay.OperationsMint(user, password))
                    for name, url, user, password in nodes
                ],
                request={"operation": "deploy_component", "project": "demo"},
                payload=payload,
                tls=relay.Tls(ca_file=Path(ca_file)),
            )
        )
        seconds = time.perf_counter() - start
    grown = peak_mib() - before
    ours.send("done")
    peers_grown, files = ours.recv()
    holder.join()
    return {
        "payload_gib": gib,
        "peers": peers,
        "all_succeeded": report.succeeded,
        "identical_hashes": files == [expected] * peers,
        "relay_grew_mib": round(grown, 1),
        "peers_grew_mib": round(peers_grown, 1),
        "seconds": round(seconds, 2),
        "mb_per_second_in_all": round(expected[0] * peers / seconds / 1e6),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=3)
    parser.add_argument("--peers", type=int, default=2)
    options = parser.parse_args()
    print(json.dumps(measure(options.gib, options.peers), indent=2))
