"""What does the judge's side cost: the intake of uploads, and bodies that are dear to read?

Run by hand: `python -m tests.benchmarks.judge_cost [--rounds 5]`; `relay_speed` runs it too, for
its page. The peers are in this process, and the sender, the relay, in another one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.witness.wire import UploadReader
from tests.benchmarks.peer_cost import measure
from tests.rawclient import chunked, upload_body, upload_head

_MIB = 1 << 20
_PEERS = (1, 8)
_PAYLOAD = 256 * _MIB
_EMPTY_FIELD = b'--b0undary\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
_BODIES = {
    "in chunks of 64 KiB": chunked(upload_body(bytes(_MIB))),
    "in chunks of 1 byte": chunked(upload_body(bytes(_MIB // 8)), 1),
    "of empty fields": chunked(_EMPTY_FIELD * 9_999),
}
_SENDER = """
import asyncio, json, sys
from deploy_relay_kit import relay
nodes, ca_file, payload = json.load(sys.stdin)
mint = lambda node: relay.OperationsMint(node["username"], node["password"])
nodes = [relay.Node(node["name"], node["url"], mint=mint(node)) for node in nodes]
request = {"operation": "deploy_component", "project": "demo"}
report = asyncio.run(relay.deploy(nodes, request, payload, tls=relay.Tls(ca_file=ca_file)))
assert report.succeeded, report.records
"""


def rows(rounds: int) -> Iterator[tuple[str, str]]:
    """What is measured, and what it costs, in words."""
    with tempfile.TemporaryDirectory() as directory:
        for peers in _PEERS:
            yield _ingest(Path(directory), peers, rounds)
    for step, times in measure(50).items():
        yield f"{step} of a peer", f"{times['median_ms']} ms"
    for shape, body in _BODIES.items():
        costs = [_reading(body) for _ in range(rounds)]
        yield f"reading a body {shape}", f"{statistics.median(costs):.2g} CPU s per MB"


def _ingest(directory: Path, peers: int, rounds: int) -> tuple[str, str]:
    payload = directory / "package.tar.gz"
    payload.write_bytes(b"\x1f\x8b")
    with payload.open("r+b") as file:
        file.truncate(_PAYLOAD // peers)
    speeds, costs = [], []
    with FakeCluster(peers) as cluster:
        described = cluster.describe()
        for _ in range(rounds):
            cpu, begin = time.process_time(), time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", _SENDER],
                input=json.dumps([described["nodes"], described["ca_file"], str(payload)]),
                text=True,
                check=True,
            )
            speeds.append(_PAYLOAD / 1e6 / (time.perf_counter() - begin))
            costs.append((time.process_time() - cpu) / _PAYLOAD * 1e9)
        assert not [each for peer in cluster for it in peer.uploads for each in it.findings]
    cost = f"{statistics.median(costs):.2f} CPU s per GB"
    return f"intake, peers at once: {peers}", f"{statistics.median(speeds):.0f} MB/s, {cost}"


def _reading(body: bytes) -> float:
    reader = UploadReader(upload_head(_Peer(), "token"))
    begin = time.process_time()
    for at in range(0, len(body), 65_536):
        reader.feed(body[at : at + 65_536])
    return (time.process_time() - begin) / len(body) * 1e6


class _Peer:
    username, password, path = "u", "p", "/"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    for what, cost in rows(parser.parse_args().rounds):
        print(f"| {what} | {cost} |", flush=True)


if __name__ == "__main__":
    main()
