"""Which members of the deploy request reach a peer, and how they are written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness import FakeCluster
from harness.judge.cases.checks import Checks
from harness.judge.cases.relay import Relay
from harness.judge.cases.uploads import as_utf_8, names_of, need_upload, text_of
from harness.peer.peer import FakePeer

NO_NOTE = "the member note is not forwarded either (FLD-04)"
REFUSED = "expected a refusal of the deploy or a failed record, got a success"


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
            {"replicated": True, "restart": False},
            ["operation", "project", "replicated", "restart"],
        ),
        ({"restart": False}, ["operation", "project", "restart", "replicated"]),
    ],
    ids=["with-replicated", "without-replicated"],
)
def test_replicated_keeps_its_place_or_is_the_last_field(
    cluster: FakeCluster, relay: Relay, check: Checks, given: dict[str, Any], expected: list[str]
) -> None:
    """The field replicated keeps its place in the request; if the request has none, it is last."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request=given)
    names = list(peer.upload.fields)
    with check("FLD-02", "the names of the fields, in order"):
        others = [name for name in expected if name != "replicated"]
        in_order = [name for name in names if name != "replicated"] == others
        check.need(in_order, "the other fields are not those of the request in its order (FLD-04)")
        assert names == expected


@pytest.mark.parametrize("given", [True, "true", "False", 1, None, {}], ids=repr)
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


@pytest.mark.parametrize(
    "name",
    [
        *("_stagedPayloadPath", "_deploymentId", "_", "payload", "progress", "hdb_user"),
        *("fastifyResponse", "baseRequest", "baseResponse"),
    ],
)
def test_a_member_of_the_origin_is_not_forwarded(
    cluster: FakeCluster, relay: Relay, check: Checks, name: str
) -> None:
    """A member that belongs to the origin is not forwarded, but the member beside it is."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={name: "of the origin", "note": "of the request"})
    with check("FLD-01", "the names of the fields"):
        check.need("note" in peer.upload.fields, NO_NOTE)
        assert name not in list(peer.upload.fields)


@pytest.mark.parametrize(
    "name",
    [
        *("username", "password", "token", "operation_token", "refresh_token", "credentials"),
        *("hdbAuthHeader", "impersonate", "bypass_auth", "requestId"),
    ],
)
def test_a_member_that_carries_credentials_is_not_forwarded(
    cluster: FakeCluster, relay: Relay, check: Checks, name: str
) -> None:
    """A member that carries credentials is not forwarded, but the member beside it is."""
    peer = cluster.peer()
    secret = "a-secret-of-the-origin"
    relay.deploy(to=[peer], request={name: secret, "note": "of the request"})
    with check("FLD-05", "the names of the fields"):
        check.need("note" in peer.upload.fields, NO_NOTE)
        assert name not in list(peer.upload.fields)
    with check("FLD-05", "the values of the fields"):
        check.need("note" in peer.upload.fields, NO_NOTE)
        assert secret.encode() not in b"\n".join(peer.upload.fields.values())


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


@pytest.mark.parametrize("value", ["plain", "", '"in quotes"'], ids=repr)
def test_a_text_is_forwarded_raw(
    cluster: FakeCluster, relay: Relay, check: Checks, value: str
) -> None:
    """A member with a text is forwarded, and its text is not put in quotes."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"unknown_to_all": value})
    same = text_of(peer, "unknown_to_all", value) == value.encode()
    with check("FLD-04", "the text of the field unknown_to_all"):
        assert text_of(peer, "unknown_to_all", value) == value.encode()
    with check("WIRE-06", "the form of the text"):
        check.need(same, "another text is sent, or none (FLD-04)")
        assert peer.upload.fields["unknown_to_all"] == value.encode()


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (True, b"true"),
        (False, b"false"),
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
def test_any_other_value_is_forwarded_as_compact_json(
    cluster: FakeCluster, relay: Relay, check: Checks, value: object, wire: bytes
) -> None:
    """A member with a value that is not a text is forwarded, as compact JSON."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"unknown_to_all": value})
    with check("FLD-04", "the names of the fields"):
        assert "unknown_to_all" in names_of(peer)
    sent = peer.upload.fields["unknown_to_all"]
    with check("FLD-04", "the value of the field unknown_to_all"):
        check.need(meaning(sent), "the value is not JSON (WIRE-06)")
        assert meaning(sent) == meaning(wire)
    with check("WIRE-06", "the form of the value"):
        check.need(meaning(sent) in ("", meaning(wire)), "another value is sent (FLD-04)")
        check.need(sent == sent.decode(errors="replace").encode(), "it is not UTF-8 (WIRE-12)")
        assert sent == wire


def meaning(value: bytes) -> str:
    """A JSON value in one form, the members of objects in their order; empty for another text."""
    try:
        return json.dumps(json.loads(value, parse_int=float), ensure_ascii=False)
    except ValueError:
        return ""


def test_null_is_sent_as_the_text_null(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A member with the value null is sent as the text null."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"unknown_to_all": None, "note": "of the request"})
    with check("WIRE-07", "the value of the field unknown_to_all"):
        check.need("note" in peer.upload.fields, NO_NOTE)
        assert peer.upload.fields.get("unknown_to_all") == b"null"


def test_text_beyond_ascii_is_utf_8(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A text with characters outside ASCII is sent in UTF-8."""
    peer = cluster.peer()
    text = "naïve ☃ 🚀"
    relay.deploy(to=[peer], request={"note": text})
    with check("WIRE-12", "the text of the field note"):
        check.need("note" in names_of(peer), "the member note is not forwarded (FLD-04)")
        assert text_of(peer, "note", text) == text.encode()


