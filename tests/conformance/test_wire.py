"""The bytes of an upload, as the peers read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.targets import Relay

requirement = pytest.mark.requirement


@requirement("WIRE-01", "WIRE-02", "WIRE-03", "WIRE-04", "WIRE-05", "WIRE-12", "WIRE-13", "HTTP-01")
def test_the_upload_breaks_no_rule_of_the_wire_format(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer])
    assert [str(finding) for finding in peer.upload.findings] == []
    assert peer.upload.complete
    assert outcome[peer].status == "success"


@requirement("WIRE-02")
def test_no_two_uploads_share_a_boundary(cluster: FakeCluster, relay: Relay) -> None:
    peers = [cluster.peer() for _ in range(3)]
    relay.deploy(to=peers)
    relay.deploy(to=peers)
    boundaries = [upload.header("content-type") for peer in peers for upload in peer.uploads]
    assert len(set(boundaries)) == len(boundaries) == 6


@requirement("WIRE-11")
def test_a_value_with_line_breaks_and_hyphens_arrives_as_it_is(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    value = 'first\r\n--second\n----HarperMultipart\r\n\r\n"third"\\'
    relay.deploy(to=[peer], request={"note": value})
    assert peer.upload.fields["note"] == value.encode()
    assert peer.upload.findings == []
