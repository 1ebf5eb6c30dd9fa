"""How tests of a peer upload to it with a raw client, and look at what comes back."""

from __future__ import annotations

import contextlib

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.rawclient import RawAnswer, RawClient, chunked, mint, upload_body, upload_head

PAYLOAD = bytes(range(256)) * 1024
BODY = chunked(upload_body(PAYLOAD))
LARGE = 64 << 20
"""More than the kernel takes for a peer that does not read."""


def upload(peer: FakePeer, cluster: FakeCluster, body: bytes = BODY, **headers: str) -> RawClient:
    """A client that has sent an upload, whole or in part, and not read yet."""
    head = upload_head(peer, mint(peer, cluster.ca_file), **headers)
    client = RawClient(peer.url, ca_file=cluster.ca_file)
    with contextlib.suppress(ConnectionError):  # then reading meets it again
        client.send(head + body)
    return client


def answer_to_upload(peer: FakePeer, cluster: FakeCluster) -> RawAnswer:
    with upload(peer, cluster) as client:
        return client.read_answer()


def is_silent(client: RawClient) -> bool:
    """Whether the connection is open and says nothing for a moment."""
    client.sock.settimeout(0.05)
    try:
        data = client.sock.recv(1)
    except TimeoutError:
        return True
    raise AssertionError(f"not silent but {data!r}")
