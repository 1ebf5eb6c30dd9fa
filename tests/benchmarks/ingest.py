"""How fast does a fake peer take an upload in, next to a raw sink that only reads and hashes?

Run by hand: `python -m tests.benchmarks.ingest [--gib 1] [--rounds 5]`. Both serve TLS in a process
of their own and take turns; one raw sender feeds them. Prints one JSON document: medians, the
spread, and the ratio, by wall clock and by CPU time (the steadier one on a busy machine).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.benchmarks.large_payload import peak_mib
from tests.rawclient import RawClient, chunked, mint_request, upload_body, upload_head

_BLOCK = 64 * 1024
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: close\r\n\r\n"


def raw_sink(pipe: Connection, directory: str) -> None:
    """Child process: read and hash until the connection's last chunk, as fast as Python can."""
    authority = Authority()
    ca_file = authority.write(Path(directory) / "raw.pem")
    context = authority.server_context("127.0.0.1")
    buffer = bytearray(256 * 1024)
    view = memoryview(buffer)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe.send((str(ca_file), f"https://127.0.0.1:{listener.getsockname()[1]}/"))
        while pipe.recv() == "go":
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as tls:
                before, digest = time.process_time(), hashlib.sha256()
                last = b""
                while last != b"0\r\n\r\n" and (count := tls.recv_into(view)):
                    digest.update(view[:count])
                    last = bytes(view[max(0, count - 5) : count])
                tls.sendall(_ANSWER)
                pipe.send((time.process_time() - before, peak_mib()))


def fake_peer(pipe: Connection, directory: str) -> None:
    """Child process: one fake peer, which parses, judges and hashes."""
    del directory
    with FakeCluster() as cluster:
        peer = cluster.peer()
        pipe.send((str(cluster.ca_file), peer.url, peer.username, peer.password))
        wanted = 0
        while pipe.recv() == "go":
            wanted += 1
            before = time.process_time()
            peer.wait_until(partial(has_answered, uploads=wanted), 600)
            pipe.send((time.process_time() - before, peak_mib()))
            assert peer.uploads[-1].findings == []


def has_answered(peer: FakePeer, uploads: int) -> bool:
    seen = peer.live_uploads
    return len(seen) == uploads and seen[-1].answer_status is not None


class Sink:
    """One of the two, in its process."""

    def __init__(self, target: Callable[[Connection, str], None], directory: str) -> None:
        """Start it."""
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        context.Process(target=target, args=(theirs, directory), daemon=True).start()
        ca_file, self.url, *self.credentials = self.pipe.recv()
        self.ca_file = Path(ca_file)

    def take(self, before: bytes, block: bytes, blocks: int, after: bytes) -> dict[str, float]:
        """Send one upload to it; seconds, CPU seconds of the sink, and its peak MiB."""
        token = self._mint()
        self.pipe.send("go")
        with RawClient(self.url, ca_file=self.ca_file, deadline=600) as client:
            client.send(before.replace(b"TOKEN", token))
            start = time.perf_counter()
            for _ in range(blocks):
                client.sock.sendall(block)
            client.send(after)
            assert client.read_answer().status == 200
            seconds = time.perf_counter() - start
        cpu, peak = self.pipe.recv()
        return {"seconds": seconds, "cpu": cpu, "peak": peak}

    def _mint(self) -> bytes:
        if not self.credentials:
            return b"none"
        with RawClient(self.url, ca_file=self.ca_file) as client:
            client.send(mint_request(_Described(*self.credentials)))
            token: str = client.read_answer().json["operation_token"]
        return token.encode()


@dataclass
class _Described:
    """What `tests.rawclient` needs to know of a peer in another process."""

    username: str = ""
    password: str = ""
    path: str = "/"


def measure(gib: float, rounds: int, directory: str) -> dict[str, Any]:
    head = upload_head(_Described(), "TOKEN")
    marker = b"PAYLOAD"
    first, _, last = upload_body(marker).partition(marker)
    blocks = int(gib * (1 << 30)) // _BLOCK
    block = b"%x\r\n%b\r\n" % (_BLOCK, os.urandom(_BLOCK))
    upload = (head + chunked(first)[:-5], block, blocks, chunked(last))
    sinks = {"raw sink": Sink(raw_sink, directory), "fake peer": Sink(fake_peer, directory)}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sinks}
    for _ in range(rounds):
        for name, sink in sinks.items():
            runs[name].append(sink.take(*upload))
    for sink in sinks.values():
        sink.pipe.send("stop")
    megabytes = blocks * _BLOCK / 1e6
    result: dict[str, Any] = {"gib": gib, "rounds": rounds}
    for name, taken in runs.items():
        rates = sorted(megabytes / run["seconds"] for run in taken)
        result[name] = {
            "mb_per_second": round(statistics.median(rates)),
            "spread": [round(rates[0]), round(rates[-1])],
            "cpu_seconds_per_gb": round(
                statistics.median(run["cpu"] for run in taken) / megabytes * 1e3, 3
            ),
            "grew_mib": round(taken[-1]["peak"] - taken[0]["peak"], 1),
        }
    raw, peer = result["raw sink"], result["fake peer"]
    result["ratio_by_wall_clock"] = round(peer["mb_per_second"] / raw["mb_per_second"], 2)
    result["ratio_by_cpu"] = round(raw["cpu_seconds_per_gb"] / peer["cpu_seconds_per_gb"], 2)
    return result


if __name__ == "__main__":
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(options.gib, options.rounds, scratch), indent=2))
