"""Arguments of the fixtures and fake peers that make no sense: one line with argument and value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import harness
from deploy_relay_kit.harness.cluster import FakeCluster
from tests.rawclient import RawClient, chunked, upload_body, upload_head

NO_NAMES: list[Any] = ["", 0, []]
NO_AUTHORITIES: list[Any] = ["", 0, {}]
OTHER = harness.Authority()
# By the function: its arguments, and what the error says.
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("peer", {"tls": "no"}, "tls must be True or False, not 'no'"),
    ("peer", {"tls": None}, "tls must be True or False, not None"),
    ("peer", {"name": 5}, "name must be None or a text that is not empty, not 5"),
    *(
        ("peer", {"name": name}, f"name must be None or a text that is not empty, not {name!r}")
        for name in NO_NAMES
    ),
    *(
        ("peer", {"authority": value}, f"authority must be an Authority or None, not {value!r}")
        for value in NO_AUTHORITIES
    ),
    ("peer", {"tls": False, "authority": OTHER}, "authority signs a certificate, and tls=False"),
    ("socket", {"tls": False, "authority": OTHER}, "authority signs a certificate, and tls=False"),
    ("peer", {"username": ""}, "username must be None or a text that is not empty, not ''"),
    ("peer", {"password": ""}, "password must be None or a text that is not empty, not an empty"),
    ("peer", {"timeout": 1e30}, "timeout must be a number above 0, at most 1e9, not 1e+30"),
    ("peer", {"path": 5}, "path must be a text, not 5"),
    ("peer", {"profile": []}, "profile []: give one of strict, witness"),
    ("peer", {"username": True}, "username must be None or a text that is not empty, not T"),
    ("peer", {"password": b"hunter2"}, "password must be None or a text that is not empty, not by"),
    ("peer", {"host": 5}, "host 5: a fake peer serves on the loopback only"),
    ("peer", {"timeout": "5"}, "timeout must be a number above 0, at most 1e9, not '5'"),
    ("peer", {"authority": "x"}, "authority must be an Authority or None, not 'x'"),
    ("peer", {"mark_offsets": [-1]}, "mark_offsets must be a list of integers of 0 or more, not ["),
    (
        "peer",
        {"mark_offsets": "x"},
        "mark_offsets must be a list of integers of 0 or more, not 'x'",
    ),
    ("peer", {"mark_offsets": "12"}, "mark_offsets must be a list of"),
    ("peer", {"mark_offsets": 5}, "mark_offsets must be a list of"),
    ("peer", {"mark_offsets": None}, "mark_offsets must be a list of"),
    ("peer", {"mark_offsets": [1.5]}, "mark_offsets must be a list of"),
    ("peer", {"mark_offsets": iter([1])}, "mark_offsets must be a list of"),
    ("socket", {"tls": "no"}, "tls must be True or False, not 'no'"),
    ("socket", {"authority": "x"}, "authority must be an Authority or None, not 'x'"),
    ("socket", {"known_nodes": "node-1"}, "known_nodes must be a list of texts or None, not 'node"),
    ("socket", {"known_nodes": [5]}, "known_nodes must be a list of texts or None, not [5]"),
    ("socket", {"timeout": 0}, "timeout must be a number above 0, at most 1e9, not 0"),
    ("socket", {"peer": "node-1"}, "peer must be a FakePeer, not 'node-1'"),
    ("front", {"prefix": 5}, "prefix must be a text, not 5"),
    ("front", {"prefix": "ops"}, "prefix must be a path such as /ops, not 'ops'"),
    ("front", {"peer": "node-1"}, "peer must be a FakePeer, not 'node-1'"),
    ("front", {"request_buffering": "no"}, "request_buffering must be True or False, not 'no'"),
    ("cluster", {"peers": "2"}, "peers must be an integer of 0 or more, not '2'"),
    ("cluster", {"authority": "x"}, "authority must be an Authority or None, not 'x'"),
    ("wait", {"happened": 5}, "happened must be a function of this object, not 5"),
    ("wait", {"timeout": "5"}, "timeout must be a number from 0 to 1e9, not '5'"),
    ("payload", {"size": -1}, "size must be an integer of 0 or more, not -1"),
    ("payload", {"size": "5"}, "size must be an integer of 0 or more, not '5'"),
    ("payload", {"path": None}, "path must be a path that is not empty, not None"),
    ("payload", {"path": ""}, "path must be a path that is not empty, not ''"),
    ("payload", {"seed": "x"}, "seed must be an integer of 0 or more, not 'x'"),
    ("authority", {"directory": ""}, "directory must be None or a path that is not empty, not ''"),
    ("authority", {"directory": 5}, "directory must be None or a path that is not empty, not 5"),
    ("tinyproxy", {"directives": 5}, "directives must be a text, not 5"),
    ("timelines", {"since": None}, "since must be a number from 0 to 1e9, not None"),
    ("redacted", {"text": None}, "text must be a text, not None"),
    ("fault", {"text": 503}, "text must be a text, not 503"),
]


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    BAD,
    ids=[f"{it[0]}-{number}" for number, it in enumerate(BAD)],
)
def test_an_argument_that_makes_no_sense_is_named(
    cluster: FakeCluster, tmp_path: Path, function: str, arguments: dict[str, Any], words: str
) -> None:
    peer = cluster.peer()
    functions: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
        "peer": (cluster.peer, {}),
        "socket": (cluster.replication, {"peer": peer}),
        "front": (cluster.nginx, {"peer": peer, "prefix": "/ops"}),
        "cluster": (FakeCluster, {}),
        "wait": (peer.wait_until, {"happened": bool}),
        "payload": (harness.stage_payload, {"path": tmp_path / "package.tar.gz", "size": 5}),
        "fault": (harness.parse_fault, {}),
        "authority": (harness.Authority, {}),
        "tinyproxy": (harness.Tinyproxy, {}),
        "timelines": (cluster.timelines, {}),
        "redacted": (cluster.redacted, {}),
    }
    call, good = functions[function]
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the words are compared below
        call(**{**good, **arguments})
    error = str(caught.value)
    assert words in error
    assert "\n" not in error
    assert "hunter2" not in error
    assert cluster.peers == [peer]


def test_an_unknown_peer_is_named_with_those_that_there_are(cluster: FakeCluster) -> None:
    cluster.peer("eu")
    with pytest.raises(KeyError, match="no peer is named 'us'; the first are eu"):
        cluster.kill("us")


def test_a_profile_is_set_as_an_object(cluster: FakeCluster) -> None:
    peer: Any = cluster.peer()
    with pytest.raises(ValueError, match=r"profile must be an object .*, not 'harper-5.1'"):
        peer.profile = "harper-5.1"


def test_paths_may_be_texts(tmp_path: Path) -> None:
    staged = harness.stage_payload(str(tmp_path / "package.tar.gz"), 5)
    assert staged.path.stat().st_size == 5
    assert harness.Authority(str(tmp_path)).file.parent == tmp_path


def test_what_an_upload_is_compared_with_is_named(cluster: FakeCluster, tmp_path: Path) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, peer.tokens.issue(peer.username)) + chunked(upload_body()))
        client.read_answer()
    staged: Any = harness.stage_payload(tmp_path / "package.tar.gz", 5)
    request: Any = [("project", "demo")]
    with pytest.raises(TypeError, match=r"payload must be bytes or a Path, .*, not Payload"):
        peer.upload.check({}, staged)
    with pytest.raises(TypeError, match=r"request must be a mapping .*, not \[\('project'"):
        peer.upload.check(request, b"")
    raw: Any = "POST / HTTP/1.1"
    with pytest.raises(TypeError, match="raw must be bytes, the whole request, not 'POST"):
        harness.check_upload(raw)
