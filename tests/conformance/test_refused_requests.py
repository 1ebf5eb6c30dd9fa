"""Requests that a peer would not read as they are meant: they are refused, and nothing is sent."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import pytest

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import ABSENT, Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    names_of,
    need_good_upload,
    need_served,
    need_upload,
    need_value,
    text_of,
)
from deploy_relay_kit.harness.peer.peer import FakePeer

REFUSED = "expected a refusal of the deploy or a failed record, got a success"


def test_sixty_four_fields_arrive(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """Every field of a request with 64 fields arrives; what stays behind does not count."""
    peer = cluster.peer()
    given = {f"extra-{n}": n for n in range(61)}
    behind: dict[str, object] = {}
    if "any_request" in relay.target.capabilities:  # an origin gets them as a form, which counts
        behind = {"_log": "x" * 1_048_577, "hdb_user": {"role": "x" * 1_048_577}, "requestId": 7}
    relay.deploy(to=[peer], request={**behind, **given})
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


@pytest.mark.parametrize("count", [62, 63, 80])
def test_the_necessary_fields_are_among_the_first_sixty_four(
    cluster: FakeCluster, relay: Relay, check: Checks, count: int
) -> None:
    """A request with 65 fields or more is refused, and operation, project and replicated arrive.

    An origin, which gets the request as a form, may drop the fields before it fans out.
    """
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={f"extra-{n}": n for n in range(count)})
    need_upload(cluster, relay, {f"extra-{n}": n for n in range(61)})
    with check("PARSE-19", "the necessary fields after the first 64"):
        check.need(peer.uploads or outcome.fails(peer), f"{peer.name} saw no upload")
        assert necessary_and_late(peer) == []
    with check("PARSE-19", "the number of fields in an upload"):
        check.need(peer.uploads or outcome.fails(peer), f"{peer.name} saw no upload")
        most = max((len(upload.field_parts) for upload in peer.uploads), default=0)
        assert most <= 64, f"expected at most 64, got {most}"
    if "any_request" in relay.target.capabilities:
        with check("PARSE-19", "the deploy with more fields than a peer reads"):
            assert outcome.fails(peer), REFUSED


def test_a_list_of_a_mebibyte_arrives_whole(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A list of 1,048,576 bytes of JSON is forwarded unchanged: its form on the wire counts."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": ["é" * 424_286, *[1] * 100_000]})
    with check("FLD-04", "the length of the field note, in bytes"):
        need_good_upload(peer)
        sent = peer.upload.fields["note"] if peer.uploads else b""
        if len(sent) != 1_048_576:
            need_value(cluster, relay, ["é"], '["é"]')
        assert len(sent) == 1_048_576


def test_a_value_of_a_mebibyte_arrives_whole(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A value of 1,048,576 bytes, the longest that a peer keeps, is forwarded unchanged."""
    peer = cluster.peer()
    value = "0123456789abcdef" * 65_536
    relay.deploy(to=[peer], request={"note": value})
    with check("FLD-04", "the length of the field note, in bytes"):
        need_good_upload(peer)
        assert len(text_of(peer, "note", value) or b"") == len(value)
        same = text_of(peer, "note", value) == value.encode()
        assert same, "expected the text of the request, got another one of this length"


@pytest.mark.parametrize(
    "value",
    ["x" * 1_048_577, "é" * 524_289, ["a", "x" * 1_048_569], ["x" * 65_536] * 16],
    ids=["one byte", "text", "list of one byte more", "list"],
)
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


PROJECTS = ["123", "1e3", "-1", "1.5", "0", "true", "false", "null", '{"a":1}', "[1]"]


def test_a_project_that_a_peer_would_not_read_as_text_is_refused_or_quoted(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A project whose name is JSON is sent in JSON quotes; to refuse it is as good."""
    need_upload(cluster, relay, {"project": "demo"})
    for project in PROJECTS:
        peer = cluster.peer()
        outcome = relay.deploy(to=[peer], request={"project": project})
        with check("PARSE-32", f"the project {project} as a peer reads it"):
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


NOT_JSON = [object(), {1, 2}, b"bytes", float("nan"), [float("inf")], {"a": [float("-inf")]}]
NOT_JSON += [float("-inf"), Decimal("1.5"), date(2026, 1, 2), SimpleNamespace(a=1), [1 + 2j]]


def test_a_value_without_a_json_form_is_refused_before_anything_is_sent(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A value that has no JSON form is refused before the relay sends anything to any peer."""
    relay.need("native_values")
    peers = [cluster.peer(), cluster.peer()]
    outcomes = [relay.deploy(to=peers, request={"note": value}) for value in NOT_JSON]
    requests = {peer.name: len(peer.requests) for peer in peers}
    need_served(relay, *peers, request={"note": ["value"]})
    for value, outcome in zip(NOT_JSON, outcomes, strict=True):
        with check("WIRE-09", f"the deploy with a value of the type {type(value).__name__}"):
            assert all(map(outcome.fails, peers)), REFUSED
    for name, count in requests.items():
        with check("WIRE-09", f"the number of requests to {name}"):
            assert count == 0


OPERATIONS = [
    *("drop_component", "DEPLOY_COMPONENT", "deploy_component ", "deploy_component_v2", "deploy"),
    *("", None, 5, ABSENT),
]


def test_another_operation_is_not_relayed(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A request is refused, and nothing is sent, unless its operation is deploy_component."""
    peer = cluster.peer()
    need_upload(cluster, relay, {"operation": "deploy_component"})
    for operation in OPERATIONS:
        outcome = relay.deploy(to=[peer], request={"operation": operation})
        shown = "no operation" if operation is ABSENT else f"the operation {json.dumps(operation)}"
        with check("KIT-06", f"the deploy with {shown}"):
            assert outcome.fails(peer), REFUSED
    with check("KIT-06", "the number of requests"):
        assert len(peer.requests) == 0
