"""The pytest plugin of the kit: fixtures for anybody's tests, and the options of the cases.

It is loaded in every pytest run where the kit is installed, so it imports nothing heavy before a
fixture is asked for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from harness.certs import Authority
    from harness.cluster import FakeCluster
    from harness.evidence import Evidence
    from harness.peer import FakePeer

RELAY_VARIABLE = "RELAY_HARNESS_RELAY"
"""Names the relay to judge where no option does."""
WHAT_THE_PEERS_SAW = "what the fake peers saw"
WHAT_THE_RELAY_TOLD = "what the relay reported"
_EVIDENCE = "deploy_relay_kit"
_CLUSTERS = pytest.StashKey[list["FakeCluster"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("deploy relay kit")
    group.addoption(
        "--relay",
        metavar="TARGET",
        default=os.environ.get(RELAY_VARIABLE) or "reference",
        help=f"the relay that the cases judge (default: ${RELAY_VARIABLE}, or reference)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "requirement(*ids): the requirements of the catalogue that a case checks"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # User properties travel with the reports, also from the workers of pytest-xdist.
    for item in items:
        for marker in item.iter_markers("requirement"):
            item.user_properties += [("requirement", id_) for id_ in marker.args]


@pytest.fixture(scope="session")
def relay_authority() -> Authority:
    """The certificate authority that every fake peer of the session is signed by."""
    from harness.certs import Authority

    return Authority()


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
    if report.failed and report.when == "call":
        _add_evidence(report, item, call)
    # An error of a target says what it makes of the case, whenever it happens.
    if call.excinfo is not None and (verdict := getattr(call.excinfo.value, "verdict", None)):
        report.user_properties.append(("verdict", verdict))
    return report


def _add_evidence(
    report: pytest.TestReport, item: pytest.Item, call: pytest.CallInfo[None]
) -> None:
    clusters = item.stash.get(_CLUSTERS, [])
    if not clusters or call.excinfo is None:
        return
    from harness.evidence import gather
    from harness.targets.relay import Relay

    relay = next(
        (it for it in getattr(item, "funcargs", {}).values() if isinstance(it, Relay)), None
    )
    evidence = gather(item, call.excinfo, report.longreprtext, clusters, relay)
    if evidence["reported"]:
        report.sections.append((WHAT_THE_RELAY_TOLD, "\n".join(evidence["reported"])))
    report.sections.append((WHAT_THE_PEERS_SAW, evidence["seen"]))
    # An attribute travels from a worker of xdist, and stands in nobody's JUnit file.
    vars(report)[_EVIDENCE] = evidence


def evidence_of(report: pytest.TestReport) -> Evidence | None:
    """What is known of a failed test that used a fake cluster."""
    found: Evidence | None = vars(report).get(_EVIDENCE)
    return found
