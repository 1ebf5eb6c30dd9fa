"""Names, texts and JSON on the wire, to the byte: what others trim, escape or put in order."""

from __future__ import annotations

import json

import pytest

from harness.cluster import FakeCluster
from harness.judge.cases.relay import Relay

requirement = pytest.mark.requirement


@requirement("WIRE-10", "FLD-04")
@pytest.mark.parametrize("name", ["a\\b", "50%20", "a'b;c=d", "<a&b>"])
def test_nothing_in_a_name_is_escaped(cluster: FakeCluster, relay: Relay, name: str) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={name: "value"})
    assert peer.upload.fields[name] == b"value"


@requirement("WIRE-12")
def test_half_a_character_in_a_name_becomes_the_replacement_character(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"a\ud800b": "value"})
    assert peer.upload.fields["a\ufffdb"] == b"value"


@requirement("WIRE-06", "WIRE-11", "FLD-04")
@pytest.mark.parametrize(
    "text",
    [
        *(" in spaces\t", "a line\n", "\r\n", "a\0b", "\ufeffmarked", "e\u0301"),
        *("<b>&amp;</b>", "a%20b+c", "$HOME `id` \\n", "@package.tar.gz", "2026-01-02T03:04:05Z"),
    ],
    ids=ascii,
)
def test_a_text_arrives_as_it_is(cluster: FakeCluster, relay: Relay, text: str) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": text})
    assert peer.upload.fields["note"] == text.encode()


@requirement("WIRE-06", "FLD-04")
def test_json_means_what_the_request_said(cluster: FakeCluster, relay: Relay) -> None:
    """Which characters of ASCII are escaped in it is up to the relay."""
    peer = cluster.peer()
    given = ["<b>&amp;</b>", "a/b", 'say "no"', "2026-01-02T03:04:05Z", " x\n"]
    relay.deploy(to=[peer], request={"notes": given})
    assert json.loads(peer.upload.fields["notes"]) == given


@requirement("WIRE-06", "WIRE-12")
def test_half_a_character_in_json_is_no_trouble_on_the_way(
    cluster: FakeCluster, relay: Relay
) -> None:
    """JSON can express it, as an escape; to send U+FFFD, or nothing to anyone, is as good."""
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={"notes": ["a\ud800b"]})
    if peer.requests:
        assert json.loads(peer.upload.fields["notes"].decode()) in (["a\ud800b"], ["a\ufffdb"])
    else:
        assert outcome.refused or outcome[peer].status == "failed"


@requirement("KIT-06")
def test_another_operation_is_not_relayed(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={"operation": "drop_component"})
    assert outcome.refused or outcome[peer].status == "failed"
    assert peer.requests == []
