"""`upload.check(request, payload)`: one call compares all of an upload."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.rawclient import RawClient, chunked, mint, upload_body, upload_head

PAYLOAD = b"payload bytes"
REQUEST = {"project": "demo"}


def send(cluster: FakeCluster, body: bytes, *, cut: int = 0) -> FakePeer:
    peer = cluster.peer(profile="witness")
    token = mint(peer, cluster.ca_file)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        raw = upload_head(peer, token) + chunked(body)
        client.send(raw[: len(raw) - cut])
        if not cut:
            client.read_answer()
    return peer


def test_an_upload_that_is_right(cluster: FakeCluster, tmp_path: Path) -> None:
    upload = send(cluster, upload_body(PAYLOAD)).upload
    staged = tmp_path / "package.tar.gz"
    staged.write_bytes(PAYLOAD)
    upload.check(REQUEST, PAYLOAD)
    upload.check({"operation": "deploy_component", "replicated": True, **REQUEST}, staged)


def field(name: str, value: str) -> tuple[bytes, bytes]:
    """Bytes that stand once in the body of an upload, and bytes to put there instead."""
    before = b'name="project"\r\n\r\ndemo\r\n'
    boundary = upload_body().split(b"\r\n", 1)[0]
    extra = f'\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    return before, before + boundary + extra


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"\r\n\r\nfalse\r\n", b"\r\n\r\ntrue\r\n", "field replicated: expected false, got true"),
        (b"deploy_component", b"drop_schema", "field operation: expected deploy_component, got dr"),
        (b"\r\n\r\ndemo\r\n", b'\r\n\r\n"demo"\r\n', 'field project: expected demo, got "demo"'),
        (*field("password", "secret"), "field password: not part of the request"),
        (*field("project", "demo"), "field project: sent 2 times"),
        (b"payload bytes", b"payload byte", "file: expected 13 bytes, got 12"),
        (b"payload bytes", b"payload_bytes", "file: expected SHA-256 "),
    ],
)
def test_each_difference_is_named(cluster: FakeCluster, old: bytes, new: bytes, words: str) -> None:
    body = upload_body(PAYLOAD)
    assert body.count(old) == 1
    upload = send(cluster, body.replace(old, new)).upload
    with pytest.raises(AssertionError, match=re.escape(words)):
        upload.check(REQUEST, PAYLOAD)


def test_what_was_not_sent_is_named(cluster: FakeCluster) -> None:
    upload = send(cluster, upload_body(PAYLOAD)).upload
    with pytest.raises(AssertionError, match="field restart: not sent, expected true"):
        upload.check({**REQUEST, "restart": True}, PAYLOAD)
    cut = send(cluster, upload_body(PAYLOAD), cut=5).upload
    with pytest.raises(AssertionError, match="the body is not complete"):
        cut.check(REQUEST, PAYLOAD)


def test_an_upload_without_a_file_says_what_was_sent(cluster: FakeCluster) -> None:
    """No assertion is needed before each look at the file: the look says what is missing."""
    whole = upload_body(PAYLOAD)
    boundary = whole.split(b"\r\n", 1)[0]
    start = whole.index(boundary + b'\r\nContent-Disposition: form-data; name="payload"')
    upload = send(cluster, whole[:start] + boundary + b"--\r\n").upload
    assert not upload.file
    sent = "no file part was sent; the fields sent were operation, project, replicated"
    for look in ("length", "sha256", "filename", "complete", "first", "last", "marks"):
        with pytest.raises(Unseen, match=sent):
            getattr(upload.file, look)
    assert repr(upload.file) == "NoFile()"


def test_a_header_has_a_default(cluster: FakeCluster) -> None:
    upload = send(cluster, upload_body(PAYLOAD)).upload
    assert upload.header("Content-Type", "").startswith("multipart/form-data")
    assert upload.header("X-None", "") == ""
    assert upload.header("X-None") is None