def test_a_lone_surrogate_becomes_the_replacement_character(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A lone surrogate in a text is sent as U+FFFD.

    A lone surrogate has no form in UTF-8; a pair of surrogates is one character.
    """
    peer = cluster.peer()
    text = "a\ud800b"
    relay.deploy(to=[peer], request={"note": text})
    need_upload(cluster, relay, {"note": "a character"})
    with check("WIRE-12", "the text of the field note"):
        assert text_of(peer, "note", text) == as_utf_8(text)


def test_a_name_beyond_ascii_is_utf_8(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A name with characters outside ASCII is sent in UTF-8."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"größe": "value", "note": "of the request"})
    with check("WIRE-12", "the names of the fields"):
        check.need("note" in peer.upload.fields, NO_NOTE)
        assert "größe" in list(peer.upload.fields)


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
        names = [name for name in names_of(peer) if name != "replicated"]
        assert names == ["operation", "project", *given]


@pytest.mark.parametrize(
    "name",
    [
        *("constructor", "toString", "hasOwnProperty", "tokens", "Password", "payload_path"),
        *("user_password_policy", "progress_", "a_b"),
    ],
)
def test_a_name_that_only_resembles_a_forbidden_one_is_forwarded(
    cluster: FakeCluster, relay: Relay, check: Checks, name: str
) -> None:
    """A member is forwarded although its name resembles a forbidden one.

    Tables of some languages have members that nobody put there, or ignore upper case.
    """
    peer = cluster.peer()
    relay.deploy(to=[peer], request={name: "value"})
    with check("FLD-04", f"the text of the field {name}"):
        assert text_of(peer, name, "value") == b"value"


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


def test_sixty_four_fields_arrive(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """Every field of a request with 64 fields arrives."""
    peer = cluster.peer()
    given = {f"extra-{n}": n for n in range(61)}
    relay.deploy(to=[peer], request=given)
    with check("FLD-04", "the members that are not forwarded"):
        sent = names_of(peer)
        assert [name for name in given if name not in sent] == []
    with check("FLD-04", "the value of the field extra-60"):
        assert peer.upload.fields["extra-60"] == b"60"
    with check("PARSE-19", "the necessary fields after the first 64"):
        check.need(peer.uploads, f"{peer.name} saw no upload")
        assert necessary_and_late(peer) == []


def necessary_and_late(peer: FakePeer) -> list[str]:
    """The fields after the first 64 of an upload that a peer must have."""
    late = [part.name for upload in peer.uploads for part in upload.field_parts[64:]]
    return [name for name in late if name in {"operation", "project", "replicated"}]


def test_the_necessary_fields_are_among_the_first_sixty_four(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Operation, project and replicated are among the first 64 fields of more than 64.

    To refuse a request with more fields is as good.
    """
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={f"extra-{n}": n for n in range(80)})
    need_upload(cluster, relay, {f"extra-{n}": n for n in range(61)})
    with check("PARSE-19", "the necessary fields after the first 64"):
        check.need(peer.uploads or outcome.fails(peer), f"{peer.name} saw no upload")
        assert necessary_and_late(peer) == []


