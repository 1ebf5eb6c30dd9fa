"""A fake peer, seen from a raw client: what it answers and what it witnesses."""

from __future__ import annotations

import contextlib
import hashlib

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.peer.addresses import has_ipv6
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.replication import FakeReplicationSocket
from tests.rawclient import (
    RawClient,
    chunked,
    mint,
    mint_request,
    post,
    upload_body,
    upload_head,
)


def test_an_upload_is_answered_and_witnessed(cluster: FakeCluster) -> None:
    peer = cluster.peer(path="/ops/?site=eu")
    payload = bytes(range(256)) * 1000
    head = upload_head(peer, mint(peer, cluster.ca_file), **{"x-OdD": "1"})
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head + chunked(upload_body(payload)))
        answer = client.read_answer()
    assert (answer.status, answer.json) == (200, {"message": "Successfully deployed: demo"})
    upload = peer.upload
    assert upload.raw_head == head
    assert upload.target == "/ops/?site=eu"
    assert upload.headers[-1] == ("x-OdD", "1")
    assert upload.findings == []
    assert upload.fields == {
        "operation": b"deploy_component",
        "project": b"demo",
        "replicated": b"false",
    }
    assert upload.file.length == len(payload)
    assert upload.file.sha256 == hashlib.sha256(payload).hexdigest()
    assert upload.complete
    assert upload.answer_status == 200


def test_a_connection_serves_a_mint_and_then_an_upload(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        token = client.read_answer().json["operation_token"]
        client.send(upload_head(peer, token) + chunked(upload_body()))
        assert client.read_answer().status == 200
    [connection] = peer.connections
    assert [request.method for request in connection.requests] == ["POST", "POST"]


def test_pipelined_requests_are_told_apart(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer) + mint_request(peer))
        tokens = {client.read_answer().json["operation_token"] for _ in range(2)}
    assert tokens == {mint.token for mint in peer.mints}
    assert len(tokens) == 2


def test_a_broken_upload_is_refused_with_its_finding(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    body = upload_body().replace(b"application/gzip", b"application/zip")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, mint(peer, cluster.ca_file)) + chunked(body))
        answer = client.read_answer()
    assert answer.status == 400
    assert "WIRE-05" in answer.json["error"]
    assert [finding.id for finding in peer.upload.findings] == ["WIRE-05"]


def test_the_hash_of_a_file_is_kept_at_chosen_offsets(cluster: FakeCluster) -> None:
    payload = bytes(range(256)) * 1000
    peer = cluster.peer(mark_offsets=[0, 1, 65_536, 1 << 30])
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        head = upload_head(peer, mint(peer, cluster.ca_file))
        client.send(head + chunked(upload_body(payload), size=999))
        client.read_answer()
    file = peer.upload.file
    assert file is not None
    assert file.marks == {n: hashlib.sha256(payload[:n]).hexdigest() for n in (0, 1, 65_536)}


@pytest.mark.parametrize("cut", [1, 7, 100, 300])
def test_an_upload_cut_short_is_witnessed(cluster: FakeCluster, cut: int) -> None:
    peer = cluster.peer()
    body = chunked(upload_body())
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, mint(peer, cluster.ca_file)) + body[:-cut])
    upload = peer.upload
    assert not upload.complete
    assert upload.findings
    assert upload.connection.closed_by == "client"
    assert "body end" not in upload.times
    assert upload.last_byte_at is not None
    assert upload.times["body"] <= upload.last_byte_at <= (upload.connection.closed_at or 0)


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_reset_is_told_from_a_fin(cluster: FakeCluster, how: str) -> None:
    peer = cluster.peer()
    head = upload_head(peer, mint(peer, cluster.ca_file))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head + b"5\r\n--b0u")
        peer.wait_until(lambda peer: any(upload.reader.received for upload in peer.live_uploads))
        if how == "RST":
            client.reset()
    seen = peer.upload.connection
    assert (seen.closed_by, seen.closed_with) == ("client", how)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_node_can_be_killed_behind_a_connection_that_it_has_ended(
    cluster: FakeCluster, host: str
) -> None:
    """Such a connection still waits at the port, which the node keeps all the same."""
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    peer = cluster.peer(host=host, tls=False)
    request = b"POST / HTTP/1.1\r\nHost: p\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with RawClient(peer.url) as client:
        client.send(request)
        assert client.read_to_the_end().startswith(b"HTTP/1.1 ")
    assert [seen.closed_by for seen in peer.connections] == ["peer"]
    peer.kill()
    with pytest.raises(ConnectionRefusedError):
        RawClient(peer.url)
    peer.restart()
    with RawClient(peer.url) as client:
        client.send(mint_request(peer))
        assert client.read_answer().status == 200


