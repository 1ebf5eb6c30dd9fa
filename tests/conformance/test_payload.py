"""The staged payload: what happens when it is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster import FakeCluster
    from harness.targets import Relay

requirement = pytest.mark.requirement


@requirement("SEQ-05")
def test_a_missing_payload_fails_every_peer_and_sends_nothing_to_anyone(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    peers = [cluster.peer() for _ in range(3)]
    outcome = relay.deploy(to=peers, payload=tmp_path / "never-staged.tar.gz")
    for peer in peers:
        assert outcome[peer].status == "failed"
        assert outcome[peer].reason.startswith("staged payload missing: ")
        assert outcome[peer].status_code is None
        assert peer.requests == []
