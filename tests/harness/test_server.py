"""The server under a fake peer: it starts and stops quickly, and nobody can block it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException, abort

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.events import Event, EventStream
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.transport.listener import _BUFFER_BYTES, _bound
from deploy_relay_kit.harness.transport.server import StreamingServer
from tests.rawclient import RawClient, chunked, mint, upload_body, upload_head


def test_a_silent_client_blocks_nobody(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    address = (peer.http.host, peer.http.port)
    with socket.create_connection(address), socket.create_connection(address):
        assert mint(peer, cluster.ca_file)
        peer.stop()


def test_a_mint_does_not_wait_for_an_upload(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    head = upload_head(peer, mint(peer, cluster.ca_file))
    with RawClient(peer.url, ca_file=cluster.ca_file) as held_open:
        held_open.send(head + b"5\r\n--b0u")
        assert mint(peer, cluster.ca_file)


@pytest.mark.parametrize("sent", ["nothing", "half a head", "half a body", "a whole upload"])
def test_stopping_leaves_no_thread_and_no_port(cluster: FakeCluster, sent: str) -> None:
    peer = FakePeer(cluster.authority, name="stopped").start()
    token = mint(peer, cluster.ca_file)
    body = chunked(upload_body())
    what = {
        "nothing": b"",
        "half a head": b"POST / HT",
        "half a body": upload_head(peer, token) + body[:100],
        "a whole upload": upload_head(peer, token) + body,
    }
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(what[sent])
        peer.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((peer.http.host, peer.http.port))
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(f"peer-{peer.http.port}")]


def test_a_port_that_is_taken_is_named_with_the_remedy(cluster: FakeCluster) -> None:
    taken = cluster.peer().http
    with pytest.raises(OSError, match=rf" port {taken.port}: .* in use; give a port"):
        StreamingServer(taken.host, taken.port).start()


def test_plain_http_to_a_tls_peer_is_witnessed(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with RawClient(peer.url.replace("https", "http")) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.read_to_the_end() == b""
    [connection] = peer.connections
    assert connection.handshake_error == "HTTP_REQUEST"
    assert connection.requests == []


def test_the_alert_of_a_client_that_does_not_trust_the_peer_is_witnessed(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    peer = cluster.peer()
    foreign = Authority().write(tmp_path / "foreign.pem")
    with pytest.raises(ssl.SSLCertVerificationError):
        RawClient(peer.url, ca_file=foreign)
    [connection] = peer.connections
    assert connection.handshake_error == "TLSV1_ALERT_UNKNOWN_CA"


def test_a_handler_that_raises_is_reported_by_check(cluster: FakeCluster) -> None:
    peer = cluster.peer()

    def broken(_: object) -> None:
        raise LookupError("a defect in a handler")

    peer.http.expect_request("/broken").respond_with_handler(broken)  # type: ignore[arg-type]
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(b"GET /broken HTTP/1.1\r\nHost: p\r\n\r\n")
        assert client.read_answer().status == 500
    with pytest.raises(LookupError, match="a defect in a handler"):
        peer.http.check()


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Content-Length: 5", b"hello"),
        ("Transfer-Encoding: chunked", b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n"),
    ],
)
def test_a_handler_of_a_test_reads_a_body_in_any_framing(
    cluster: FakeCluster, framing: str, body: bytes
) -> None:
    peer = cluster.peer()

    def echo(request: Request) -> Response:
        shown = [request.args["x"], request.headers["X-Two"], request.get_data(as_text=True)]
        return Response(" ".join(shown))

    peer.http.expect_request("/echo é", method="POST").respond_with_handler(echo)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        head = "POST /echo%20%C3%A9?x=1 HTTP/1.1\r\nHost: p\r\nX-Two: a\r\nX-Two: b\r\n"
        client.send(f"{head}{framing}\r\n\r\n".encode() + body)
        assert client.read_answer().body == b"1 a,b hello"
        assert client.read() == b""
    peer.http.check()


def test_a_handler_of_a_test_may_abort(cluster: FakeCluster) -> None:
    peer = cluster.peer()

    def refuse(_: Request) -> Response:
        abort(418)

    peer.http.expect_request("/tea").respond_with_handler(refuse)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(b"GET /tea HTTP/1.1\r\nHost: p\r\n\r\n")
        assert client.read_answer().status == 418
    with pytest.raises(HTTPException):
        peer.http.check()


def test_a_peer_that_fails_in_the_middle_of_its_answer_ends_it_and_says_so() -> None:
    """A test that gave it nonsense must neither hang nor pass."""

    def nonsense() -> Iterator[Any]:
        yield Event("phase", {"phase": "prepare", "status": "start"})
        yield 7

    cluster = FakeCluster()
    peer = cluster.peer(fault=EventStream(nonsense(), after_upload=False))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, mint(peer, cluster.ca_file)) + chunked(upload_body()))
        with pytest.raises(ConnectionResetError):
            client.read_answer()
    with pytest.raises(AttributeError, match="int"):
        cluster.stop()


def test_a_peer_can_be_started_again(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    peer.stop()
    peer.start()
    assert mint(peer, cluster.ca_file)


@pytest.mark.parametrize("how", ["kill", "silence"])
def test_a_peer_can_die_or_hang_in_the_middle_of_an_upload(cluster: FakeCluster, how: str) -> None:
    peer = cluster.peer()
    head = upload_head(peer, mint(peer, cluster.ca_file))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head + chunked(upload_body())[:200])
        peer.wait_until(lambda peer: any(u.reader.received == 200 for u in peer.live_uploads))
        getattr(peer, how)()
        if how == "kill":
            client.read_until_reset()
            with pytest.raises(ConnectionRefusedError):
                RawClient(peer.url, ca_file=cluster.ca_file)
            peer.start()
            assert mint(peer, cluster.ca_file)
        else:
            client.sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.send(bytes(16 << 20))
            with pytest.raises(TimeoutError):
                RawClient(peer.url, ca_file=cluster.ca_file, deadline=0.1)
    assert not peer.uploads[0].complete


def test_an_idle_connection_that_falls_silent_is_at_rest(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        peer.http.settle()
        peer.silence()
        peer.wait_until(lambda peer: "reads and sends nothing" in peer.timeline())
        peer.http.settle(timeout=1)
        client.send(b"POST / HTTP/1.1\r\n\r\n")  # never read: nothing to wait for
        peer.http.settle(timeout=1)
    assert peer.requests == []


def test_the_kernel_takes_little_of_an_upload_that_a_peer_does_not_read() -> None:
    """Its own choice grows to many megabytes, in which a whole upload would have been sent."""
    with _bound("127.0.0.1", 0, listens=True) as listener:
        host, port = listener.getsockname()
        with socket.create_connection((host, port)):
            listener.settimeout(5)
            accepted, _ = listener.accept()
            with accepted:
                size = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert size in {_BUFFER_BYTES, 2 * _BUFFER_BYTES}  # Linux counts its own administration