def test_a_path_is_the_one_that_stands_on_the_request_line(cluster: FakeCluster) -> None:
    peer = cluster.peer(path="/a%2Fb/?x=1")
    for path, status in [("/a/b/?x=1", 404), (f"https://{'h' * 9}/a%2Fb/", 200)]:
        with RawClient(peer.url, ca_file=cluster.ca_file) as client:
            client.send(mint_request(peer).replace(peer.path.encode(), path.encode(), 1))
            assert client.read_answer().status == status


def test_what_comes_behind_a_refusal_is_not_waited_for(cluster: FakeCluster) -> None:
    peer = cluster.peer(timeout=60)
    lost = upload_head(peer, "token").replace(b"POST / ", b"POST /lost ")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(lost + chunked(upload_body(bytes(100_000))))
        assert client.read_answer().status == 404
        with contextlib.suppress(ConnectionError):
            client.send(b"more")
            assert client.read() == b""
    assert peer.connections[0].closed_by == "peer"


def test_who_expects_a_hundred_gets_it_and_an_upload_should_not(cluster: FakeCluster) -> None:
    peer = cluster.peer(profile="witness")
    token = mint(peer, cluster.ca_file)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token, Expect="100-continue"))
        assert client.read_answer_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(chunked(upload_body()))
        assert client.read_answer().status == 200
    assert [finding.id for finding in peer.upload.findings] == ["WIRE-13"]


def test_a_foreign_token_is_refused(cluster: FakeCluster) -> None:
    peer, other = cluster.peer(), cluster.peer()
    head = upload_head(peer, mint(other, cluster.ca_file))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head + chunked(upload_body()))
        answer = client.read_answer()
    assert (answer.status, answer.json) == (401, {"error": "invalid token"})


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b'{"operation":"create_authentication_tokens"}', 401, "Must login"),
        (
            b'{"operation":"create_authentication_tokens","username":"a","password":"b"}',
            401,
            "invalid credentials",
        ),
        (b'{"operation":"no_such_op"}', 400, "Operation 'no_such_op' not found"),
        (
            b"{",
            400,
            "Body is not valid JSON but content-type is set to 'application/json'",
        ),
    ],
    ids=["no credentials", "wrong credentials", "unknown operation", "not JSON"],
)
def test_what_is_not_an_upload_is_answered_as_harper_does(
    cluster: FakeCluster, body: bytes, status: int, error: str
) -> None:
    peer = cluster.peer()
    headers = {"Host": "p", "Content-Type": "application/json", "Content-Length": str(len(body))}
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(post("/", headers, body))
        answer = client.read_answer()
    assert (answer.status, answer.json) == (status, {"error": error})


def test_another_path_is_not_found_and_witnessed(cluster: FakeCluster) -> None:
    peer = cluster.peer(path="/ops/")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(post("/", {"Host": "p", "Content-Length": "0"}))
        assert client.read_answer().status == 404
    assert [request.target for request in peer.requests] == ["/"]


