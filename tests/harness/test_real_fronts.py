"""Real proxies in front of a fake peer, seen from a raw client."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw
from deploy_relay_kit.harness.fronts.apache import ApacheFront
from deploy_relay_kit.harness.fronts.caddy import CaddyFront
from deploy_relay_kit.harness.fronts.haproxy import HaproxyFront
from deploy_relay_kit.harness.fronts.nginx import NginxFront
from deploy_relay_kit.harness.fronts.real import RealFront
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.programs import installed
from tests.rawclient import RawClient, chunked, mint, mint_request, post, upload_body, upload_head

KINDS = (NginxFront, HaproxyFront, ApacheFront, CaddyFront)
PAYLOAD = bytes(range(256)) * 4000
"""More than nginx keeps in memory when it buffers."""


@pytest.fixture(params=KINDS, ids=lambda kind: kind.program)
def kind(request: pytest.FixtureRequest) -> type[RealFront]:
    return installed(request.param)


@pytest.fixture(params=[False, True], ids=["unbuffered", "buffered"])
def buffering(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def peer(cluster: FakeCluster) -> FakePeer:
    return cluster.peer()


@pytest.fixture
def front(
    cluster: FakeCluster, peer: FakePeer, kind: type[RealFront], *, buffering: bool
) -> Iterator[RealFront]:
    with kind(cluster.authority, peer, "/a/b", request_buffering=buffering) as front:
        yield front


def head_of_upload(peer: FakePeer, cluster: FakeCluster, target: str = "/a/b/") -> bytes:
    head = upload_head(peer, mint(peer, cluster.ca_file))
    return head.replace(b"POST /", f"POST {target}".encode(), 1)


def test_an_upload_passes_through_unchanged(
    cluster: FakeCluster, peer: FakePeer, front: RealFront, *, buffering: bool
) -> None:
    gets_a_length = buffering and front.program in {"nginx", "apache2"}
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(head_of_upload(peer, cluster, "/a/b/?x=%2F&y=a+b"))
        client.send(chunked(upload_body(PAYLOAD), size=999))
        assert client.read_answer().status == (400 if gets_a_length else 200)
    upload = peer.upload
    assert upload.target == "/?x=%2F&y=a+b"
    assert [finding.id for finding in upload.findings] == (["WIRE-13"] if gets_a_length else [])
    assert upload.file.length == len(PAYLOAD)
    assert upload.file.sha256 == hashlib.sha256(PAYLOAD).hexdigest()
    if gets_a_length:
        assert upload.header("content-length") == str(len(upload_body(PAYLOAD)))
        assert upload.header("transfer-encoding") is None
    else:
        assert upload.header("content-length") is None
        assert upload.header("transfer-encoding") == "chunked"


def test_a_content_length_stays(cluster: FakeCluster, peer: FakePeer, front: RealFront) -> None:
    body = upload_body(PAYLOAD)
    head = head_of_upload(peer, cluster).replace(
        b"Transfer-Encoding: chunked", f"Content-Length: {len(body)}".encode()
    )
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(head + body)
        client.read_answer()
    assert peer.upload.header("content-length") == str(len(body))
    assert peer.upload.file.length == len(PAYLOAD)


def test_when_the_peer_sees_the_first_bytes(
    cluster: FakeCluster, peer: FakePeer, front: RealFront, *, buffering: bool
) -> None:
    body = upload_body(PAYLOAD)
    waits_for_all = buffering and front.program != "haproxy"  # which waits for the first 16 kB
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(head_of_upload(peer, cluster))
        client.send(chunked(body[:-1]).removesuffix(b"0\r\n\r\n"))
        if not waits_for_all:
            peer.wait_until(lambda p: any("file" in u.times for u in p.live_uploads))
        before_the_last_byte = time.monotonic()
        client.send(chunked(body[-1:]))
        client.read_answer()
    assert (peer.upload.times["head"] > before_the_last_byte) == waits_for_all
    assert peer.upload.complete


@pytest.mark.parametrize("buffering", [False], indirect=True)
@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/a/bc/", "/A/B/"])
def test_outside_the_prefix_nothing_is_served(
    cluster: FakeCluster, peer: FakePeer, front: RealFront, path: str
) -> None:
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(post(path, {"Host": "p", "Content-Length": "0"}))
        bare = front.program == "nginx" and path == "/a/b"
        assert client.read_answer().status == (301 if bare else 404)
    assert peer.requests == []


@pytest.mark.parametrize("prefix", ["", "/", "ops", "/ops/", '/o"ps', "/o$ps", "/o`ps", "/o{ps"])
def test_a_prefix_of_the_wrong_form_is_refused(
    cluster: FakeCluster, peer: FakePeer, kind: type[RealFront], prefix: str
) -> None:
    with pytest.raises(ValueError, match="prefix"):
        kind(cluster.authority, peer, prefix)


def test_the_path_of_the_peer_stands_behind_the_prefix(
    cluster: FakeCluster, kind: type[RealFront]
) -> None:
    peer = cluster.peer(path="/ops/?site=eu")
    with kind(cluster.authority, peer, "/a") as front:
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


def test_a_peer_of_another_authority_is_not_spoken_to(
    cluster: FakeCluster, kind: type[RealFront]
) -> None:
    peer = cluster.peer(fault=CertificateFlaw.WRONG_AUTHORITY)
    with (
        kind(cluster.authority, peer, "/a") as front,
        RawClient(front.url, ca_file=cluster.ca_file) as client,
    ):
        client.send(mint_request(peer).replace(b"POST /", b"POST /a/"))
        assert client.read_answer().status in {500, 502, 503}
    assert peer.requests == []


def test_a_peer_without_tls(cluster: FakeCluster, kind: type[RealFront]) -> None:
    with (
        FakePeer(None) as peer,
        kind(cluster.authority, peer, "/a") as front,
        RawClient(front.url, ca_file=cluster.ca_file) as client,
    ):
        client.send(mint_request(peer).replace(b"POST /", b"POST /a/"))
        assert client.read_answer().status == 200


# -- life ----------------------------------------------------------------------------------------


def test_nothing_is_left_of_it(
    cluster: FakeCluster, peer: FakePeer, kind: type[RealFront], tmp_path: Path
) -> None:
    head = head_of_upload(peer, cluster, "/a/")
    assert peer.connections, "the peer is up, with every descriptor of its own"
    descriptors = len(list(Path("/dev/fd").iterdir()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        front = kind(cluster.authority, peer, "/a").start()
    [directory] = tmp_path.iterdir()
    assert _processes_in(directory)
    with RawClient(front.url, ca_file=cluster.ca_file) as client:
        client.send(head + chunked(upload_body(PAYLOAD)).removesuffix(b"0\r\n\r\n"))
        peer.wait_until(lambda p: bool(p.live_uploads))  # and stopped in the midst of it
        front.stop()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert client.read_to_the_end() == b""
    front.stop()
    assert len(peer.connections) == 2, "and the peer has done with them"
    assert _processes_in(directory) == []
    with pytest.raises(ConnectionRefusedError):
        RawClient(front.url)
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/dev/fd").iterdir())) == descriptors


def _processes_in(directory: Path) -> list[Path]:
    """The processes that have this working directory or name it; none on systems without /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if str(directory).encode() in words or (process / "cwd").readlink() == directory:
                found.append(process)
    return found


def test_a_proxy_that_does_not_start_shows_its_log(
    cluster: FakeCluster,
    peer: FakePeer,
    kind: type[RealFront],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match=f"{kind.program} did not start .*(?s:.*)nonsense"):
        kind(cluster.authority, peer, "/a", directives="nonsense;").start()
    assert list(tmp_path.iterdir()) == []


def test_where_the_program_is_missing(
    cluster: FakeCluster, peer: FakePeer, kind: type[RealFront], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert not kind.is_available()
    with pytest.raises(RuntimeError, match=f"no {kind.program} on this machine"):
        kind(cluster.authority, peer, "/a").start()
