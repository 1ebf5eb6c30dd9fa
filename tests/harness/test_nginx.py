"""A real nginx in front of a fake peer, seen from a raw client."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster import FakeCluster
from harness.faults.kinds import CertificateFlaw
from harness.fronts import nginx
from harness.fronts.nginx import NginxFront, nginx_available
from harness.peer.peer import FakePeer
from tests.rawclient import RawClient, chunked, mint, mint_request, post, upload_body, upload_head

pytestmark = pytest.mark.skipif(
    not nginx_available(), reason="nginx is not on this machine (CI installs it)"
)

PAYLOAD = bytes(range(256)) * 4000
"""More than nginx keeps in memory when it buffers."""


@pytest.fixture(params=[False, True], ids=["unbuffered", "buffered"])
def buffering(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def peer(cluster: FakeCluster) -> FakePeer:
    return cluster.peer()


@pytest.fixture
def front(cluster: FakeCluster, peer: FakePeer, *, buffering: bool) -> Iterator[NginxFront]:
    with NginxFront(cluster.authority, peer, "/a/b", request_buffering=buffering) as front:
        yield front


def head_of_upload(peer: FakePeer, cluster: FakeCluster, target: str = "/a/b/") -> bytes:
    head = upload_head(peer, mint(peer, cluster.ca_file))
    return head.replace(b"POST /", f"POST {target}".encode(), 1)


def test_an_upload_passes_through_unchanged(
    cluster: FakeCluster, peer: FakePeer, front: NginxFront, *, buffering: bool
) -> None:
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(head_of_upload(peer, cluster, "/a/b/?x=%2F&y=a+b"))
        client.send(chunked(upload_body(PAYLOAD), size=999))
        assert client.read_answer().status == (400 if buffering else 200)
    upload = peer.upload
    assert upload.target == "/?x=%2F&y=a+b"
    assert [finding.id for finding in upload.findings] == (["WIRE-13"] if buffering else [])
    assert upload.file is not None
    assert upload.file.length == len(PAYLOAD)
    assert upload.file.sha256 == hashlib.sha256(PAYLOAD).hexdigest()
    if buffering:
        assert upload.header("content-length") == str(len(upload_body(PAYLOAD)))
        assert upload.header("transfer-encoding") is None
    else:
        assert upload.header("content-length") is None
        assert upload.header("transfer-encoding") == "chunked"


def test_a_content_length_stays(cluster: FakeCluster, peer: FakePeer, front: NginxFront) -> None:
    body = upload_body(PAYLOAD)
    head = head_of_upload(peer, cluster).replace(
        b"Transfer-Encoding: chunked", f"Content-Length: {len(body)}".encode()
    )
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(head + body)
        client.read_answer()
    assert peer.upload.header("content-length") == str(len(body))
    assert peer.upload.header("host") != "peer"
    assert peer.upload.header("connection") == "close"


def test_when_the_peer_sees_the_first_bytes(
    cluster: FakeCluster, peer: FakePeer, front: NginxFront, *, buffering: bool
) -> None:
    body = upload_body(PAYLOAD)
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(head_of_upload(peer, cluster))
        client.send(chunked(body[:-1]).removesuffix(b"0\r\n\r\n"))
        if not buffering:
            peer.wait_until(lambda p: any("file" in u.times for u in p.live_uploads))
        before_the_last_byte = time.monotonic()
        client.send(chunked(body[-1:]))
        client.read_answer()
    assert (peer.upload.times["head"] > before_the_last_byte) == buffering
    assert peer.upload.complete


@pytest.mark.parametrize("buffering", [False], indirect=True)
@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/a/bc/", "/A/B/"])
def test_outside_the_prefix_nothing_is_served(
    cluster: FakeCluster, peer: FakePeer, front: NginxFront, path: str
) -> None:
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(post(path, {"Host": "p", "Content-Length": "0"}))
        assert client.read_answer().status == 404
    assert peer.requests == []


@pytest.mark.parametrize("prefix", ["", "/", "ops", "/ops/", '/o"ps', "/o$ps"])
def test_a_prefix_of_the_wrong_form_is_refused(
    cluster: FakeCluster, peer: FakePeer, prefix: str
) -> None:
    with pytest.raises(ValueError, match="prefix"):
        NginxFront(cluster.authority, peer, prefix)


def test_the_path_of_the_peer_stands_behind_the_prefix(cluster: FakeCluster) -> None:
    peer = cluster.peer(path="/ops/?site=eu")
    with NginxFront(cluster.authority, peer, "/a") as front:
        assert front.url.endswith("/a/ops/?site=eu")
        assert (front.name, front.username, front.password) == (
            peer.name,
            peer.username,
            peer.password,
        )
        with RawClient(front.url, ca_file=cluster.ca_file) as client:
            client.send(mint_request(peer).replace(b"POST /", b"POST /a/"))
            assert client.read_answer().status == 200
    assert [request.target for request in peer.requests] == ["/ops/?site=eu"]


def test_a_peer_of_another_authority_is_not_spoken_to(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=CertificateFlaw.WRONG_AUTHORITY)
    with (
        NginxFront(cluster.authority, peer, "/a") as front,
        RawClient(front.url, ca_file=cluster.ca_file) as client,
    ):
        client.send(mint_request(peer).replace(b"POST /", b"POST /a/"))
        assert client.read_answer().status == 502
    assert peer.requests == []


def test_a_peer_without_tls(cluster: FakeCluster) -> None:
    with (
        FakePeer(None) as peer,
        NginxFront(cluster.authority, peer, "/a") as front,
        RawClient(front.url, ca_file=cluster.ca_file) as client,
    ):
        client.send(mint_request(peer).replace(b"POST /", b"POST /a/"))
        assert client.read_answer().status == 200


# -- life ----------------------------------------------------------------------------------------


def test_nothing_is_left_of_it(cluster: FakeCluster, peer: FakePeer, tmp_path: Path) -> None:
    head = head_of_upload(peer, cluster, "/a/")
    assert peer.connections, "the peer is up, with every descriptor of its own"
    descriptors = len(list(Path("/dev/fd").iterdir()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        front = NginxFront(cluster.authority, peer, "/a").start()
    [directory] = tmp_path.iterdir()
    master = int((directory / "nginx.pid").read_text())
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(head)  # and stopped in the midst of it
        peer.wait_until(lambda p: bool(p.live_uploads))
        front.stop()
        assert client.read_to_the_end() == b""
    front.stop()
    assert len(peer.connections) == 2, "and the peer has done with them"
    with pytest.raises(ProcessLookupError):
        os.killpg(master, 0)
    with pytest.raises(ConnectionRefusedError):
        RawClient(front.url)
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/dev/fd").iterdir())) == descriptors


def test_an_nginx_that_does_not_come_up_shows_its_log(
    cluster: FakeCluster, peer: FakePeer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nginx, "_CONFIG", nginx._CONFIG + "nonsense on;\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match='unknown directive "nonsense"'):
        NginxFront(cluster.authority, peer, "/a").start()
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_nginx(
    cluster: FakeCluster, peer: FakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert not nginx_available()
    with pytest.raises(RuntimeError, match="no nginx on this machine"):
        NginxFront(cluster.authority, peer, "/a").start()
