"""Which members of the deploy request reach a peer, under which names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    names_of,
    need_field,
    need_good_form,
    need_upload,
    text_of,
)

LATE = {"b": 1, "project": "demo", "replicated": 1, "operation": "deploy_component", "a": 1}


@pytest.mark.parametrize("given", [{}, {"replicated": True}, {"replicated": False}], ids=str)
def test_replicated_is_sent_as_false(
    cluster: FakeCluster, relay: Relay, check: Checks, given: dict[str, Any]
) -> None:
    """The field replicated is always sent, and its value is false."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request=given)
    with check("FLD-02", "the names of the fields"):
        assert "replicated" in list(peer.upload.fields)
    with check("FLD-03", "the value of the field replicated"):
        assert peer.upload.fields["replicated"] == b"false"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"replicated": True, "restart": False, "force": True},
            ["operation", "project", "replicated", "restart", "force"],
        ),
        (
            {"restart": False, "force": True},
            ["operation", "project", "restart", "force", "replicated"],
        ),
        (
            LATE,
            ["b", "project", "replicated", "operation", "a"],
        ),
    ],
    ids=["with-replicated", "without-replicated", "the-operation-late"],
)
def test_replicated_keeps_its_place_or_is_the_last_field(
    cluster: FakeCluster, relay: Relay, check: Checks, given: dict[str, Any], expected: list[str]
) -> None:
    """The field replicated keeps its place in the request; if the request has none, it is last."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request=given)
    names = list(peer.upload.fields)
    others = [name for name in expected if name != "replicated"]
    in_order = [name for name in names if name != "replicated"] == others
    with check("FLD-04", "the names of the other fields, in order"):
        assert [name for name in names if name != "replicated"] == others
    with check("FLD-02", "the names of the fields, in order"):
        check.need(in_order, "the other fields are not those of the request in its order (FLD-04)")
        assert names == expected


GIVEN = [True, "true", "FALSE", "false", 1, 0, "", None, {}, [], ["node-1"]]


@pytest.mark.parametrize("given", GIVEN, ids=repr)
def test_replicated_is_the_text_false_for_every_given_value(
    cluster: FakeCluster, relay: Relay, check: Checks, given: object
) -> None:
    """The value of replicated is the text false, whatever value the request has."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"replicated": given})
    with check("FLD-03", "the values of the fields named replicated"):
        values = [part.value for part in peer.upload.field_parts if part.name == "replicated"]
        check.need(values, "the field replicated is not sent (FLD-02)")
        assert set(values) == {b"false"}


OF_THE_ORIGIN = [
    *("_stagedPayloadPath", "_deploymentId", "_", "payload", "progress", "hdb_user"),
    *("fastifyResponse", "baseRequest", "baseResponse"),
]
CREDENTIALS = [
    *("username", "password", "token", "operation_token", "refresh_token", "credentials"),
    *("hdbAuthHeader", "impersonate", "bypass_auth", "requestId"),
]


