"""The profile `harper-5.1` on the wire: requests that few clients send."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.profileclient import (
    FASTIFY,
    FASTIFY_CLOSE,
    FRAMEWORK,
    FRAMEWORK_KEEP,
    JSON_UTF8,
    NO_OPERATION,
    ask,
    assert_fastify,
    form,
    head,
    operation,
)
from tests.rawclient import chunked, post

INFO = {"operation": "registration_info"}


@pytest.fixture
def peer(cluster: FakeCluster) -> FakePeer:
    return cluster.peer(profile="harper-5.1")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], NO_OPERATION),
        ({}, NO_OPERATION),
        ("x", NO_OPERATION),
        (None, "Cannot read properties of null (reading 'operation')"),
    ],
)
def test_json_that_is_no_operation_ends_the_connection(
    peer: FakePeer, cluster: FakeCluster, body: object, message: str
) -> None:
    came = ask(peer, cluster, operation(peer, body), usable=False)
    assert (came.status, came.json) == (400, FRAMEWORK | {"message": message})
    assert came.names == FRAMEWORK_KEEP  # which says keep-alive
    assert came.header("content-type") == JSON_UTF8


def test_text_is_no_operation(peer: FakePeer, cluster: FakeCluster) -> None:
    request = head(peer, Content_Type="text/plain") + chunked(b'{"operation":"get_job"}')
    came = ask(peer, cluster, request, usable=False)
    assert (came.status, came.json, came.names) == (400, FRAMEWORK, FRAMEWORK_KEEP)


def test_a_request_without_a_body(peer: FakePeer, cluster: FakeCluster) -> None:
    came = ask(peer, cluster, post("/", {"Host": "p", "Content-Length": "0"}))
    text = "Cannot read properties of undefined (reading 'operation')"
    assert (came.status, came.json) == (400, FRAMEWORK | {"message": text})
    assert came.names == FRAMEWORK_KEEP


def test_an_unknown_job(peer: FakePeer, cluster: FakeCluster) -> None:
    came = ask(peer, cluster, operation(peer, {"operation": "get_job", "id": "x"}))
    assert (came.status, came.json) == (200, [])
    assert came.header("Transfer-Encoding") == "chunked"


def test_an_unknown_service_ends_the_connection(peer: FakePeer, cluster: FakeCluster) -> None:
    body = {"operation": "restart_service", "service": "nonsense"}
    came = ask(peer, cluster, operation(peer, body), usable=False)
    assert_fastify(came, 400, {"error": "Invalid service"}, FASTIFY_CLOSE)


@pytest.mark.parametrize("lifetime", ["soon", "", [], None])
def test_a_token_for_an_odd_time(peer: FakePeer, cluster: FakeCluster, lifetime: object) -> None:
    body = {"operation": "create_authentication_tokens", "expires_in": lifetime}
    came = ask(peer, cluster, operation(peer, body))
    assert came.status == 500
    assert came.json["error"].startswith('"expiresIn" should be a number of seconds or string')


@pytest.mark.parametrize("lifetime", ["1d", "20h", "2.5 hrs", 60, "60"])
def test_a_token_for_a_time(peer: FakePeer, cluster: FakeCluster, lifetime: object) -> None:
    body = {"operation": "create_authentication_tokens", "expires_in": lifetime}
    assert "operation_token" in ask(peer, cluster, operation(peer, body)).json


def test_who_asks_to_close_gets_the_word_capitalised(peer: FakePeer, cluster: FakeCluster) -> None:
    came = ask(peer, cluster, operation(peer, INFO, Connection="close"), usable=False)
    assert came.names == [*FASTIFY, "Connection"]
    assert came.header("Connection") == "close"


def test_a_head_of_20_kb_is_refused(peer: FakePeer, cluster: FakeCluster) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: p\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"
    came = ask(peer, cluster, request, usable=False)
    assert (came.status, came.headers) == (431, [("Connection", "close")])


def test_a_browser_may_ask_first_and_read_the_answer(peer: FakePeer, cluster: FakeCluster) -> None:
    asking = b"OPTIONS / HTTP/1.1\r\nHost: p\r\nOrigin: https://o.example\r\n"
    came = ask(peer, cluster, asking + b"Access-Control-Request-Method: POST\r\n\r\n")
    assert (came.status, came.body) == (200, b"")
    assert came.header("Access-Control-Allow-Origin") == "https://o.example"
    came = ask(peer, cluster, b"OPTIONS / HTTP/1.1\r\nHost: p\r\n\r\n")
    assert (came.status, came.body) == (400, b"Invalid Preflight Request")
    came = ask(peer, cluster, operation(peer, INFO, Origin="https://o.example"))
    assert came.header("access-control-allow-origin") == "https://o.example"
    assert came.header("Access-Control-Allow-Credentials") == "true"


def test_bytes_after_the_gzip_are_refused(peer: FakePeer, cluster: FakeCluster) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("package/config.yaml"))
    small = gzip.compress(packed.getvalue())  # the profile keeps 256 bytes of each end
    came = ask(peer, cluster, head(peer) + chunked(form(payload=small + b"and more")))
    assert (came.status, came.json["error"]) == (500, "incorrect header check")
    came = ask(peer, cluster, head(peer) + chunked(form(payload=small + small)))
    assert came.status == 200  # two members are one gzip
