"""Malformed request heads: witnessed, judged, and shown without their credentials."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.replication import FakeReplicationSocket
from deploy_relay_kit.harness.transport.requests import HEAD_LIMIT
from deploy_relay_kit.harness.witness.redaction import redacted
from deploy_relay_kit.harness.witness.requests import UploadWitness
from tests.rawclient import RawClient, chunked, mint, mint_request, upload_body, upload_head

SECRET = "very.secret-token"
UPLOAD = (
    b"POST / HTTP/1.1\r\nHost: peer\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Transfer-Encoding: chunked\r\nAuthorization: Bearer very.secret-token\r\n\r\n"
)


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (b"HTTP/1.1", b"HTTP/1.x", "POST <target> HTTP/1.1"),
        (b"HTTP/1.1", b"HTTP/2.0", "POST <target> HTTP/1.1"),
        (b" HTTP/1.1", b"", "POST <target> HTTP/1.1"),
        (b"POST / ", b"POST / and more ", "POST <target> HTTP/1.1"),
        (b"Host:", b"Host :", "no space between header name and colon"),
        (b"Host: peer", b"Host peer", "a header name and a colon"),
        (b"peer", b"pe\x01er", "no control byte in a header line"),
    ],
)
def test_a_malformed_head_is_witnessed_judged_and_refused(
    cluster: FakeCluster, right: bytes, wrong: bytes, expected: str
) -> None:
    peer = cluster.peer()
    head = UPLOAD.replace(right, wrong, 1)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head)
        answer = client.read_answer()
        assert client.read() == b""
    assert (answer.status, answer.body) == (400, b"")
    upload = peer.upload
    assert upload.raw_head == head
    assert upload.problem is not None
    assert upload.answer_status == 400
    assert ("HTTP-01", expected) in [(it.id, it.expected) for it in upload.findings]
    assert SECRET not in f"{peer.timeline()}{upload}{upload!r}"
    assert "malformed request head" in peer.timeline()


def test_what_is_no_upload_is_witnessed_too(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.read_answer().status == 400
    [request] = peer.requests
    assert not isinstance(request, UploadWitness)
    assert (request.raw_head, request.problem) == (b"nonsense\r\n\r\n", "no request line of HTTP/1")


def test_a_replication_socket_witnesses_it_as_well(cluster: FakeCluster) -> None:
    with FakeReplicationSocket(cluster.authority, cluster.peer().node) as socket:
        with RawClient(socket.url.replace("wss", "https"), ca_file=cluster.ca_file) as client:
            client.send(b"GET / HTTP/1.x\r\n\r\n")
            assert (
                client.read_to_the_end() == b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
            )
        [connection] = socket.connections
        assert [it.answer_status for it in connection.requests] == [400]


def test_empty_lines_before_a_request_are_passed_over_and_found(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    head = b"\r\n\r\n\r\n" + upload_head(peer, mint(peer, cluster.ca_file))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head + chunked(upload_body()))
        assert client.read_answer().status == 400
    assert peer.upload.raw_head == head
    assert [(it.id, it.got) for it in peer.upload.findings] == [("HTTP-01", "an empty line")]
    assert peer.upload.headers[0] == ("Host", "peer")


def test_empty_lines_without_a_request_are_not_one(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(b"\r\n\r\n")
    assert peer.requests == []
    assert "closed after 4 bytes of a request head" in peer.timeline()


def test_a_head_that_does_not_end_is_refused(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    head = UPLOAD[:-2] + b"X-Long: " + bytes(HEAD_LIMIT).replace(b"\0", b"x")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head[:HEAD_LIMIT])
        assert client.read_answer().status == 431
    assert peer.upload.problem == "more than 65536 bytes"
    assert len(peer.upload.raw_head) == HEAD_LIMIT
    assert "closed after" not in peer.timeline()


@pytest.mark.parametrize(
    "head",
    [
        b"POST /?token=very.secret-token&x=1 HTTP/1.1\r\nHost: p\r\n\r\n",
        b"POST /?x=1;access_TOKEN=very.secret-token HTTP/1.1\r\n\r\n",
        b"POST https://user:very.secret-token@peer/ HTTP/1.1\r\n\r\n",
        b"POST /?password=very.secret-token#x HTTP/1.x\r\n\r\n",
        b"POST / HTTP/1.1\r\nAuthorization: Bearer very.secret-token\r\n\r\n",
        b"POST / HTTP/1.1\r\nAuthorization: very.secret-token\r\n\r\n",
        b"POST / HTTP/1.1\r\nAuthorization: Bearer\r\n very.secret-token\r\n\r\n",
        b"POST / HTTP/1.1\r\nAuthorization:\r\n\tBearer\r\n  very.secret-token\r\n\r\n",
        b"POST / HTTP/1.1\r\nAuthorization : Bearer very.secret-token\r\n\r\n",
        b"POST / HTTP/1.1\r\n Authorization: Bearer very.secret-token\r\n\r\n",
        b"POST / HTTP/1.1\nAuthorization: Bearer\n very.secret-token\n\r\n\r\n",
        b"POST / HTTP/1.1\r\nAuthorization: Bearer a\rvery.secret-token\r\n\r\n",
        b"POST / HTTP/1.1\r\nX-Auth-Token: very.secret-token\r\n\r\n",
        b"POST / HTTP/1.1\r\nCookie: a=very.secret-token\r\n\r\n",
    ],
)
def test_no_credential_of_a_head_is_printed(cluster: FakeCluster, head: bytes) -> None:
    assert SECRET.encode() in head
    assert SECRET.encode() not in redacted(head)
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head)
        client.read_answer_head()
    [request] = peer.requests
    assert SECRET not in f"{peer.timeline()}{request}{request!r}"
    assert request.raw_head == head


def test_what_is_no_credential_is_still_shown() -> None:
    head = (
        b"POST /ops/?site=eu HTTP/1.1\r\nHost: peer\r\nAuthorization: Bearer x\r\n"
        b"Accept: text/plain\r\n\tfolded\r\n\r\n"
    )
    assert redacted(head) == head.replace(b"Bearer x", b"Bearer(redacted)")


def test_a_head_full_of_names_is_redacted_in_no_time(cluster: FakeCluster) -> None:
    """A pattern that goes back and forth would take minutes for these."""
    peer = cluster.peer()
    for long in (b"token" * 12_000, b"x" * 60_000):
        with RawClient(peer.url, ca_file=cluster.ca_file) as client:
            client.send(b"POST /?" + long + b" HTTP/1.1\r\n\r\n")
            client.read_answer_head()
        assert redacted(b"POST / HTTP/1.1\r\n" + long + b"\r\n\r\n").endswith(b"\r\n\r\n")


def test_a_request_behind_a_malformed_one_is_not_read(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(b"POST / HTTP/1.x\r\n\r\n" + mint_request(peer))
        assert client.read_answer().status == 400
    assert peer.mints == []


def test_a_client_that_speaks_tls_to_a_port_without_it_is_answered_at_once(
    cluster: FakeCluster,
) -> None:
    """As Node and nginx answer; else it would wait for the end of its handshake."""
    peer = cluster.peer(tls=False)
    with RawClient(peer.url) as client:
        client.send(b"\x16\x03\x01\x00\x10" + bytes(16))
        assert client.read_answer().status == 400
    assert peer.requests == []
    assert "malformed request head: TLS at a port without it" in peer.timeline()
