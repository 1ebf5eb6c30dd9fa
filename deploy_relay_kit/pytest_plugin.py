"""The pytest plugin of the kit: fixtures for any test, and what the nodes saw when one fails.

It is loaded in every pytest run where the kit is installed. So it loads nothing else before a
fixture is used, and touches no test that uses none.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from deploy_relay_kit.harness import Authority, FakeCluster, FakePeer

WHAT_THE_PEERS_SAW = "what the fake peers saw"
_CLUSTERS = pytest.StashKey[list["FakeCluster"]]()


@pytest.fixture(scope="session")
def relay_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority that signs the certificate of every fake peer of the session."""
    from deploy_relay_kit.harness import Authority

    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def fake_cluster(
    relay_authority: Authority, request: pytest.FixtureRequest
) -> Iterator[FakeCluster]:
    """An empty fake cluster; start nodes with `fake_cluster.peer(fault=…)`.

    When the test fails, its report shows what every node saw.
    """
    from deploy_relay_kit.harness import FakeCluster

    with FakeCluster(authority=relay_authority) as cluster:
        request.node.stash.setdefault(_CLUSTERS, []).append(cluster)
        yield cluster


@pytest.fixture
def fake_peer(fake_cluster: FakeCluster) -> FakePeer:
    """A healthy node of `fake_cluster`; set its `fault` to make it misbehave."""
    return fake_cluster.peer()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    clusters = item.stash.get(_CLUSTERS, [])
    if clusters and report.failed and report.when != "teardown":  # by then the cluster is gone
        seen = "\n".join(cluster.timelines() for cluster in clusters)
        report.sections.append((WHAT_THE_PEERS_SAW, seen))
    return report
