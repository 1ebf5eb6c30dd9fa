"""Which members of the deploy request reach a peer, and how they are written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.cluster import FakeCluster
from harness.judge.cases.relay import Relay

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
        (0, b"0"),
        (1_234_567, b"1234567"),
        (1_234_567.25, b"1234567.25"),
        (["a", "b"], b'["a","b"]'),
        ({"a": 1, "b": None}, b'{"a":1,"b":null}'),
        (["ü", "☃ 🚀"], '["ü","☃ 🚀"]'.encode()),
        ([], b"[]"),
        ({}, b"{}"),
        ({"b": 1, "a": {"Big": [None], "c_d": 2}}, b'{"b":1,"a":{"Big":[null],"c_d":2}}'),
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


@requirement("WIRE-12")
def test_half_a_character_becomes_the_replacement_character(
    cluster: FakeCluster, relay: Relay
) -> None:
    """A lone surrogate has no form in UTF-8; whole pairs of them are one character."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": "a\ud800b"})
    assert peer.upload.fields["note"] == "a\ufffdb".encode()


@requirement("WIRE-12", "PARSE-20")
def test_a_name_beyond_ascii_is_utf_8(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"größe": "value"})
    assert peer.upload.fields["größe"] == b"value"


@requirement("FLD-03")
@pytest.mark.parametrize("given", [True, "true", "False", 1, None, {}], ids=repr)
def test_replicated_is_the_five_letters_false_whatever_was_given(
    cluster: FakeCluster, relay: Relay, given: object
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"replicated": given})
    parts = [part.value for part in peer.upload.field_parts if part.name == "replicated"]
    assert parts == [b"false"]


@requirement("FLD-05", "WIRE-16")
@pytest.mark.parametrize(
    "name",
    [
        *("username", "password", "token", "operation_token", "refresh_token", "credentials"),
        *("hdbAuthHeader", "impersonate", "bypass_auth", "requestId"),
    ],
)
def test_a_member_that_carries_credentials_is_not_forwarded(
    cluster: FakeCluster, relay: Relay, name: str
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={name: "a-secret-of-the-origin"})
    assert name not in peer.upload.fields
    assert b"a-secret-of-the-origin" not in b"".join(peer.upload.fields.values())


@requirement("FLD-01", "FLD-05", "WIRE-10", "WIRE-16")
@pytest.mark.parametrize(
    ("name", "read_as"),
    [
        ('"_stagedPayloadPath', "_stagedPayloadPath"),
        ("\r\n_deploymentId", "_deploymentId"),
        ("pay\nload", "payload"),
        ("progress\r", "progress"),
        ('pass"word', "password"),
        ('"token"', "token"),
        ("bypass\r\n_auth", "bypass_auth"),
    ],
    ids=json.dumps,
)
def test_a_name_that_quotes_or_line_breaks_hide_is_not_forwarded(
    cluster: FakeCluster, relay: Relay, name: str, read_as: str
) -> None:
    """A peer reads the name without them; to refuse such a request is as good."""
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={name: "of the origin"})
    if peer.uploads:
        assert read_as not in [part.name for part in peer.upload.field_parts]
    else:
        assert outcome.refused or outcome[peer].status == "failed"


@requirement("FLD-02", "FLD-03", "WIRE-10")
@pytest.mark.parametrize("more", [{}, {"replicated": True}], ids=["alone", "beside-another"])
@pytest.mark.parametrize("name", ['replicat"ed', "re\r\nplicated", '"replicated"'], ids=json.dumps)
def test_no_second_replicated_hides_behind_quotes_or_line_breaks(
    cluster: FakeCluster, relay: Relay, name: str, more: dict[str, Any]
) -> None:
    """Of two fields of one name a peer takes the last, and would fan out again."""
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={**more, name: True})
    if peer.uploads:
        parts = [part.value for part in peer.upload.field_parts if part.name == "replicated"]
        assert parts == [b"false"]
    else:
        assert outcome.refused or outcome[peer].status == "failed"


