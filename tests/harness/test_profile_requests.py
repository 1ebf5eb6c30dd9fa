"""The profile `harper-5.1` on the wire: credentials, operations in JSON, heads."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Callable

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.profileclient import (
    DEPLOY,
    EARLY,
    EVENTS,
    FASTIFY_CLOSE,
    FASTIFY_KEEP,
    JSON,
    NO_OPERATION,
    TAR,
    ask,
    assert_fastify,
    basic,
    connect,
    deployed,
    form,
    head,
    operation,
    read_came,
)
from tests.rawclient import RawClient, chunked, mint, mint_request

INFO = {"operation": "registration_info"}
MINT = {"operation": "create_authentication_tokens"}


@pytest.fixture
def peer(cluster: FakeCluster) -> FakePeer:
    return cluster.peer(profile="harper-5.1")


# -- credentials ---------------------------------------------------------------------------------


def authorization(kind: str, peer: FakePeer, cluster: FakeCluster) -> str | None:
    """The header of this kind; any other text is the header itself."""
    if kind == "expired token":
        peer.fault = faults.TokensExpire()
    makers: dict[str, Callable[[], str | None]] = {
        "none": lambda: None,
        "lower-case bearer": lambda: f"bearer {mint(peer, cluster.ca_file)}",
        "expired token": lambda: f"Bearer {mint(peer, cluster.ca_file)}",
        "refresh token": lambda: f"Bearer {peer.tokens.issue_refresh(peer.username)}",
        "wrong password": lambda: basic(peer, "wrong"),
        "unknown user": lambda: "Basic " + b64encode(b"nobody:x").decode(),
    }
    return makers[kind]() if kind in makers else kind


EARLY_REFUSALS = [
    ("Bearer not.a.token", "invalid token"),
    ("wrong password", "Login failed"),
    ("unknown user", "Login failed"),
    ("Basic %%%", "Invalid character"),
    ("Basic gr\xf6\xdfe", "Invalid character"),
]
LATE_REFUSALS = [
    ("none", "Must login"),
    ("Digest x", "Must login"),
    ("lower-case bearer", "Must login"),
    ("Bearer ", "invalid token"),
    ("refresh token", "invalid token"),
    ("expired token", "token expired"),
]


@pytest.mark.parametrize(("kind", "text"), EARLY_REFUSALS)
@pytest.mark.parametrize("kind_of_request", ["form", "JSON"])
def test_a_wrong_credential_is_refused_in_front(
    peer: FakePeer, cluster: FakeCluster, kind: str, text: str, kind_of_request: str
) -> None:
    given = authorization(kind, peer, cluster)
    request = operation(peer, INFO, given)
    if kind_of_request == "form":
        request = head(peer, given) + chunked(form())
    came = ask(peer, cluster, request)
    assert (came.status, came.json, came.names) == (401, {"error": text}, EARLY)
    assert came.header("Server-Timing") == "hdb;dur=1"


@pytest.mark.parametrize(("kind", "text"), LATE_REFUSALS)
@pytest.mark.parametrize("kind_of_request", ["form", "form without a file", "JSON"])
def test_a_missing_credential_is_refused_behind(
    peer: FakePeer, cluster: FakeCluster, kind: str, text: str, kind_of_request: str
) -> None:
    given = authorization(kind, peer, cluster)
    request = operation(peer, INFO, given)
    if kind_of_request != "JSON":
        payload = None if "without" in kind_of_request else b"payload"
        request = head(peer, given) + chunked(form(payload=payload))
    assert_fastify(ask(peer, cluster, request), 401, {"error": text})


def test_a_forbidden_user_may_mint_and_not_deploy(peer: FakePeer, cluster: FakeCluster) -> None:
    peer.fault = faults.MintForAnotherUser()
    request = head(peer, f"Bearer {mint(peer, cluster.ca_file)}") + chunked(form())
    came = ask(peer, cluster, request)
    assert came.status == 403
    assert set(came.json) == {"error", "unauthorized_access", "invalid_schema_items"}


# -- operations in JSON --------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["body", "Basic", "Bearer"])
def test_minting(peer: FakePeer, cluster: FakeCluster, by: str) -> None:
    request = mint_request(peer)
    if by != "body":
        bearer = f"Bearer {mint(peer, cluster.ca_file)}"
        request = operation(peer, MINT, "good" if by == "Basic" else bearer)
    came = ask(peer, cluster, request)
    assert (came.status, came.names) == (200, FASTIFY_KEEP)
    assert list(came.json) == ["operation_token", "refresh_token"]
    assert peer.mints[-1].token == came.json["operation_token"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"username": "{user}", "password": "wrong"}, "invalid credentials"),
        ({"username": "nobody", "password": "x"}, "invalid credentials"),
        ({"username": "{user}"}, "invalid credentials"),
        ({}, "Must login"),
    ],
    ids=["wrong password", "unknown user", "no password", "nothing"],
)
def test_refused_mints(
    peer: FakePeer, cluster: FakeCluster, given: dict[str, str], text: str
) -> None:
    body = MINT | {name: value.format(user=peer.username) for name, value in given.items()}
    assert_fastify(ask(peer, cluster, operation(peer, body, None)), 401, {"error": text})
    assert peer.mints[0].token is None


DEPLOY_BODY = {**dict(DEPLOY), "payload": b64encode(TAR).decode()}
OPERATIONS: dict[str, tuple[object, int, object]] = {
    "registration_info": (INFO, 200, {"version": "5.1.14", "deprecated": True}),
    "no operation": ({"project": "x"}, 400, {"error": NO_OPERATION}),
    "unknown": ({"operation": "no_such_op"}, 400, {"error": "Operation 'no_such_op' not found"}),
    "operation 123": (
        {"operation": 123},
        500,
        {"error": "req.body?.operation?.startsWith is not a function"},
    ),
    "deploy": (DEPLOY_BODY, 200, deployed()),
    "deploy without project": (
        {"operation": "deploy_component"},
        400,
        {"error": "'project' is required"},
    ),
    "no job": ({"operation": "get_job"}, 400, {"error": "'id' is required"}),
}


@pytest.mark.parametrize(("body", "status", "expected"), OPERATIONS.values(), ids=OPERATIONS)
def test_operations_in_json(
    peer: FakePeer, cluster: FakeCluster, body: object, status: int, expected: object
) -> None:
    assert_fastify(ask(peer, cluster, operation(peer, body)), status, expected)


def test_a_chunked_operation_is_read(peer: FakePeer, cluster: FakeCluster) -> None:
    request = head(peer, Content_Type=JSON) + chunked(b'{"operation":"registration_info"}', 5)
    assert ask(peer, cluster, request).json == {"version": "5.1.14", "deprecated": True}


@pytest.mark.parametrize("body", [b"{", b"no JSON"])
def test_what_is_no_json_ends_the_connection(
    peer: FakePeer, cluster: FakeCluster, body: bytes
) -> None:
    came = ask(peer, cluster, operation(peer, body), usable=False)
    text = "Body is not valid JSON but content-type is set to 'application/json'"
    assert_fastify(came, 400, {"error": text}, FASTIFY_CLOSE)


def test_an_operation_too_large_for_a_fake_peer_ends_the_connection(
    peer: FakePeer, cluster: FakeCluster
) -> None:
    with connect(peer, cluster) as client:
        client.send(head(peer, Content_Type=JSON, Transfer_Encoding="", Content_Length="70000"))
        assert read_came(client).status == 413


@pytest.mark.parametrize(
    "media_type", ["multipart/mixed; boundary=b", "application/octet-stream", ""]
)
def test_an_unknown_media_type(peer: FakePeer, cluster: FakeCluster, media_type: str) -> None:
    came = ask(peer, cluster, head(peer, Content_Type=media_type) + chunked(form()))
    assert_fastify(came, 415, {"error": "Unsupported Media Type"})


def test_a_deploy_in_json_as_events(peer: FakePeer, cluster: FakeCluster) -> None:
    came = ask(peer, cluster, operation(peer, DEPLOY_BODY, Accept=EVENTS))
    assert came.body.startswith(b": stream open\n\nevent: phase\n")
    assert b"event: done\n" in came.body


def test_an_operation_without_events_comes_as_one_frame(
    peer: FakePeer, cluster: FakeCluster
) -> None:
    came = ask(peer, cluster, operation(peer, INFO, Accept=EVENTS))
    assert came.body == b'data: {"version":"5.1.14","deprecated":true}\n\n'
    assert (came.status, came.names) == (200, FASTIFY_KEEP)
    assert came.header("content-type") == EVENTS


# -- heads ---------------------------------------------------------------------------------------


def test_health(peer: FakePeer, cluster: FakeCluster) -> None:
    came = ask(peer, cluster, b"GET /health HTTP/1.1\r\nHost: p\r\n\r\n")
    assert (came.status, came.body, came.names) == (200, b"Harper is running.", FASTIFY_KEEP)
    assert came.header("content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("line", [b"GET /nope", b"PUT /"])
def test_not_found(peer: FakePeer, cluster: FakeCluster, line: bytes) -> None:
    came = ask(peer, cluster, line + b" HTTP/1.1\r\nHost: p\r\nContent-Length: 2\r\n\r\n{}")
    assert (came.status, came.body) == (404, b"Not found\n")
    assert came.names == ["Date", "Connection", "Keep-Alive", "Transfer-Encoding"]


@pytest.mark.parametrize("line", [b"POST /", b"GET /nope"])
def test_a_missing_host(peer: FakePeer, cluster: FakeCluster, line: bytes) -> None:
    with connect(peer, cluster) as client:
        client.send(line + b" HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        came = read_came(client)
        assert client.read() == b""
    assert (came.status, came.body) == (400, b"")
    assert came.names == ["Connection", "Date", "Transfer-Encoding"]


def test_another_expectation(peer: FakePeer, cluster: FakeCluster) -> None:
    came = ask(peer, cluster, head(peer, Expect="foo") + chunked(form()))
    assert (came.status, came.body, came.header("Transfer-Encoding")) == (417, b"", "chunked")


@pytest.mark.parametrize(("given", "status"), [("good", 200), ("Bearer wrong", 401)])
def test_100_continue_comes_first_whatever_follows(
    peer: FakePeer, cluster: FakeCluster, given: str, status: int
) -> None:
    with connect(peer, cluster) as client:
        client.send(head(peer, given, Expect="100-continue"))
        assert client.read_answer_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(chunked(form()))
        assert read_came(client).status == status


PARSER = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ({}, chunked(form())[:-200]),
        ({"Transfer_Encoding": "", "Content_Length": "9999"}, form()[:-50]),
        ({}, b"xyz\r\n" + form()),
        ({"Content_Length": "10"}, chunked(form())),
    ],
    ids=["FIN before the last chunk", "FIN before the length", "bad chunk size", "both framings"],
)
def test_what_is_no_http_gets_two_lines(framing: dict[str, str], body: bytes) -> None:
    # Without TLS: it has no half-closed connections in Python.
    with FakePeer(None, profile="harper-5.1") as peer, RawClient(peer.url) as client:
        client.send(head(peer, **framing) + body)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.read_to_the_end() == PARSER


def test_bad_chunks_of_an_operation(peer: FakePeer, cluster: FakeCluster) -> None:
    with connect(peer, cluster) as client:
        client.send(head(peer, Content_Type=JSON) + b"xyz\r\n{}\r\n0\r\n\r\n")
        assert client.read_to_the_end() == PARSER
