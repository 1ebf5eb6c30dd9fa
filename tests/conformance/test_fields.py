"""Which members of the deploy request reach a peer, and how they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.targets import Relay

requirement = pytest.mark.requirement


@requirement("FLD-02")
@pytest.mark.parametrize("given", [{}, {"replicated": True}, {"replicated": False}], ids=str)
def test_replicated_is_sent_as_false(
    cluster: FakeCluster, relay: Relay, given: dict[str, Any]
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request=given)
    assert peer.upload.fields["replicated"] == b"false"


@requirement("FLD-02")
def test_replicated_keeps_its_place_among_the_fields(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"replicated": True, "restart": False})
    assert list(peer.upload.fields) == ["operation", "project", "replicated", "restart"]


@requirement("FLD-02")
def test_replicated_is_the_last_field_when_the_request_had_none(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"restart": False})
    assert list(peer.upload.fields) == ["operation", "project", "restart", "replicated"]


@requirement("FLD-01")
@pytest.mark.parametrize(
    "name",
    [
        *("_stagedPayloadPath", "_deploymentId", "_", "payload", "progress", "hdb_user"),
        *("fastifyResponse", "baseRequest", "baseResponse"),
    ],
)
def test_a_member_of_the_origin_is_not_forwarded(
    cluster: FakeCluster, relay: Relay, name: str
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={name: "of the origin"})
    assert name not in peer.upload.fields


@requirement("FLD-04", "WIRE-06", "WIRE-07")
@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("plain", b"plain"),
        ("", b""),
        ('"in quotes"', b'"in quotes"'),
        (True, b"true"),
        (False, b"false"),
        (None, b"null"),
        (60, b"60"),
        (-1.5, b"-1.5"),
        (["a", "b"], b'["a","b"]'),
        ({"a": 1, "b": None}, b'{"a":1,"b":null}'),
        ([], b"[]"),
    ],
    ids=repr,
)
def test_a_member_is_forwarded_with_its_value(
    cluster: FakeCluster, relay: Relay, value: object, wire: bytes
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"unknown_to_all": value})
    assert peer.upload.fields["unknown_to_all"] == wire


@requirement("WIRE-12")
def test_text_beyond_ascii_is_utf_8(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": "naïve ☃ 🚀"})
    assert peer.upload.fields["note"] == "naïve ☃ 🚀".encode()


@requirement("WIRE-10")
def test_quotes_and_line_breaks_are_deleted_from_a_name(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={'no"te\r\nX-Injected: 1': "value"})
    assert peer.upload.fields["noteX-Injected: 1"] == b"value"
    assert peer.upload.findings == []