@requirement("FLD-04")
def test_members_are_forwarded_in_the_order_of_the_request(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    given = {"urlPath": "/x", "restart": "rolling", "force": True, "install_timeout": 1}
    relay.deploy(to=[peer], request=given)
    assert list(peer.upload.fields)[2:-1] == list(given)


@requirement("FLD-04")
@pytest.mark.parametrize(
    "name",
    [
        *("constructor", "toString", "hasOwnProperty", "tokens", "Password", "payload_path"),
        *("user_password_policy", "progress_", "a_b"),
    ],
)
def test_a_name_that_only_looks_like_one_that_stays_behind_is_forwarded(
    cluster: FakeCluster, relay: Relay, name: str
) -> None:
    """Some tables of names know more than was put into them, or forget upper case."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={name: "value"})
    assert peer.upload.fields[name] == b"value"


@requirement("FLD-04")
def test_names_that_mean_something_to_a_command_line_or_a_form_are_forwarded(
    cluster: FakeCluster, relay: Relay
) -> None:
    names = ["target", "json", "package", "host", "port", "url", "user", "auth", "file"]
    names += ["skip_node_modules", "skip_symlinks", "rejectUnauthorized"]
    peer = cluster.peer()
    relay.deploy(to=[peer], request=dict.fromkeys(names, "value"))
    fields = [part.name for part in peer.upload.field_parts if part.value == b"value"]
    assert [name for name in names if name not in fields] == []


@requirement("PARSE-19", "FLD-04")
def test_sixty_four_fields_arrive(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={f"extra-{n}": n for n in range(61)})
    assert len(peer.upload.fields) == 64
    assert peer.upload.fields["extra-60"] == b"60"


@requirement("PARSE-19")
def test_what_a_peer_must_know_is_among_the_first_sixty_four_fields(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={f"extra-{n}": n for n in range(80)})
    if peer.uploads:
        first = [part.name for part in peer.upload.field_parts[:64]]
        assert {"operation", "project", "replicated"} <= set(first)
    else:
        assert outcome.refused or outcome[peer].status == "failed"


@requirement("PARSE-18", "WIRE-06")
def test_a_value_of_a_mebibyte_arrives_whole(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    value = "0123456789abcdef" * 65_536
    relay.deploy(to=[peer], request={"note": value})
    assert peer.upload.fields["note"] == value.encode()


@requirement("PARSE-18")
@pytest.mark.parametrize("value", ["é" * 524_289, ["x" * 65_536] * 16], ids=["text", "list"])
def test_a_value_that_a_peer_would_cut_is_refused(
    cluster: FakeCluster, relay: Relay, value: object
) -> None:
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={"note": value})
    assert peer.uploads == []
    assert outcome.refused or outcome[peer].status == "failed"


@requirement("PARSE-32")
@pytest.mark.parametrize(
    "project", ["123", "1e3", "-1", "1.5", "0", "true", "false", "null", '{"a":1}', "[1]"]
)
def test_a_project_that_a_peer_would_not_read_as_text_is_refused_or_quoted(
    cluster: FakeCluster, relay: Relay, project: str
) -> None:
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={"project": project})
    if peer.uploads:
        assert json.loads(peer.upload.fields["project"]) == project
    else:
        assert outcome.refused or outcome[peer].status == "failed"


@requirement("WIRE-09")
@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", float("nan"), [float("inf")]])
def test_a_value_without_a_json_form_is_refused_before_anything_is_sent(
    cluster: FakeCluster, relay: Relay, value: object
) -> None:
    peers = [cluster.peer(), cluster.peer()]
    outcome = relay.deploy(to=peers, request={"note": value})
    assert outcome.refused or outcome.statuses == ["failed", "failed"]
    assert [peer.requests for peer in peers] == [[], []]
