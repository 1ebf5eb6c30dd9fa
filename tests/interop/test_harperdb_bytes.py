"""The profile `pre-5.1` answers byte for byte like a real HarperDB 4.7.29."""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.interop.harperdb import PASSWORD, USER, HarperDb
from tests.profileclient import (
    DEPLOY,
    EVENTS,
    GZIP,
    JSON,
    basic,
    form,
    head,
    operation,
    read_came,
)
from tests.rawclient import Peer, RawClient, chunked

DEPLOY_JSON = {**dict(DEPLOY), "payload": b64encode(GZIP).decode()}
DEPLOY_CBOR = {**dict(DEPLOY), "replicated": False, "payload": GZIP}
MINT = {"operation": "create_authentication_tokens"}
INFO = {"operation": "registration_info"}
PAGE = "GET /"  # its content is not reproduced


def plain(line: str, **headers: str) -> Callable[[Peer], bytes]:
    lines = {"Host": "peer", **{name.replace("_", "-"): it for name, it in headers.items()}}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return lambda _: f"{line} HTTP/1.1\r\n{text}\r\n".encode()


def asked(body: object, authorization: str | None = "good", **more: str) -> Callable[[Peer], bytes]:
    return lambda peer: operation(peer, body, authorization, **more)


def typed(media_type: str, body: bytes, **more: str) -> Callable[[Peer], bytes]:
    return lambda peer: head(peer, Content_Type=media_type, **more) + chunked(body)


def in_cbor(
    body: object, authorization: str | None = "good", **more: str
) -> Callable[[Peer], bytes]:
    content = cbor2.dumps(body)
    return lambda peer: (
        head(peer, authorization, Content_Type="application/cbor", **more) + chunked(content)
    )


REQUESTS: dict[str, Callable[[Peer], bytes]] = {
    "health": plain("GET /health"),
    PAGE: plain("GET /"),
    "GET /nope": plain("GET /nope"),
    "PUT /": plain("PUT /", Content_Length="0"),
    "POST elsewhere": plain("POST /nope", Content_Length="0"),
    "OPTIONS": plain("OPTIONS /"),
    "OPTIONS of a browser": plain(
        "OPTIONS /", Origin="https://o.example", Access_Control_Request_Method="POST"
    ),
    "Origin": asked(INFO, Origin="https://o.example"),
    "bad JSON": asked(b"{x"),
    "no JSON": asked(b"nothing"),
    "JSON []": asked([]),
    "JSON {}": asked({}),
    "JSON text": asked("x"),
    "JSON null": asked(None),
    "no body": plain("POST /", Content_Length="0"),
    "text/plain": typed("text/plain", b'{"operation":"registration_info"}'),
    "octets": typed("application/octet-stream", b"x"),
    "another type": typed("image/png", b"x"),
    "no type": typed("", b"x"),
    "form": typed("multipart/form-data; boundary=b", form()),
    "info": asked(INFO),
    "info, Connection: close": asked(INFO, Connection="close"),
    "info as events": asked(INFO, Accept=EVENTS),
    "no login": asked(INFO, None),
    "bad token": asked(INFO, "Bearer not.a.token"),
    "wrong password": lambda peer: operation(peer, INFO, basic(peer, "wrong")),
    "mint": lambda peer: operation(
        peer, MINT | {"username": peer.username, "password": peer.password}, None
    ),
    "mint with a wrong password": lambda peer: operation(
        peer, MINT | {"username": peer.username, "password": "wrong"}, None
    ),
    "mint with nothing": asked(MINT, None),
    "mint for an odd time": lambda peer: operation(
        peer,
        MINT | {"username": peer.username, "password": peer.password, "expires_in": "soon"},
        None,
    ),
    "unknown operation": asked({"operation": "no_such_op"}),
    "no operation": asked({"project": "x"}),
    "operation 123": asked({"operation": 123}),
    "unknown job": asked({"operation": "get_job", "id": "x"}),
    "no job": asked({"operation": "get_job"}),
    "unknown service": asked({"operation": "restart_service", "service": "nonsense"}),
    "deploy": asked(DEPLOY_JSON),
    "deploy as events": asked(DEPLOY_JSON, Accept=EVENTS),
    "deploy without project": asked({"operation": "deploy_component"}),
    "deploy of no archive": asked({**DEPLOY_JSON, "payload": "YWJj"}),
    "deploy in CBOR": in_cbor(DEPLOY_CBOR, Accept=JSON),
    "deploy in CBOR as events": in_cbor(DEPLOY_CBOR, Accept=EVENTS),
    "deploy in CBOR of no archive": in_cbor({**DEPLOY_CBOR, "payload": b"abc"}),
    "deploy in CBOR without project": in_cbor({"operation": "deploy_component"}),
    "deploy in CBOR without login": in_cbor(DEPLOY_CBOR, None),
    "deploy in CBOR, bad token": in_cbor(DEPLOY_CBOR, "Bearer not.a.token"),
    "bad CBOR": typed("application/cbor", b"\xff"),
    "cut CBOR": typed("application/cbor", cbor2.dumps(DEPLOY_CBOR)[:-10]),
    "head of 20 kB": plain("GET /health", X=("x" * 20_000)),
}


@pytest.fixture
def peer(cluster: FakeCluster) -> FakePeer:
    return cluster.peer(username=USER, password=PASSWORD, profile="pre-5.1")


@pytest.mark.parametrize("request_to", REQUESTS.values(), ids=REQUESTS)
def test_the_answers_are_the_same(
    harperdb: HarperDb,
    peer: FakePeer,
    cluster: FakeCluster,
    request_to: Callable[[Peer], bytes],
) -> None:
    real = answer(harperdb, harperdb.ca_file, request_to(harperdb))
    ours = answer(peer, cluster.ca_file, request_to(peer))
    if request_to is REQUESTS[PAGE]:
        real, ours = _without_content(real), _without_content(ours)
    assert ours == real


def _without_content(lines: list[str]) -> list[str]:
    """An answer without the body, and without the values that depend on it."""
    return [re.sub(r"^(last-modified|etag|content-length): .*", r"\1", it) for it in lines[:-2]]


def answer(peer: Peer, ca_file: Path, request: bytes) -> list[str]:
    """The head and body that came, without what differs from time to time; and what followed."""
    with RawClient(peer.url, ca_file=ca_file) as client:
        client.send(request)
        raw = client.read_answer_head().decode()
        client._ahead = raw.encode() + client._ahead
        came = read_came(client)
        try:
            client.send(b"GET /health HTTP/1.1\r\nHost: p\r\n\r\n")
            rest = client.read()
        except (OSError, ssl.SSLError):
            rest = b""
    body = _body(came.body)
    head = _head(raw)
    if "<token>" in body:  # the length is that of the tokens
        head = [line for line in head if not line.startswith("content-length")]
    return [*head, body, "kept" if rest else "closed"]


def _head(raw: str) -> list[str]:
    lines = [line for line in raw.rstrip("\r\n").split("\r\n") if not line.startswith("Server: ")]
    return [_value(line) for line in lines]


def _value(line: str) -> str:
    if line.startswith("Date: "):
        return "Date: <date>"
    return re.sub(r"dur=[\d.]+", "dur=<n>", line)


def _body(body: bytes) -> str:
    return re.sub(r'_token":"[^"]+"', '_token":"<token>"', body.decode("utf-8", "replace"))
