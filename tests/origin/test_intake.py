"""The intake with any bytes: no crash, nothing left, and the answers of the profile harper-5.1."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.origin.wire.intake import Form, receive
from tests.origin.archives import component
from tests.origin.nodes import RealNode, real_cluster
from tests.programs import LONG

BOUNDARY = "b0undary"
PIECES = st.sampled_from(
    [
        *(b"--", b"\r\n", b"\n", b"\r", b"--b0undary", b"--b0undary--", b"\r\n--b0undary\r\n"),
        *(
            b"Content-Disposition: form-data; ",
            b'name="operation"',
            b'name="payload"; filename="p"',
        ),
        *(b'name="project"', b'; filename=""', b"Content-Type: application/octet-stream"),
        *(
            b"\r\n\r\n",
            b"deploy_component",
            b"demo",
            b"{",
            b'"',
            b"1e3",
            b"\xff\x00",
            b"x" * 20_000,
        ),
        *(b'name="__proto__"', b"\\", b'name=""', b"Content-Type: text/plain; charset=utf-16"),
    ]
)
"""What a form is made of, in any order."""


def taken(body: bytes, cuts: list[int]) -> Form | RefusalError:
    """What the intake makes of a body, in blocks that end at these places."""
    places = sorted({it % (len(body) + 1) for it in cuts} | {0, len(body)})

    async def blocks() -> AsyncIterator[bytes]:
        for start, end in pairwise(places):
            yield body[start:end]

    with tempfile.TemporaryDirectory() as home:
        begun: list[dict[str, object]] = []

        def begin(found: dict[str, object]) -> Path:
            begun.append(dict(found))
            return Path(home) / "payload"

        try:
            form = asyncio.run(receive(blocks(), BOUNDARY, begin, 100_000))
        except RefusalError as refusal:
            return refusal
        finally:
            assert len(begun) <= 1
            assert {it.name for it in Path(home).iterdir()} <= {"payload"}
        assert form.staged == bool(begun)
        if form.staged:
            assert (Path(home) / "payload").stat().st_size == form.size
        return form


@settings(
    max_examples=3_000 if LONG else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(PIECES | st.binary(max_size=30), max_size=25), st.lists(st.integers(0), max_size=6))
@example([b"--", b"--b0undary--"], [2])  # a preamble that is cut from the first boundary
def test_any_body_is_a_form_or_refused(pieces: list[bytes], cuts: list[int]) -> None:
    body = b"".join(pieces)
    found = taken(body, cuts)
    if isinstance(found, RefusalError):
        assert found.status in {400, 413}
    # The blocks in which a body arrives change nothing.
    other = taken(body, [])
    assert getattr(found, "fields", None) == getattr(other, "fields", None)
    assert type(found) is type(other)


# -- the same bytes to a real-like peer --------------------------------------------------------


def part(disposition: str, value: bytes, *headers: str) -> bytes:
    lines = [f"Content-Disposition: form-data; {disposition}", *headers]
    head = "".join(f"{line}\r\n" for line in lines)
    return f"--{BOUNDARY}\r\n{head}\r\n".encode() + value + b"\r\n"


OPERATION = part('name="operation"', b"deploy_component")
PROJECT = part('name="project"', b"demo")
FILE = part(
    'name="payload"; filename="p.tar.gz"', component(a=b"1"), "Content-Type: application/gzip"
)
END = f"--{BOUNDARY}--\r\n".encode()
LOCAL = part('name="replicated"', b"false")

SAME = {
    "a deploy": OPERATION + PROJECT + FILE + END,
    "a preamble and an epilogue": b"before\r\n" + OPERATION + PROJECT + FILE + END + b"after",
    "a field after the file": OPERATION + PROJECT + FILE + LOCAL + END,
    "a second file": OPERATION + PROJECT + FILE + FILE + END,
    "no operation": PROJECT + FILE + END,
    "no project": OPERATION + FILE + END,
    "an empty project": OPERATION + part('name="project"', b"") + FILE + END,
    "a project with a space": OPERATION + part('name="project"', b"a b") + FILE + END,
    "false as the project": OPERATION + part('name="project"', b"false") + FILE + END,
    "a project in quotes": OPERATION + part('name="project"', b'"quoted"') + FILE + END,
    "a path as the project": OPERATION + part('name="project"', b"../evil") + FILE + END,
    "a file of another name": OPERATION + PROJECT + part('name="x"; filename="p"', b"1") + END,
    "an unknown operation": part('name="operation"', b"no_such_op") + PROJECT + END,
    "a duplicate field": OPERATION + PROJECT + PROJECT + FILE + END,
    "a part without a name": OPERATION + PROJECT + part("x", b"1") + FILE + END,
    "no end before a file": OPERATION + PROJECT,
    "line ends without CR": (OPERATION + PROJECT + FILE + END).replace(b"\r\n", b"\n"),
    "nothing": b"",
}
OTHERWISE = {
    "a name of the prototype": (
        OPERATION + part('name="__proto__"', b"{}") + PROJECT + FILE + END,
        200,
        400,  # PARSE-27, which 5.1 does not know
    ),
    "a number as the project": (
        OPERATION + part('name="project"', b"123") + FILE + END,
        500,
        400,  # the mistake is the client's
    ),
    "a field of more than a MiB": (
        OPERATION + PROJECT + part('name="x"', b"x" * 1_048_577) + FILE + END,
        200,
        413,  # RECV-02: 5.1 cuts it
    ),
    "an empty file": (
        OPERATION + PROJECT + part('name="payload"; filename="p"', b"") + END,
        200,
        400,  # an archive without a byte is a mistake; 5.1 deploys it
    ),
    "the end is missing after a file": (
        OPERATION + PROJECT + FILE,
        500,
        400,  # the same refusal, charged to the client
    ),
}
"""Where the node differs from 5.1: the form, the code there, and the code here with its reason."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    with real_cluster(tmp_path_factory.mktemp("one"), 1) as cluster:
        yield cluster.nodes[0]


KIND = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def answers(node: RealNode, fake_cluster: FakeCluster, body: bytes) -> list[tuple[int, str]]:
    """The codes and errors of the profile harper-5.1 and of a node, for the same bytes."""
    peer = fake_cluster.peer(profile="harper-5.1", username="admin", password="p")
    context = ssl.create_default_context(cafile=str(fake_cluster.ca_file))
    connection = http.client.HTTPSConnection(urlsplit(peer.url).netloc, timeout=30, context=context)
    token = {"Authorization": f"Bearer {peer.tokens.issue('admin')}"}
    connection.request("POST", "/", body, {**KIND, **token})
    answer = connection.getresponse()
    theirs = answer.status, json.loads(answer.read())
    connection.close()
    ours = node.ask(body, KIND)
    return [(status, members.get("error", "")) for status, members in (theirs, ours)]


@pytest.mark.parametrize("name", SAME)
def test_a_node_answers_as_harper(node: RealNode, fake_cluster: FakeCluster, name: str) -> None:
    theirs, ours = answers(node, fake_cluster, SAME[name])
    assert ours == theirs


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_node_differs_from_harper_on_purpose(
    node: RealNode, fake_cluster: FakeCluster, name: str
) -> None:
    body, their_code, our_code = OTHERWISE[name]
    theirs, ours = answers(node, fake_cluster, body)
    assert (theirs[0], ours[0]) == (their_code, our_code), (theirs, ours)