def test_a_member_of_the_origin_is_not_forwarded(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A member that belongs to the origin is not forwarded, but the member beside it is."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={**dict.fromkeys(OF_THE_ORIGIN, "state"), "note": "value"})
    with check("FLD-01", "the fields that belong to the origin"):
        need_field(peer, "note")
        assert [name for name in names_of(peer) if name in OF_THE_ORIGIN] == []


def test_a_member_that_carries_credentials_is_not_forwarded(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A member that carries credentials is not forwarded, but the member beside it is."""
    peer = cluster.peer()
    secrets = {name: f"a-secret-of-the-origin-{n}" for n, name in enumerate(CREDENTIALS)}
    relay.deploy(to=[peer], request={**secrets, "note": "value"})
    with check("FLD-05", "the fields that carry credentials"):
        need_field(peer, "note")
        assert [name for name in names_of(peer) if name in CREDENTIALS] == []
    with check("FLD-05", "the members whose value is sent in another field"):
        need_field(peer, "note")
        values = b"\n".join(peer.upload.fields.values())
        assert [name for name, secret in secrets.items() if secret.encode() in values] == []


@pytest.mark.parametrize(
    ("requirement", "name", "read_as"),
    [
        ("FLD-01", '"_stagedPayloadPath', "_stagedPayloadPath"),
        ("FLD-01", "\r\n_deploymentId", "_deploymentId"),
        ("FLD-01", "pay\nload", "payload"),
        ("FLD-01", "progress\r", "progress"),
        ("FLD-05", 'pass"word', "password"),
        ("FLD-05", '"token"', "token"),
        ("FLD-05", "bypass\r\n_auth", "bypass_auth"),
    ],
    ids=json.dumps,
)
def test_a_forbidden_name_with_quotes_or_line_breaks_is_not_forwarded(
    cluster: FakeCluster, relay: Relay, check: Checks, *, requirement: str, name: str, read_as: str
) -> None:
    """A member is not forwarded if its name without quotes and line breaks is forbidden.

    The relay deletes them from a name (WIRE-10). To refuse the request is as good.
    """
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={name: "of the origin"})
    need_upload(cluster, relay, {"note": "of the request"})
    with check(requirement, "the names of the fields"):
        check.need(peer.uploads or outcome.fails(peer), f"{peer.name} saw no upload")
        assert read_as not in names_of(peer)


@pytest.mark.parametrize("more", [{}, {"replicated": True}], ids=["alone", "beside-another"])
@pytest.mark.parametrize("name", ['replicat"ed', "re\r\nplicated", '"replicated"'], ids=json.dumps)
def test_no_second_replicated_is_sent_for_a_name_with_quotes_or_line_breaks(
    cluster: FakeCluster, relay: Relay, check: Checks, name: str, more: dict[str, Any]
) -> None:
    """A name that is replicated without its quotes and line breaks is not sent with its value.

    Of two fields with one name a peer takes the last. To refuse the request is as good.
    """
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={**more, name: True})
    need_upload(cluster, relay, {"note": "of the request"})
    with check("FLD-03", "the values of the fields named replicated, apart from false"):
        check.need(peer.uploads or outcome.fails(peer), f"{peer.name} saw no upload")
        parts = [part for upload in peer.uploads for part in upload.field_parts]
        assert {part.value for part in parts if part.name == "replicated"} - {b"false"} == set()


def test_no_field_is_sent_twice_for_names_that_are_equal_without_quotes(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Of two names that are equal without quotes and line breaks, at most one is sent.

    To refuse the request is as good.
    """
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={"note": "first", 'no"te': "second"})
    need_upload(cluster, relay, {"note": "of the request"})
    with check("KIT-09", "the fields named note"):
        check.need(peer.uploads or outcome.fails(peer), f"{peer.name} saw no upload")
        assert names_of(peer).count("note") <= 1


def test_text_beyond_ascii_is_utf_8(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A text with characters outside ASCII is sent in UTF-8."""
    peer = cluster.peer()
    text = "naïve ☃ 🚀"
    relay.deploy(to=[peer], request={"note": text})
    with check("WIRE-12", "the text of the field note"):
        need_field(peer, "note")
        assert text_of(peer, "note", text) == text.encode()


def test_quotes_and_line_breaks_are_deleted_from_a_name(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Quotes and line breaks are deleted from the name of a field."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={'no"te\r\nX-Injected: 1': "value"})
    need_upload(cluster, relay, {"note": "of the request"})
    with check("WIRE-10", "the names of the fields"):
        assert "noteX-Injected: 1" in names_of(peer)


def test_members_are_forwarded_in_the_order_of_the_request(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The members of the request are forwarded in their order."""
    peer = cluster.peer()
    given = {"urlPath": "/x", "restart": "rolling", "force": True, "install_timeout": 1}
    relay.deploy(to=[peer], request=given)
    with check("FLD-04", "the names of the fields apart from replicated, in order"):
        need_good_form(peer)
        names = [name for name in peer.upload.fields if name != "replicated"]
        assert names == ["operation", "project", *given]
    with check("FLD-04", "the value of the field restart"):
        assert text_of(peer, "restart", "rolling") == b"rolling"
    other = cluster.peer()
    given = {"force": True, "project": "demo", "urlPath": "/x", "operation": "deploy_component"}
    relay.deploy(to=[other], request=given)
    with check("FLD-04", "the order of a request whose operation is last"):
        assert [name for name in other.upload.fields if name != "replicated"] == [*given]


def test_names_with_a_meaning_for_a_command_line_or_a_form_are_forwarded(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Members are forwarded although their names are options of command lines or of forms."""
    names = ["target", "json", "package", "host", "port", "url", "user", "auth", "file"]
    names += ["skip_node_modules", "skip_symlinks", "rejectUnauthorized"]
    peer = cluster.peer()
    relay.deploy(to=[peer], request=dict.fromkeys(names, "value"))
    with check("FLD-04", "the members that are not forwarded with their value"):
        assert [name for name in names if text_of(peer, name, "value") != b"value"] == []
