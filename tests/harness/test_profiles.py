"""The profile `harper-5.1` on the wire: what it answers to a form, to the letter."""

from __future__ import annotations

import gzip

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.profileclient import (
    DEPLOY,
    FASTIFY_CLOSE,
    FRAMEWORK,
    FRAMEWORK_KEEP,
    GZIP,
    JSON_UTF8,
    NO_OPERATION,
    TAR,
    ask,
    assert_fastify,
    deployed,
    failed,
    form,
    head,
    read_came,
)
from tests.rawclient import RawClient, chunked, mint

BAD_NAME = "Project name can only contain alphanumeric, dash and underscores characters"


@pytest.fixture
def peer(cluster: FakeCluster) -> FakePeer:
    return cluster.peer(profile="harper-5.1")


# -- forms: what is answered when a form is in ---------------------------------------------------

NOT_A_TAR = "Invalid tar header. Maybe the tar is corrupted or it needs to be gunzipped?"
NO_PAYLOAD = "Either payload or package must be provided"
FORMS: dict[str, tuple[bytes, int, object]] = {
    "success": (form(), 200, deployed()),
    "no operation": (form([("project", "demo")]), 400, {"error": NO_OPERATION}),
    "file first": (form([], late=DEPLOY), 400, {"error": NO_OPERATION}),
    "project after the file": (
        form(DEPLOY[:1], late=DEPLOY[1:]),
        400,
        {"error": "'project' is required"},
    ),
    "late fields": (form(late=[("restart", "true"), ("project", "x y")]), 200, deployed()),
    "no project": (form(DEPLOY[:1]), 400, {"error": "'project' is required"}),
    "project twice": (form([*DEPLOY, ("project", "last")]), 200, deployed("last")),
    "long project": (
        form([DEPLOY[0], ("project", "x" * 300)]),
        500,
        failed(f"ENAMETOOLONG: name too long, access '/srv/harper/components/{'x' * 300}'"),
    ),
    "text payload": (form(payload=b"not an archive"), 500, failed("Unexpected end of data")),
    "gzip of no tar": (
        form(payload=gzip.compress(b"not a tar" * 1000)),
        500,
        failed(NOT_A_TAR),
    ),
    "random payload": (form(payload=bytes(range(256)) * 4096), 500, failed(NOT_A_TAR)),
    "truncated gzip": (form(payload=GZIP[:-20]), 500, failed("unexpected end of file")),
    "no bytes": (form(payload=b""), 200, deployed()),
    "plain tar": (form(payload=TAR), 200, deployed()),
    "payload as a field": (
        form([*DEPLOY, ("payload", "abc")], None),
        500,
        failed("Unexpected end of data"),
    ),
    "no payload": (form(payload=None), 500, failed(NO_PAYLOAD)),
    "unknown operation": (
        form([("operation", "no_such_op")]),
        400,
        {"error": "Operation 'no_such_op' not found"},
    ),
    "operation 123": (
        form([("operation", "123")]),
        500,
        {"error": "req.body?.operation?.startsWith is not a function"},
    ),
    "operation object": (
        form([("operation", '{"a":1}')]),
        500,
        {"error": "req.body?.operation?.startsWith is not a function"},
    ),
    "a second payload": (
        form().removesuffix(b"--b--\r\n") + form([], b"another", name="other"),
        200,
        deployed(),
    ),
    "field over 1 MiB": (form([*DEPLOY, ("note", "x" * (1 << 20) + "x")]), 200, deployed()),
    "operation is the 65th": (
        form([*((f"f{i}", "x") for i in range(64)), *DEPLOY]),
        400,
        {"error": NO_OPERATION},
    ),
    "a 65th field": (form([*DEPLOY, *((f"f{i}", "x") for i in range(63))]), 200, deployed()),
    "install_command false": (
        form([*DEPLOY, ("install_command", "false")]),
        400,
        {"error": "'install_command' must be a string"},
    ),
    "cut in the file, framing whole": (
        form()[:-100],
        500,
        failed("Unexpected end of form", "pending"),
    ),
}


@pytest.mark.parametrize(("body", "status", "expected"), FORMS.values(), ids=FORMS)
def test_a_form_is_answered(
    peer: FakePeer, cluster: FakeCluster, body: bytes, status: int, expected: object
) -> None:
    came = ask(peer, cluster, head(peer) + chunked(body))
    assert_fastify(came, status, expected)


def path_error(received: str) -> str:
    return f'The "path" argument must be of type string. Received {received}'