def test_a_value_of_a_mebibyte_arrives_whole(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A value of 1,048,576 bytes, the longest that a peer keeps, is forwarded unchanged."""
    peer = cluster.peer()
    value = "0123456789abcdef" * 65_536
    relay.deploy(to=[peer], request={"note": value})
    with check("FLD-04", "the length of the field note, in bytes"):
        assert len(text_of(peer, "note", value) or b"") == len(value)
        same = text_of(peer, "note", value) == value.encode()
        assert same, "expected the text of the request, got another one of this length"


@pytest.mark.parametrize("value", ["é" * 524_289, ["x" * 65_536] * 16], ids=["text", "list"])
def test_a_value_that_a_peer_would_cut_is_refused(
    cluster: FakeCluster, relay: Relay, check: Checks, value: str | list[str]
) -> None:
    """A value that is longer than 1,048,576 bytes is refused."""
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={"note": value})
    need_upload(cluster, relay, {"note": value[:1]})
    with check("PARSE-18", "the number of uploads with a value that is too long"):
        assert len(peer.uploads) == 0
    with check("PARSE-18", "the deploy with a value that is too long"):
        assert outcome.fails(peer), REFUSED


@pytest.mark.parametrize(
    "project", ["123", "1e3", "-1", "1.5", "0", "true", "false", "null", '{"a":1}', "[1]"]
)
def test_a_project_that_a_peer_would_not_read_as_text_is_refused_or_quoted(
    cluster: FakeCluster, relay: Relay, check: Checks, project: str
) -> None:
    """A project whose name is JSON is sent in JSON quotes; to refuse it is as good."""
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={"project": project})
    need_upload(cluster, relay, {"project": "demo"})
    with check("PARSE-32", "the project as a peer reads it"):
        if peer.uploads:
            assert as_a_peer_reads(peer.upload.fields["project"]) == project
        else:
            assert outcome.fails(peer), REFUSED


def as_a_peer_reads(value: bytes) -> object:
    """A value as JSON, and as a text if it is not JSON."""
    try:
        return json.loads(value)
    except ValueError:
        return value.decode(errors="replace")


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", float("nan"), [float("inf")]])
def test_a_value_without_a_json_form_is_refused_before_anything_is_sent(
    cluster: FakeCluster, relay: Relay, check: Checks, value: object
) -> None:
    """A value that has no JSON form is refused before the relay sends anything to any peer."""
    relay.need("native_values")
    peers = [cluster.peer(), cluster.peer()]
    outcome = relay.deploy(to=peers, request={"note": value})
    need_upload(cluster, relay, {"note": ["value"]})
    for peer in peers:
        with check("WIRE-09", f"the number of requests to {peer.name}"):
            assert len(peer.requests) == 0
        with check("WIRE-09", f"the deploy to {peer.name}"):
            assert outcome.fails(peer), REFUSED
