"""The path-prefix proxy, seen from a raw client."""

from __future__ import annotations

import hashlib

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from tests.rawclient import RawClient, chunked, mint, post, upload_body, upload_head


def test_an_upload_passes_through_unchanged(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    proxy = cluster.proxy(peer, prefix="/a/b")
    payload = bytes(range(256)) * 1000
    head = upload_head(peer, mint(peer, cluster.ca_file)).replace(b"POST /", b"POST /a/b/?x=%2F")
    with RawClient(proxy.url, ca_file=cluster.ca_file) as client:
        client.send(head + chunked(upload_body(payload)))
        assert client.read_answer().status == 200
    assert peer.upload.target == "/?x=%2F"
    assert peer.upload.file.sha256 == hashlib.sha256(payload).hexdigest()


@pytest.mark.parametrize("path", ["/", "/a", "/a/bc/", "/A/B/"])
def test_outside_the_prefix_nothing_is_served(cluster: FakeCluster, path: str) -> None:
    peer = cluster.peer()
    proxy = cluster.proxy(peer, prefix="/a/b")
    with RawClient(proxy.url, ca_file=cluster.ca_file) as client:
        client.send(post(path, {"Host": "p", "Content-Length": "0"}))
        assert client.read_answer().status == 404
    assert peer.requests == []


@pytest.mark.parametrize("prefix", ["", "/", "ops", "/ops/"])
def test_a_prefix_of_the_wrong_form_is_refused(cluster: FakeCluster, prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        cluster.proxy(cluster.peer(), prefix=prefix)
