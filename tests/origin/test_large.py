"""A large deploy to real nodes, and many at once; with RELAY_KIT_LONG_TESTS, 1 GiB and 50."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import tarfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.origin.archives import component
from tests.origin.nodes import BOUNDARY, FORM, RealCluster, RealNode, basic, form
from tests.programs import LONG

MIB = 1 << 20
SIZE = 1_024 * MIB if LONG else 24 * MIB
AT_ONCE = 50 if LONG else 8
ALLOWED = 96  # MiB of growth
BLOCK = os.urandom(MIB)


def blocks(size: int, fields: dict[str, object]) -> tuple[int, Iterator[bytes]]:
    """The length of a form with a tar file that holds one file of this size, and its blocks."""
    entry = tarfile.TarInfo("blob")
    entry.size = size
    head = form(fields, b"")[: -len(f"\r\n--{BOUNDARY}--\r\n")]
    head += entry.tobuf(tarfile.GNU_FORMAT)
    tail = bytes(2 * tarfile.BLOCKSIZE) + f"\r\n--{BOUNDARY}--\r\n".encode()

    def parts() -> Iterator[bytes]:
        yield head
        for _ in range(size // MIB):
            yield BLOCK
        yield tail

    return len(head) + size + len(tail), parts()


@contextmanager
def growth(nodes: Sequence[RealNode]) -> Iterator[dict[int, int]]:
    """Inside, the growth of each process of the nodes is gathered, in bytes by its id."""
    first: dict[int, int] = {}
    grown: dict[int, int] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            for node in nodes:
                with suppress(psutil.Error):
                    leader = psutil.Process(node.process.pid)
                    for process in [leader, *leader.children(recursive=True)]:
                        used = process.memory_info().rss
                        more = used - first.setdefault(process.pid, used)
                        grown[process.pid] = max(more, grown.get(process.pid, 0))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield grown
    finally:
        done.set()
        watcher.join()


def test_a_large_deploy_is_whole_and_stays_out_of_memory(
    cluster: RealCluster, project: str
) -> None:
    origin = cluster.nodes[0]
    # What is loaded on first use is no growth.
    origin.deploy(component(a=b"1"), project=project, replicated=True)
    fields: dict[str, object] = {"operation": "deploy_component", "project": project}
    length, body = blocks(SIZE, fields)
    where = urlsplit(origin.url).netloc
    connection = http.client.HTTPSConnection(where, timeout=900, context=origin.context)
    with growth(cluster.nodes) as grown:
        headers = {**FORM, **basic("admin"), "Content-Length": str(length)}
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    connection.close()
    assert response.status == 200, answer
    mebibytes = sorted(it // MIB for it in grown.values())
    sys.stdout.write(f"growth of {len(mebibytes)} processes in MiB: {mebibytes}\n")
    assert mebibytes[-1] < ALLOWED
    expected = hashlib.sha256()
    for _ in range(SIZE // MIB):
        expected.update(BLOCK)
    for node in cluster.nodes:
        with (live(node, project) / "blob").open("rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == expected.digest()
        assert node.staged() == []


def live(node: RealNode, project: str) -> Path:
    return node.home / "data" / "live" / project


def test_deploys_at_once_are_neither_lost_nor_mixed(cluster: RealCluster, project: str) -> None:
    origin = cluster.nodes[0]

    def deploy(number: int) -> int:
        payload = component(number=str(number).encode(), blob=BLOCK[:100_000])
        return origin.deploy(payload, project=f"{project[:40]}-{number}", replicated=True)[0]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(deploy, range(AT_ONCE))) == [200] * AT_ONCE
    for node in cluster.nodes:
        for number in range(AT_ONCE):
            held = node.live(f"{project[:40]}-{number}")
            assert held == {"number": str(number).encode(), "blob": BLOCK[:100_000]}
        assert node.staged() == []
