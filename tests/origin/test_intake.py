"""The intake with any bytes: no crash, nothing left, and the answers of the profile harper-5.1."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.wire import intake
from deploy_relay_kit.relay.origin.wire.intake import Form, receive
from tests.origin.archives import component
from tests.origin.bodies import (
    BOUNDARY,
    DIFFERENCES,
    END,
    FILE,
    FILE_NAME,
    LOCAL,
    OPERATION,
    PIECES,
    PROJECT,
    SAME,
    part,
)
from tests.origin.nodes import real_cluster
from tests.programs import LONG

PARTS = st.builds(
    lambda name, more, headers, value: part(f'name="{name}"{more}', value, *headers),
    st.sampled_from(
        [
            *("operation", "project", "replicated", "restart", "payload", "note", "package"),
            *("ignore_replication_errors", "install_command", "__proto__", "", "é", "a\\b"),
        ]
    ),
    st.sampled_from(["", "", '; filename="p"', '; name="second"']),
    st.lists(
        st.sampled_from(
            [
                *("Content-Type: application/octet-stream", "X-Odd: 1", "No colon"),
                *("Content-Type: text/plain; charset=utf-16", "Content-Type: text/plain"),
                *("Content-Type: text/plain; charset=no-such", 'content-disposition: x; name="x"'),
            ]
        ),
        max_size=2,
    ),
    st.sampled_from(
        [
            *(b"deploy_component", b"demo", b"false", b"true", b"null", b"123", b'"quoted"', b""),
            *(b'{"a":1}', b"[1", b"a b", b"../evil", b"my.app", b"rolling", b"a\r\nb", b"x" * 300),
        ]
    )
    | st.binary(max_size=10),
)
FILES = st.sampled_from([component(a=b"1"), component(a=b"1")[:-5], b"", b"no tar"]).map(
    lambda payload: part(FILE_NAME, payload)
)
SOME = st.lists(PARTS | st.sampled_from([OPERATION, PROJECT, LOCAL, FILE]), max_size=2)
FORMS = st.tuples(
    st.sampled_from([OPERATION + PROJECT, OPERATION, b"", b"before\r\n"]),
    SOME.map(b"".join),
    FILES | st.sampled_from([FILE, FILE, b""]),
    SOME.map(b"".join),
    st.sampled_from([END, END, END[:-2], END + b"after", b""]),
).map(b"".join)
ODD = st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=25).map(b"".join)
CORPUS = FORMS | ODD
"""Forms with odd parts, and what forms are made of in any order.

No field has the type gzip: the fake peer would take it for the one file that it reads.
"""


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
@given(CORPUS, st.lists(st.integers(0), max_size=6))
@example(b"----b0undary--", [2])  # a preamble that is cut from the first boundary
@example(b"x" * 20_000 + b"\r\n--b0undary--", [18_000])  # one that is too long when it is cut
def test_any_body_is_a_form_or_refused(body: bytes, cuts: list[int]) -> None:
    found = taken(body, cuts)
    if isinstance(found, RefusalError):
        assert found.status in {400, 413}
    # The blocks in which a body arrives change nothing.
    other = taken(body, [])
    assert getattr(found, "fields", None) == getattr(other, "fields", None)
    assert type(found) is type(other)


@pytest.mark.parametrize("tail", [END, part('name="note"', b"")[:-2]], ids=["epilogue", "field"])
def test_what_is_ignored_after_the_file_must_end(
    tail: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_BESIDE", 1_000_000)
    count = 0

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal count
        yield OPERATION + PROJECT + FILE + tail
        for count in range(1_000):  # noqa: B007  the test looks at it
            yield bytes(65_536)

    with pytest.raises(RefusalError, match="the form is too large") as caught:
        asyncio.run(receive(blocks(), BOUNDARY, lambda _: tmp_path / "payload", 100_000))
    assert (caught.value.status, count) == (413, 16)


@pytest.mark.parametrize("charset", ["punycode", "idna", "undefined", "unicode_escape", "hex"])
def test_a_charset_of_no_form_is_refused(charset: str) -> None:
    """Some need time that grows with the square of the size, or fail in ways of their own."""
    field = part('name="x"', b"a-" + b"z" * 100_000, f"Content-Type: text/plain; charset={charset}")
    found = taken(OPERATION + PROJECT + field + FILE + END, [])
    assert isinstance(found, RefusalError)
    assert (found.status, str(found)) == (400, "field 'x' is no text in its charset")


@pytest.mark.parametrize("place", ['name="a\x01b"', 'name="a"; x="\0"', 'name="\x7f"'])
def test_a_control_character_in_a_header_of_a_part_is_refused(place: str) -> None:
    found = taken(OPERATION + PROJECT + part(place, b"1") + FILE + END, [])
    assert isinstance(found, RefusalError)
    assert (found.status, str(found)) == (400, "Malformed part header")


# -- the same bytes to a real-like peer --------------------------------------------------------


Answers = Callable[[bytes], tuple[str, str]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """Sends bytes to the profile harper-5.1 and to a node, and tells both codes and errors."""
    with (
        FakeCluster() as fakes,
        real_cluster(tmp_path_factory.mktemp("one"), 1) as cluster,
    ):
        harper = fakes.peer(profile="harper-5.1", username="admin", password="p")
        context = ssl.create_default_context(cafile=str(fakes.ca_file))
        [node] = cluster.nodes
        _, tokens = node.ask({"operation": "create_authentication_tokens"})

        def sent(body: bytes) -> tuple[str, str]:
            theirs = answered(harper.url, context, harper.tokens.issue("admin"), body)
            return theirs, answered(node.url, node.context, tokens["operation_token"], body)

        yield sent


def answered(url: str, context: ssl.SSLContext, token: str, body: bytes) -> str:
    where = urlsplit(url).netloc
    connection = http.client.HTTPSConnection(where, timeout=30, context=context)
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    connection.request(
        "POST", "/", body, {"Content-Type": kind, "Authorization": f"Bearer {token}"}
    )
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return f"{answer.status} {json.loads(text).get('error', '') if text else ''}"


@pytest.mark.parametrize("name", SAME)
def test_a_node_answers_as_harper(answers: Answers, name: str) -> None:
    theirs, ours = answers(SAME[name])
    assert ours == theirs


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_node_differs_from_harper_on_purpose(answers: Answers, name: str) -> None:
    theirs, ours = answers(DIFFERENCES[name].example)
    assert DIFFERENCES[name].explains(theirs, ours), (theirs, ours)


@settings(max_examples=3_000 if LONG else 150, deadline=None)
@given(CORPUS)
def test_a_form_of_any_parts_is_answered_as_by_harper(answers: Answers, body: bytes) -> None:
    """Both deploy it, or both refuse it with codes of one class, or the difference is listed."""
    theirs, ours = answers(body)
    if theirs[0] != ours[0]:
        reasons = [name for name, it in DIFFERENCES.items() if it.explains(theirs, ours)]
        assert reasons, (theirs, ours)
