"""The pytest plugin of the kit: fixtures for anybody's tests, and what the nodes saw at a failure.

It is loaded in every pytest run where the kit is installed, so it imports nothing heavy before a
fixture is asked for, and touches no test that asks for none. What the cases need besides is in
`harness.judge.plugin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from harness.cluster import FakeCluster
    from harness.judge.evidence import Evidence
    from harness.peer.certificates import Authority
    from harness.peer.peer import FakePeer

WHAT_THE_PEERS_SAW = "what the fake peers saw"
WHAT_THE_RELAY_TOLD = "what the relay reported"
_EVIDENCE = "deploy_relay_kit"
_CLUSTERS = pytest.StashKey[list["FakeCluster"]]()


@pytest.fixture(scope="session")
def relay_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority that every fake peer of the session is signed by."""
    from harness.peer.certificates import Authority

    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def fake_cluster(
    relay_authority: Authority, request: pytest.FixtureRequest
) -> Iterator[FakeCluster]:
    """An empty fake cluster; start nodes with `fake_cluster.peer(fault=…)`.

    When the test fails, its report shows what every node saw.
    """
    from harness.cluster import FakeCluster

    with FakeCluster(authority=relay_authority) as cluster:
        request.node.stash.setdefault(_CLUSTERS, []).append(cluster)
        yield cluster


@pytest.fixture
def fake_peer(fake_cluster: FakeCluster) -> FakePeer:
    """One healthy node of `fake_cluster`; set its `fault` to make it misbehave."""
    return fake_cluster.peer()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when != "teardown":  # by then the cluster is gone
        _add_evidence(report, item, call)
    return report


def _add_evidence(
    report: pytest.TestReport, item: pytest.Item, call: pytest.CallInfo[None]
) -> None:
    clusters = item.stash.get(_CLUSTERS, [])
    if not clusters or call.excinfo is None:
        return
    from harness.judge.evidence import gather
    from harness.judge.relay import Relay

    relay = next(
        (it for it in getattr(item, "funcargs", {}).values() if isinstance(it, Relay)), None
    )
    captured = "".join(text for title, text in report.sections if title.startswith("Captured"))
    evidence = gather(item, call.excinfo, report.longreprtext, clusters, relay, captured=captured)
    if evidence["reported"]:
        report.sections.append((WHAT_THE_RELAY_TOLD, "\n".join(evidence["reported"])))
    report.sections.append((WHAT_THE_PEERS_SAW, evidence["seen"]))
    if report.when == "call":
        # An attribute travels from a worker of xdist, and stands in nobody's JUnit file.
        vars(report)[_EVIDENCE] = evidence


def evidence_of(report: pytest.TestReport) -> Evidence | None:
    """What is known of a failed test that used a fake cluster."""
    found: Evidence | None = vars(report).get(_EVIDENCE)
    return found
