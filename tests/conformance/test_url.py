"""Where the upload goes: paths, queries and path-prefix proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.payloads import Payload
    from harness.targets import Relay

requirement = pytest.mark.requirement


@requirement("URL-08")
@pytest.mark.parametrize("path", ["/", "/ops/", "/ops", "/a/b/ops/?site=eu&x=1", "/?x=%2F%20y"])
def test_the_path_and_query_of_the_operations_api_url_are_kept(
    cluster: FakeCluster, relay: Relay, path: str
) -> None:
    peer = cluster.peer(path=path)
    outcome = relay.deploy(to=[peer])
    assert outcome[peer].status == "success"
    assert peer.upload.target == path
    assert [mint.target for mint in peer.mints] == [path]


@requirement("URL-08", "FLD-08")
@pytest.mark.parametrize("path", ["/", "/?site=eu"])
def test_a_node_behind_a_path_prefix_proxy_is_reached(
    cluster: FakeCluster, relay: Relay, payload: Payload, path: str
) -> None:
    peer = cluster.peer(path=path)
    proxy = cluster.proxy(peer, prefix="/node-1/ops")
    outcome = relay.deploy(to=[proxy])
    assert outcome[proxy].status == "success"
    assert set(proxy.paths) == {f"/node-1/ops{path}"}
    assert peer.upload.file is not None
    assert peer.upload.file.sha256 == payload.sha256