@pytest.mark.parametrize(
    ("method", "target", "seen"),
    [
        ("POST", "/?key=1", "POST /?key=1"),
        ("PUT", "/ops/?token=s", "PUT /ops/?token=(redacted)"),
    ],
)
def test_a_wrong_path_or_method_says_what_is_served(
    cluster: FakeCluster, method: str, target: str, seen: str
) -> None:
    peer = cluster.peer(path="/ops/")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: p\r\n\r\n".encode())
        assert client.read_answer().status == 404
    assert f"404: this peer serves POST /ops/, the request was {seen}" in peer.timeline()


def test_a_mint_is_summed_up(cluster: FakeCluster) -> None:
    peer = cluster.peer(username="admin")
    mint(peer, cluster.ca_file)
    assert peer.mint.username == "admin"
    assert "mint: user admin, with a password in the body; a token issued" in peer.timeline()
    body = rb'{"operation": "create_authentication_tokens", "username": "\udcff"}'
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(post("/", {"Host": "p", "Content-Length": str(len(body))}, body))
        assert client.read_answer().status == 401
    assert r"mint: user \xed\xb3\xbf, without a password in the body; no token" in peer.timeline()


def test_handlers_of_pytest_httpserver_work_beside_the_operations_api(
    cluster: FakeCluster,
) -> None:
    peer = cluster.peer()
    peer.http.expect_request("/health").respond_with_data("Harper is running.")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: p\r\n\r\n")
        assert client.read_answer().body == b"Harper is running."
    peer.http.check()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "", "peer.example"])
def test_a_peer_serves_on_the_loopback_only(cluster: FakeCluster, host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        FakePeer(None, host=host)
    if host:  # an empty one is that of the peer
        with pytest.raises(ValueError, match="loopback"):
            FakeReplicationSocket(None, cluster.peer().node, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_any_loopback_address_will_do(host: str) -> None:
    assert FakePeer(None, host=host).http.host == host


def test_whose_token_a_text_shows(cluster: FakeCluster) -> None:
    peer, other = cluster.peer(), cluster.peer()
    text = f"the token is {peer.tokens.issue(peer.username)}, they said"
    assert peer.tokens.appear_in(text)
    assert not other.tokens.appear_in(text)


def test_matching_by_body_is_refused(cluster: FakeCluster) -> None:
    with pytest.raises(ValueError, match="match by path"):
        cluster.peer().http.expect_request("/x", data="would be read first")


def test_credentials_do_not_show_in_a_witness(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    token = mint(peer, cluster.ca_file)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token) + chunked(upload_body()))
        client.read_answer()
    shown = f"{peer.upload}{peer.upload!r}{peer.mints}"
    assert "POST / HTTP/1.1" in shown
    assert peer.upload.token == token
    assert token not in shown
    assert peer.password not in shown


def test_a_timeline_quotes_the_answer_to_an_upload_without_credentials(
    cluster: FakeCluster,
) -> None:
    peer = cluster.peer()
    token = peer.tokens.issue(peer.username)
    peer.fault = Answer.error(400, f"not with {token} of {peer.password}")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token) + chunked(upload_body()))
        assert client.read_answer().status == 400
    assert peer.upload.answer_status == 400  # it has been answered to the end
    assert ' bytes): {"error":"not with [token] of [password]"}\n' in peer.timeline()


@pytest.mark.parametrize("password", ["a", "in", "byte"])
def test_a_short_password_is_hidden_and_spares_the_words_around_it(
    cluster: FakeCluster, password: str
) -> None:
    peer = cluster.peer(username="admin", password=password)
    token = peer.tokens.issue(peer.username)
    peer.fault = Answer.error(400, f"bad login admin:{password}, {password}x")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token) + chunked(upload_body()))
        assert client.read_answer().status == 400
    assert peer.upload.answer_status == 400  # it has been answered to the end
    seen = peer.timeline()
    assert f'{{"error":"bad login admin:[password], {password}x"}}\n' in seen
    assert " accepted from " in seen
    assert "the file part begins" in seen
