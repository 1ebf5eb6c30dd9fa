"""Mints over the operations API: read with any legal framing, witnessed before they are parsed."""

from __future__ import annotations

import json

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.peer.tokens import lifetime
from deploy_relay_kit.harness.witness.requests import OperationWitness
from tests.rawclient import RawClient, mint_request, post

CHUNKED = {"Host": "p", "Content-Type": "application/json", "Transfer-Encoding": "chunked"}


def mint_body(peer: FakePeer) -> bytes:
    return mint_request(peer).partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("size_line", "last"),
    [
        (b"%x\r\n", b"0\r\n\r\n"),
        (b"%X\r\n", b"000\r\n\r\n"),
        (b"%x\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"),
    ],
    ids=["plain", "zeros", "trailer"],
)
def test_any_legal_chunking_is_read(cluster: FakeCluster, size_line: bytes, last: bytes) -> None:
    peer = cluster.peer()
    body = mint_body(peer)
    chunks = [body[:10], body[10:]]
    sent = b"".join(size_line % len(chunk) + chunk + b"\r\n" for chunk in chunks) + last
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(post("/", CHUNKED, sent) + mint_request(peer))
        token = client.read_answer().json["operation_token"]
        assert client.read_answer().status == 200, "the connection is still in step"
    seen = peer.mints[0]
    assert (seen.token, seen.body) == (token, json.loads(body))
    assert (seen.framing.kind, seen.framing.chunks) == ("chunked", 2)
    assert seen.framing.length == len(sent)
    assert (seen.complete, seen.findings) == (True, [])
    times = seen.times
    assert times["head"] <= times["body"] <= times["body end"] <= times["answer"]
    assert seen.last_byte_at is not None
    assert times["body"] <= seen.last_byte_at <= times["body end"]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"0_0\r\n\r\n"),
        ({}, b"0x2\r\n{}\r\n0\r\n\r\n"),
        ({}, b"2\r\n{}XX"),
        ({"Content-Length": "2"}, b"2\r\n{}\r\n0\r\n\r\n"),
        ({"Transfer-Encoding": "gzip, chunked"}, b"2\r\n{}\r\n0\r\n\r\n"),
        ({"Transfer-Encoding": "", "Content-Length": "2, 3"}, b"{}"),
    ],
    ids=["0_0", "0x2", "no CRLF", "two framings", "another coding", "two lengths"],
)
def test_illegal_framing_is_refused_and_found(
    cluster: FakeCluster, headers: dict[str, str], body: bytes
) -> None:
    peer = cluster.peer()
    lines = {name: value for name, value in (CHUNKED | headers).items() if value}
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(post("/", lines, body))
        assert client.read_answer().status == 400
        assert client.read() == b""
    [seen] = peer.requests
    assert isinstance(seen, OperationWitness)
    assert [finding.id for finding in seen.findings] == ["WIRE-13"]


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_half_a_mint_is_one(cluster: FakeCluster, end: str) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer)[:-5])
        peer.wait_until(lambda peer: "body" in str(peer.live_connections[0]))
        if end == "RST":
            client.reset()
    [seen] = peer.mints
    assert (seen.complete, seen.body, seen.token) == (False, {}, None)
    assert seen.last_byte_at is not None
    assert (seen.connection.closed_by, seen.connection.closed_with) == ("client", end)


@pytest.mark.parametrize("body", [b'{"operation":"create_authentication_tokens"', b"[" * 50_000])
def test_a_mint_that_is_not_json(cluster: FakeCluster, body: bytes) -> None:
    peer = cluster.peer()
    headers = {"Host": "p", "Content-Type": "application/json", "Content-Length": str(len(body))}
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(post("/", headers, body))
        answer = client.read_answer()
    assert (answer.status, "not valid JSON" in answer.json["error"]) == (400, True)
    [seen] = peer.requests
    assert isinstance(seen, OperationWitness)
    assert seen.reader.content == body
    assert len(peer.mints) == (b"create" in body)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_operation_beyond_64_kib_is_refused(cluster: FakeCluster, framing: str) -> None:
    peer = cluster.peer()
    body = b'{"padding":"%b"}' % (b"x" * 70_000)
    headers = dict(CHUNKED)
    if framing == "length":
        del headers["Transfer-Encoding"]
        headers["Content-Length"] = str(len(body))
    else:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(post("/", headers, body))
        assert client.read_answer().status == 413


def test_the_name_of_the_operation_elsewhere_in_a_body_makes_no_mint(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    body = b'{"operation":"registration_info","note":"create_authentication_tokens"}'
    headers = {"Host": "p", "Content-Type": "application/json", "Content-Length": str(len(body))}
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(post("/", headers, body))
        assert client.read_answer().status == 401
    assert peer.mints == []


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        *((300, 300.0), ("300", 0.3), ("5m", 300.0), ("1.5 Hours", 5_400.0), ("250ms", 0.25)),
        *(("1d", 86_400.0), ("1y", None), ("", None), ("soon", None), (None, None), (True, None)),
    ],
)
def test_a_lifetime_is_read_as_harper_reads_it(expires_in: object, seconds: float | None) -> None:
    assert lifetime(expires_in) == seconds
