"""What a case leaves behind for its bundle, while its peers are still up."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.bundle.document import (
    Bundle,
    BundledNode,
    BundledPayload,
    BundledRequest,
)
from deploy_relay_kit.harness.judge.cases.evidence import gather
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.model import Case
from deploy_relay_kit.harness.peer.payloads import seeded_blocks
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.requests import BodyWitness

MOST_REQUESTS = 300
_LONGEST = 1_000  # characters of a fault
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function in it: another one in each run
_HASHED = 64 * 1024 * 1024  # bytes of a payload that is read again


def record(case: Case, relay: Relay, cluster: FakeCluster) -> Bundle:
    """The bundle of a case that has just ended; who judged which relay is added later."""
    requests = list(_requests(cluster))
    return Bundle(
        case=msgspec.structs.replace(case, evidence=gather([cluster], relay, case.checks)),
        nodes=list(_nodes(cluster)),
        payloads=[_payload(command.payload) for command in relay.commands],
        requests=requests[:MOST_REQUESTS],
        left_out=max(0, len(requests) - MOST_REQUESTS),
    )


def _nodes(cluster: FakeCluster) -> Iterator[BundledNode]:
    for peer in cluster.peers:
        yield BundledNode(
            peer.title,
            type(peer).__name__,
            peer.url,
            profile=type(peer.profile).__name__,
            faults=[_shown(fault) for fault in peer.faults],
            username=peer.username,
            password=peer.password,
        )
    for at in cluster.sockets:
        faults = [] if at.fault is None else [_shown(at.fault)]
        yield BundledNode(at.title, type(at).__name__, at.url, faults=faults)
    for front in cluster.fronts:
        yield BundledNode(front.name, type(front).__name__, front.url)


def _shown(fault: object) -> str:
    """A fault with all its values, also its seed."""
    return _ADDRESS.sub("", repr(fault))[:_LONGEST]


def _payload(path: Path) -> BundledPayload:
    try:
        size = path.stat().st_size
        if not path.is_file() or size > _HASHED:
            return BundledPayload(size)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # a case may deploy a file that is missing or not readable
        return BundledPayload(0)
    seeded = hashlib.sha256()
    for block in seeded_blocks(size):
        seeded.update(block)
    return BundledPayload(size, sha256, 0 if seeded.hexdigest() == sha256 else None)


def _requests(cluster: FakeCluster) -> Iterator[BundledRequest]:
    for it in [*cluster.peers, *cluster.sockets]:
        for number, connection in enumerate(list(it.live_connections), 1):
            for request in list(connection.requests):
                yield _request(it.title, number, request)


def _request(title: str, connection: int, seen: RequestWitness) -> BundledRequest:
    request = BundledRequest(title, connection, head=seen.raw_head)
    if isinstance(seen, BodyWitness):
        request.body = seen.reader.received
        request.begin, request.end = seen.reader.begin, seen.reader.end
    return request