@pytest.mark.parametrize(
    ("project", "status", "expected"),
    [
        ("", 400, "'project' is not allowed to be empty"),
        ("a b", 400, BAD_NAME),
        (".hidden", 400, BAD_NAME),
        ("näme", 400, BAD_NAME),
        ("../evil", 200, "evil"),
        ("a/b", 200, "b"),
        ("demo.tar", 200, "demo"),
        ("123", 500, path_error("type number (123)")),
        ("-1", 500, path_error("type number (-1)")),
        ("1e3", 500, path_error("type number (1000)")),
        ("1.5", 500, path_error("type number (1.5)")),
        ("true", 500, path_error("type boolean (true)")),
        ("false", 400, "'project' must be a string"),
        ("null", 400, "'project' must be a string"),
        ('{"a":1}', 500, path_error("an instance of Object")),
        ('["a"]', 500, path_error("an instance of Array")),
        ('"quoted"', 200, "quoted"),
        ('"123"', 200, "123"),
        ("007", 200, "007"),
        ("12abc", 200, "12abc"),
    ],
)
def test_projects(
    peer: FakePeer, cluster: FakeCluster, project: str, status: int, expected: str
) -> None:
    body = form([DEPLOY[0], ("project", project)])
    came = ask(peer, cluster, head(peer) + chunked(body))
    assert_fastify(came, status, deployed(expected) if status == 200 else {"error": expected})


NOT_ALLOWED = {"error": "'restart' must be one of [boolean, rolling]"}
NO_TYPE = {"error": "'restart' does not match any of the allowed types"}


@pytest.mark.parametrize(
    ("restart", "status", "expected"),
    [
        ("true", 200, deployed(then=", restarting Harper")),
        ("rolling", 200, deployed(then=", restarting Harper", restartJobId="<uuid>")),
        ("false", 200, deployed()),
        ('"true"', 200, deployed()),
        ("TRUE", 200, deployed()),
        ("maybe", 400, NOT_ALLOWED),
        ("no", 400, NOT_ALLOWED),
        ("1", 400, NO_TYPE),
        ("0", 400, NO_TYPE),
    ],
)
def test_restarts(
    peer: FakePeer, cluster: FakeCluster, restart: str, status: int, expected: object
) -> None:
    came = ask(peer, cluster, head(peer) + chunked(form([*DEPLOY, ("restart", restart)])))
    assert_fastify(came, status, expected)


# -- forms that end the connection ---------------------------------------------------------------

CUT = "Unexpected end of form"
PART = b'--b\r\nContent-Disposition: form-data; name="x"'


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (form(name="file"), 'Unexpected file field "file"; expected "payload"'),
        (b"this is no form", CUT),
        (b"", CUT),
        (form().replace(b"--b", b"--other"), CUT),
        (form(payload=b"").replace(b"\r\n", b"\n"), CUT),
        (gzip.compress(form()), CUT),
        (form()[:70], CUT),
        (PART, CUT),
        (PART + b"\r\nno colon\r\n\r\nx\r\n--b--\r\n", "Malformed part header"),
    ],
    ids=[
        *("file not named payload", "no form", "no body", "other boundary", "LF only", "gzipped"),
        *("cut in a field", "cut in part headers", "malformed part header"),
    ],
)
def test_a_malformed_form_ends_the_connection(
    peer: FakePeer, cluster: FakeCluster, body: bytes, error: str
) -> None:
    came = ask(peer, cluster, head(peer) + chunked(body), usable=False)
    assert_fastify(came, 400, {"error": error}, FASTIFY_CLOSE)
    assert came.header("connection") == "close"


def test_a_form_without_a_boundary_is_refused_at_its_head(
    peer: FakePeer, cluster: FakeCluster
) -> None:
    request = head(peer, Content_Type="multipart/form-data")
    came = ask(peer, cluster, request, usable=False)
    assert_fastify(came, 400, {"error": "Multipart: Boundary not found"}, FASTIFY_CLOSE)


def test_an_empty_form_is_refused_by_the_framework(peer: FakePeer, cluster: FakeCluster) -> None:
    came = ask(peer, cluster, head(peer) + chunked(b"--b--\r\n"))
    assert (came.status, came.json, came.names) == (400, FRAMEWORK, FRAMEWORK_KEEP)
    assert came.header("content-type") == JSON_UTF8
    assert came.header("server-timing") == "db;dur=1, db;dur=1"


@pytest.mark.parametrize("framing", ["length", "1.0", "plain HTTP", "bearer"])
def test_a_success_is_the_same_however_it_is_sent(cluster: FakeCluster, framing: str) -> None:
    plain = framing == "plain HTTP"
    peer = FakePeer(None if plain else cluster.authority, profile="harper-5.1")
    with peer, RawClient(peer.url, ca_file=cluster.ca_file) as client:
        token = f"Bearer {mint(peer, cluster.ca_file)}" if framing == "bearer" else "good"
        request = head(peer, token) + chunked(form())
        if framing in ("length", "1.0"):
            length = str(len(form()))
            request = head(peer, Transfer_Encoding="", Content_Length=length) + form()
        client.send(request.replace(b"HTTP/1.1", b"HTTP/1.0") if framing == "1.0" else request)
        came = read_came(client)
    assert (came.status, came.json) == (200, deployed())
