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
from tests.origin.bodies import BOUNDARY, OTHERWISE, PIECES, SAME
from tests.origin.nodes import RealNode, real_cluster
from tests.programs import LONG

ODD = st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=25)
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
@given(ODD, st.lists(st.integers(0), max_size=6))
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
